//! The pcap format: a file header, then records.
//!
//! Follows draft-ietf-opsawg-pcap, and Kuznetzov's variant with its longer record header.

use super::error::Problem;
use super::fields::{ByteOrder, Fields};
use super::link::LinkType;
use super::recorded::Remark;
use super::window::Window;
use super::{MAX_RECORD_BYTES, Packet, Record};
use crate::segment::{IfaceId, Timestamp};

const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
const KUZNETZOV_RECORD_HEADER_BYTES: usize = 24;
const KNOWN_MAJOR: u16 = 2;
const RECORD: &str = "packet record";

pub(super) struct Pcap {
    order: ByteOrder,
    fraction_ns: u64,
    header_len: usize,
    link: LinkType,
    interface_told: bool,
}

impl Pcap {
    /// The reader for a file that begins with `magic`, if that is one of this format's.
    pub(super) fn by_magic(magic: [u8; 4]) -> Option<Self> {
        let (order, number) = match magic {
            [0xa1, ..] => (ByteOrder::Big, u32::from_be_bytes(magic)),
            _ => (ByteOrder::Little, u32::from_le_bytes(magic)),
        };
        let (fraction_ns, header_len) = match number {
            0xa1b2_c3d4 => (1_000, RECORD_HEADER_BYTES),
            0xa1b2_3c4d => (1, RECORD_HEADER_BYTES),
            0xa1b2_cd34 => (1_000, KUZNETZOV_RECORD_HEADER_BYTES),
            _ => return None,
        };
        Some(Self { order, fraction_ns, header_len, link: LinkType(0), interface_told: false })
    }

    /// Takes the file header.
    pub(super) fn start(mut self, window: &mut Window) -> Result<Self, Problem> {
        let cut = || Problem::Cut { what: "file header", offset: 0 };
        let header = window.peek_array::<FILE_HEADER_BYTES>()?.ok_or_else(cut)?;
        let mut fields = Fields::new(&header, self.order);
        let _magic = fields.u32();
        let major = fields.u16().ok_or_else(cut)?;
        if major != KNOWN_MAJOR {
            return Err(Problem::Version { format: "pcap", major, known: KNOWN_MAJOR });
        }
        // Minor version, time zone and accuracy, the snap length: none binds whoever wrote it.
        let _rest = fields.bytes(14);
        // The upper half says how long the frame check sequence is, which IP lengths cut off.
        let [_, _, high, low] = fields.u32().ok_or_else(cut)?.to_be_bytes();
        self.link = LinkType(u16::from_be_bytes([high, low]));
        if !self.link.is_readable() {
            return Err(Problem::LinkType(self.link));
        }
        window.take(FILE_HEADER_BYTES)?;
        Ok(self)
    }

    /// The next record if all of it is in the window, as it mostly is.
    #[inline(always)]
    fn record_at_hand(&self, window: &mut Window) -> Option<Packet> {
        let header: &[u8; RECORD_HEADER_BYTES] = window.at_hand().first_chunk()?;
        let (words, _) = header.as_chunks();
        let [seconds, fraction, len, frame_len] = *words else { return None };
        let [seconds, fraction, len, frame_len] =
            [seconds, fraction, len, frame_len].map(|word| match self.order {
                ByteOrder::Little => u32::from_le_bytes(word),
                ByteOrder::Big => u32::from_be_bytes(word),
            });
        if len > MAX_RECORD_BYTES || !self.interface_told {
            return None;
        }
        let record = window.take_at_hand(self.header_len + len as usize)?;
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns;
        Some(Packet {
            time: Timestamp(nanos),
            iface: IfaceId(0),
            link: self.link,
            frame: record.start + self.header_len..record.end,
            frame_len: frame_len as usize,
            remark: Remark::default(),
        })
    }

    /// The next record, `None` at the end of the file.
    #[inline]
    pub(super) fn record(&mut self, window: &mut Window) -> Result<Option<Record>, Problem> {
        match self.record_at_hand(window) {
            Some(packet) => Ok(Some(Record::Packet(packet))),
            None => self.fetch_record(window),
        }
    }

    #[cold]
    fn fetch_record(&mut self, window: &mut Window) -> Result<Option<Record>, Problem> {
        if !self.interface_told {
            self.interface_told = true;
            return Ok(Some(Record::Interface(IfaceId(0), None)));
        }
        let offset = window.offset();
        let cut = || Problem::Cut { what: RECORD, offset };
        let header = window.peek(self.header_len)?;
        if header.is_empty() {
            return Ok(None);
        }
        let whole = header.len() == self.header_len;
        let mut fields = Fields::new(header, self.order);
        let (Some(seconds), Some(fraction), Some(len), Some(frame_len), true) =
            (fields.u32(), fields.u32(), fields.u32(), fields.u32(), whole)
        else {
            return Err(cut());
        };
        if len > MAX_RECORD_BYTES {
            return Err(Problem::TooLong { what: RECORD, offset, len });
        }
        let record = window.take(self.header_len + len as usize)?.ok_or_else(cut)?;
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns;
        Ok(Some(Record::Packet(Packet {
            time: Timestamp(nanos),
            iface: IfaceId(0),
            link: self.link,
            frame: record.start + self.header_len..record.end,
            frame_len: frame_len as usize,
            remark: Remark::default(),
        })))
    }
}
