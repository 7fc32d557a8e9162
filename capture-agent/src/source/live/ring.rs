//! Ring records as segments.
//!
//! The kernel half wakes a reader alone that has read everything, with the next record. A reader
//! that was given something sleeps for a while without asking, so that many records cost one
//! wake-up, and none waits for longer than that.
//!
//! Invariants: a record's payload is handed over as a slice of the ring, and the record is given
//! back to the kernel when the next one is taken; a call hands over a bounded number of records
//! and waits no longer than it was told, so that its caller can look at other things in between.

use std::net::Ipv6Addr;
use std::thread;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use capture_ebpf::{RecordHeader, missing};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::LiveError;
use super::clock::Clock;
use super::names::NewNames;
use crate::segment::{Endpoint, IfaceId, Missing, Segment, SeqNum, TcpFlags};
use crate::source::Item;

/// Records in one batch at most: some milliseconds of work.
const MAX_BATCH: usize = 4096;

/// Reads the ring; lives on a thread of its own.
pub struct RingReader {
    ring: RingBuf<MapData>,
    clock: Clock,
    /// How long a record may wait for others, so that they are read together.
    latency: Duration,
    /// Whether the last look found something.
    busy: bool,
    names: NewNames,
}

impl RingReader {
    pub(super) const fn new(
        ring: RingBuf<MapData>,
        clock: Clock,
        latency: Duration,
        names: NewNames,
    ) -> Self {
        Self { ring, clock, latency, busy: false, names }
    }

    /// Hands over what is in the ring, a batch at most, after waiting for it up to `timeout`, and
    /// says how many records there were: 0 where the time was over first, or a signal came.
    ///
    /// # Errors
    /// [`LiveError::Wait`] and [`LiveError::Record`]; neither happens with a kernel half of the
    /// same build.
    pub fn read(
        &mut self,
        timeout: Duration,
        mut f: impl FnMut(Item<'_>),
    ) -> Result<usize, LiveError> {
        let mut left = timeout;
        if self.busy {
            // What has come meanwhile is read at once, instead of one by one as it comes.
            let nap = self.latency.min(left);
            thread::sleep(nap);
            left -= nap;
        }
        self.clock.refresh();
        let mut records = self.drain(&mut f)?;
        if records == 0 && !left.is_zero() && self.wait(left)? {
            records = self.drain(&mut f)?;
        }
        self.busy = records > 0 && records < MAX_BATCH;
        Ok(records)
    }

    fn drain(&mut self, f: &mut impl FnMut(Item<'_>)) -> Result<usize, LiveError> {
        self.names.take(|id, interface| f(Item::Interface(id, interface)));
        for records in 0..MAX_BATCH {
            let Some(record) = self.ring.next() else { return Ok(records) };
            let segment =
                segment(&record, &self.clock).ok_or(LiveError::Record { len: record.len() })?;
            self.names.take(|id, interface| f(Item::Interface(id, interface)));
            f(Item::Segment(segment));
        }
        Ok(MAX_BATCH)
    }

    /// Waits for a wake-up or for `timeout`; false where a signal came in between.
    fn wait(&self, timeout: Duration) -> Result<bool, LiveError> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&self.ring, PollFlags::IN)], Some(&timeout)) {
            Ok(_) => Ok(true),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(LiveError::Wait(error.into())),
        }
    }
}

/// The segment in a record; `None` where the record is shorter than it says.
fn segment<'a>(record: &'a [u8], clock: &Clock) -> Option<Segment<'a>> {
    let (header, payload) = RecordHeader::split(record)?;
    Some(Segment {
        time: clock.utc(header.time_ns),
        iface: IfaceId(header.ifindex),
        src: Endpoint { addr: Ipv6Addr::from(header.src_addr), port: header.src_port },
        dst: Endpoint { addr: Ipv6Addr::from(header.dst_addr), port: header.dst_port },
        seq: SeqNum(header.seq),
        ack: SeqNum(header.ack),
        flags: TcpFlags(header.tcp_flags),
        window: header.window,
        payload,
        wire_len: header.wire_len,
        missing: match header.missing {
            missing::ELIDED => Missing::Elided,
            missing::DROPPED => Missing::Dropped,
            _ => Missing::Unseen,
        },
        cgroup: header.cgroup,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as the kernel half lays it out, field by field.
    fn record(payload_len: u32, payload: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        record.extend(7_000_u64.to_ne_bytes());
        record.extend(99_u64.to_ne_bytes());
        record.extend(3_u32.to_ne_bytes());
        record.extend(payload_len.to_ne_bytes());
        record.extend(1_000_u32.to_ne_bytes());
        record.extend(0xffff_fff0_u32.to_ne_bytes());
        record.extend(42_u32.to_ne_bytes());
        record.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 5]);
        record.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        record.extend(51_234_u16.to_ne_bytes());
        record.extend(80_u16.to_ne_bytes());
        record.extend(512_u16.to_ne_bytes());
        record.extend([0x18, 1, missing::ELIDED, 0, 0, 0]);
        record.extend(payload);
        record
    }

    #[test]
    fn a_record_is_the_segment_that_was_put_in() {
        let clock = Clock::new();
        let record = record(3, b"GETroom of the size class");
        let segment = segment(&record, &clock).unwrap();
        assert_eq!(segment.time, clock.utc(7_000));
        assert_eq!(segment.iface, IfaceId(3));
        assert_eq!(segment.src.to_string(), "10.0.0.5:51234");
        assert_eq!(segment.dst.to_string(), "[2001:db8::1]:80");
        assert_eq!((segment.seq, segment.ack), (SeqNum(0xffff_fff0), SeqNum(42)));
        assert_eq!(segment.flags, TcpFlags::PSH.with(TcpFlags::ACK));
        assert_eq!(segment.window, 512);
        assert_eq!((segment.payload, segment.wire_len), (&b"GET"[..], 1_000));
        assert_eq!((segment.missing, segment.cgroup), (Missing::Elided, 99));
    }

    #[test]
    fn a_record_shorter_than_it_says_is_none() {
        let clock = Clock::new();
        let whole = record(3, b"GET");
        for len in 0..whole.len() {
            assert!(segment(&whole[..len], &clock).is_none(), "{len}");
        }
        assert!(segment(&record(u32::MAX, b"GET"), &clock).is_none());
        assert!(segment(&record(0, b""), &clock).is_some_and(|segment| segment.payload.is_empty()));
    }
}
