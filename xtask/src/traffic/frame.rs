//! Ethernet frames with right checksums, in a pcap of nanoseconds.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddrV4;
use std::path::Path;

use anyhow::{Context as _, Result};
use etherparse::{PacketBuilder, TcpHeader, TcpOptionElement};

/// pcap: nanoseconds, version 2.4, GMT, snap length, Ethernet.
const MAGIC: u32 = 0xa1b2_3c4d;
const SNAP_BYTES: u32 = 262_144;
const ETHERNET: u32 = 1;

/// What a frame's TCP header says.
pub(super) struct Segment {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) seq: u32,
    /// `None` for the very first.
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) push: bool,
    pub(super) mss: u16,
}

pub(super) struct Capture {
    file: BufWriter<File>,
    frame: Vec<u8>,
    written_bytes: u64,
    frames: u64,
}

impl Capture {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("can't write {}", path.display()))?;
        let mut head = MAGIC.to_le_bytes().to_vec();
        head.extend(2_u16.to_le_bytes());
        head.extend(4_u16.to_le_bytes());
        head.extend([0; 8]);
        head.extend(SNAP_BYTES.to_le_bytes());
        head.extend(ETHERNET.to_le_bytes());
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&head)?;
        Ok(Self { file, frame: Vec::new(), written_bytes: head.len() as u64, frames: 0 })
    }

    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) fn write(&mut self, time_ns: u64, segment: &Segment, payload: &[u8]) -> Result<()> {
        let mut tcp = TcpHeader::new(segment.from.port(), segment.to.port(), segment.seq, 0xfaf0);
        tcp.acknowledgment_number = segment.ack.unwrap_or_default();
        tcp.ack = segment.ack.is_some();
        (tcp.syn, tcp.fin, tcp.psh) = (segment.syn, segment.fin, segment.push);
        if segment.syn {
            tcp.set_options(&[
                TcpOptionElement::MaximumSegmentSize(segment.mss),
                TcpOptionElement::SelectiveAcknowledgementPermitted,
                TcpOptionElement::WindowScale(7),
            ])?;
        }
        self.frame.clear();
        PacketBuilder::ethernet2(mac(segment.from), mac(segment.to))
            .ipv4(segment.from.ip().octets(), segment.to.ip().octets(), 64)
            .tcp_header(tcp)
            .write(&mut self.frame, payload)?;
        let len = self.frame.len() as u32;
        let (seconds, nanos) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
        for field in [seconds as u32, nanos as u32, len, len] {
            self.file.write_all(&field.to_le_bytes())?;
        }
        self.file.write_all(&self.frame)?;
        self.written_bytes += 16 + u64::from(len);
        self.frames += 1;
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<()> {
        self.file.flush().context("can't write the capture")
    }
}

/// Locally administered, by the address.
fn mac(end: SocketAddrV4) -> [u8; 6] {
    let [a, b, c, d] = end.ip().octets();
    [0x02, 0, a, b, c, d]
}
