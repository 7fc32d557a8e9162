//! IP fragments put together.
//!
//! Follows RFC 791 section 3.2, RFC 8200 section 4.5 and RFC 5722.
//!
//! Invariants: what is held stays within [`MAX_HELD_BYTES`] and [`MAX_DATAGRAMS`] at every step,
//! and the datagram that was begun first goes first; bytes are held as they come, so a fragment
//! far out costs no more than its own; a datagram is made of bytes that no two fragments dispute.
//!
//! Fragments that overlap end their datagram, in IPv4 too: RFC 5722 wants it of IPv6, Linux does it
//! for both, nobody honest sends them, and which copy a receiver takes is its own affair, so that
//! to choose one would be to invent what was said. A second copy of a fragment is only that.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

use capture_ebpf::Verdict;
use etherparse::IpNumber;

use super::ip::{Ip, Part, Span, Version};
use crate::segment::{IfaceId, Timestamp};

/// Four times what Linux holds. A flood of fragments must not take memory without end, nor push
/// out at once what is honest among it.
const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;
/// The same flood of fragments that hold next to nothing.
const MAX_DATAGRAMS: usize = 8 * 1024;
/// Enough for the largest datagram over the smallest link of RFC 791, which leaves 48 bytes to
/// each; more is an attack by 8 bytes at a time.
const MAX_FRAGMENTS: u32 = 2_048;
/// As long as Linux waits for IPv4. RFC 8200 allows twice that, but the longer the wait, the
/// likelier that the next datagram of the same 16-bit number comes into it (RFC 4963).
const TIMEOUT_NS: u64 = 30_000_000_000;
/// Fragments carry a payload of this length, or end where it does.
const MAX_PAYLOAD_BYTES: usize = 65_535;
/// What a datagram and a piece cost beside their bytes, in the table and to the allocator.
const DATAGRAM_BYTES: usize = 1_024;
const PIECE_BYTES: usize = 64;

/// A fragment, and where it was seen.
pub(super) struct Fragment<'a> {
    pub(super) time: Timestamp,
    pub(super) iface: IfaceId,
    pub(super) ip: Ip,
    pub(super) part: Part,
    /// As far as it was captured.
    pub(super) bytes: &'a [u8],
    /// How many frames it took: more than one where a tunnel's packets came in fragments.
    pub(super) frames: u64,
}

/// A datagram that is whole.
pub(super) struct Datagram {
    /// Its payload is all of `bytes`.
    pub(super) ip: Ip,
    /// As far as its fragments were captured without a hole.
    pub(super) bytes: Vec<u8>,
    /// How many frames it took.
    pub(super) frames: u64,
}

/// The interface is one of it, so that a packet which crosses two is two datagrams.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    iface: IfaceId,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    id: u32,
    /// Of IPv4 alone: IPv6 leaves the first fragment to say it.
    protocol: Option<IpNumber>,
}

/// Datagrams that are not whole yet.
#[derive(Default)]
pub(super) struct Fragments {
    /// By number, which is the order in which they were begun.
    pending: BTreeMap<u64, Pending>,
    numbers: HashMap<Key, u64>,
    next_number: u64,
    held_bytes: usize,
}

impl Fragments {
    /// Takes a fragment; yields the datagram that it completes, or the verdict for as long as
    /// none is.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>) -> Result<Datagram, Verdict> {
        let Fragment { ip, part, .. } = fragment;
        if ip.version == Version::V4 && !may_carry_tcp(ip.protocol) {
            return Err(Verdict::NotTcp);
        }
        let len = ip.payload.len();
        // All but the last come in multiples of 8 bytes.
        let is_aligned = !part.more || len.is_multiple_of(8);
        if len == 0 || !is_aligned || part.offset + len > MAX_PAYLOAD_BYTES {
            return Err(Verdict::Malformed);
        }
        self.expire(fragment.time);
        self.make_room(DATAGRAM_BYTES + PIECE_BYTES + fragment.bytes.len());
        let number = self.find_or_begin(fragment);
        let pending = self.pending.get_mut(&number).ok_or(Verdict::Fragment)?;
        self.held_bytes -= pending.held_bytes;
        pending.add(fragment);
        self.held_bytes += pending.held_bytes;
        if !pending.is_whole() {
            return Err(Verdict::Fragment);
        }
        self.remove(number).map(Pending::join).ok_or(Verdict::Fragment)
    }

    fn find_or_begin(&mut self, fragment: &Fragment<'_>) -> u64 {
        let Fragment { time, iface, ip, part, .. } = fragment;
        let Ip { version, src, dst, .. } = *ip;
        let protocol = (version == Version::V4).then_some(ip.protocol);
        let key = Key { iface: *iface, src, dst, id: part.id, protocol };
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(key.clone(), number);
        let pending = Pending::new(key, *time, *ip);
        self.held_bytes += pending.held_bytes;
        self.pending.insert(number, pending);
        number
    }

    /// Lets go of what waited too long, by packet time.
    fn expire(&mut self, now: Timestamp) {
        while let Some((&number, oldest)) = self.pending.first_key_value()
            && now.nanos_since(oldest.begun) > TIMEOUT_NS
        {
            self.remove(number);
        }
    }

    /// Lets go of the oldest until a datagram and `bytes` more fit.
    fn make_room(&mut self, bytes: usize) {
        while let Some((&number, _)) = self.pending.first_key_value()
            && (self.held_bytes + bytes > MAX_HELD_BYTES || self.pending.len() >= MAX_DATAGRAMS)
        {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Pending> {
        let pending = self.pending.remove(&number)?;
        self.numbers.remove(&pending.key);
        self.held_bytes -= pending.held_bytes;
        Some(pending)
    }
}

/// A datagram in the making.
struct Pending {
    key: Key,
    begun: Timestamp,
    /// Of the first fragment, as soon as that is there.
    ip: Ip,
    /// By offset; none overlaps another or reaches beyond the end.
    pieces: BTreeMap<usize, Piece>,
    /// Payload bytes of all pieces, on the wire.
    seen_bytes: usize,
    /// Where the last fragment ends.
    end: Option<usize>,
    /// Its fragments contradict each other: it never becomes whole (RFC 5722 section 4).
    is_refused: bool,
    fragments: u32,
    frames: u64,
    held_bytes: usize,
}

struct Piece {
    /// On the wire.
    len: usize,
    captured: Box<[u8]>,
}

impl Pending {
    const fn new(key: Key, begun: Timestamp, ip: Ip) -> Self {
        Self {
            key,
            begun,
            ip,
            pieces: BTreeMap::new(),
            seen_bytes: 0,
            end: None,
            is_refused: false,
            fragments: 0,
            frames: 0,
            held_bytes: DATAGRAM_BYTES,
        }
    }

    fn add(&mut self, fragment: &Fragment<'_>) {
        self.frames += fragment.frames;
        self.fragments = self.fragments.saturating_add(1);
        if self.is_refused || self.is_copy(fragment) {
            return;
        }
        if self.fragments > MAX_FRAGMENTS || !self.fits(fragment) {
            self.is_refused = true;
            self.pieces.clear();
            self.held_bytes = DATAGRAM_BYTES;
            return;
        }
        let Fragment { ip, part, bytes, .. } = fragment;
        let len = ip.payload.len();
        if part.offset == 0 {
            self.ip = *ip;
        }
        if !part.more {
            self.end = Some(part.offset + len);
        }
        self.seen_bytes += len;
        self.held_bytes += PIECE_BYTES + bytes.len();
        self.pieces.insert(part.offset, Piece { len, captured: Box::from(*bytes) });
    }

    /// Whether this very fragment is there, as far as both were captured.
    fn is_copy(&self, Fragment { ip, part, bytes, .. }: &Fragment<'_>) -> bool {
        let is_last = self.end == Some(part.offset + ip.payload.len());
        self.pieces.get(&part.offset).is_some_and(|piece| {
            let same = piece.captured.iter().zip(*bytes).all(|(one, other)| one == other);
            same && piece.len == ip.payload.len() && part.more != is_last
        })
    }

    /// Whether it agrees with the others on which bytes are whose and where the end is.
    fn fits(&self, Fragment { ip, part, .. }: &Fragment<'_>) -> bool {
        let end = part.offset + ip.payload.len();
        let before = self.pieces.range(..part.offset).next_back();
        let after = self.pieces.range(part.offset..).next();
        let within = match self.end {
            None => part.more || after.is_none(),
            Some(known) => part.more && end <= known,
        };
        within
            && before.is_none_or(|(at, piece)| at + piece.len <= part.offset)
            && after.is_none_or(|(at, _)| end <= *at)
    }

    fn is_whole(&self) -> bool {
        !self.is_refused && self.end == Some(self.seen_bytes)
    }

    fn join(self) -> Datagram {
        let mut bytes = Vec::with_capacity(self.seen_bytes);
        for piece in self.pieces.values() {
            bytes.extend_from_slice(&piece.captured);
            if piece.captured.len() < piece.len {
                break;
            }
        }
        let payload = Span { at: 0, captured_end: bytes.len(), end: self.seen_bytes };
        Datagram { ip: Ip { payload, part: None, ..self.ip }, bytes, frames: self.frames }
    }
}

/// Whether a packet of this IPv4 protocol can hold a TCP segment, by itself or in a tunnel.
const fn may_carry_tcp(protocol: IpNumber) -> bool {
    matches!(
        protocol,
        IpNumber::TCP
            | IpNumber::UDP
            | IpNumber::GRE
            | IpNumber::IPV4
            | IpNumber::IPV6
            | IpNumber::MPLS_IN_IP
            | IpNumber::AUTHENTICATION_HEADER
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fragment of the datagram `id`, the last one where `more` is not said.
    fn fragment(id: u32, offset: usize, more: bool, bytes: &[u8]) -> Fragment<'_> {
        let payload = Span { at: 0, captured_end: bytes.len(), end: bytes.len() };
        let ip = Ip {
            version: Version::V4,
            src: Ipv6Addr::from(1),
            dst: Ipv6Addr::from(2),
            protocol: IpNumber::TCP,
            payload,
            part: None,
            is_routed: false,
        };
        let part = Part { id, offset, more };
        Fragment { time: Timestamp(0), iface: IfaceId(0), ip, part, bytes, frames: 1 }
    }

    impl Fragments {
        #[track_caller]
        fn assert_bounded(&self) {
            let held = |pending: &Pending| {
                let pieces = pending.pieces.values();
                DATAGRAM_BYTES
                    + pieces.map(|piece| PIECE_BYTES + piece.captured.len()).sum::<usize>()
            };
            assert!(self.held_bytes <= MAX_HELD_BYTES, "{} bytes", self.held_bytes);
            assert!(self.pending.len() <= MAX_DATAGRAMS, "{} datagrams", self.pending.len());
            assert_eq!(self.pending.len(), self.numbers.len());
            assert_eq!(self.pending.values().map(held).sum::<usize>(), self.held_bytes);
        }
    }

    #[test]
    fn a_flood_stays_within_its_bounds_and_the_oldest_go_first() {
        for len in [8, 1_480, 65_000] {
            let mut fragments = Fragments::default();
            let bytes = vec![b'x'; len];
            for id in 0..20_000 {
                assert!(fragments.add(&fragment(id, 0, true, &bytes)).is_err());
                if id % 500 == 0 {
                    fragments.assert_bounded();
                }
            }
            fragments.assert_bounded();
            // All but the oldest are still there, and fill what there is to fill.
            let kept = fragments.pending.len();
            let cost = DATAGRAM_BYTES + PIECE_BYTES + len;
            assert!(kept == MAX_DATAGRAMS || (kept + 2) * cost > MAX_HELD_BYTES, "{kept} of {len}");
            let oldest = 20_000 - u32::try_from(kept).unwrap();
            assert!(fragments.add(&fragment(oldest - 1, len, false, &bytes[..8])).is_err());
            assert!(fragments.add(&fragment(19_999, len, false, &bytes[..8])).is_ok());
            fragments.assert_bounded();
        }
    }

    #[test]
    fn a_fragment_far_out_costs_no_more_than_its_own_bytes() {
        let mut fragments = Fragments::default();
        assert!(fragments.add(&fragment(1, 65_520, true, &[0; 8])).is_err());
        assert_eq!(fragments.held_bytes, DATAGRAM_BYTES + PIECE_BYTES + 8);
    }

    #[test]
    fn a_refused_datagram_holds_no_bytes_and_takes_no_more() {
        let mut fragments = Fragments::default();
        assert!(fragments.add(&fragment(1, 0, true, &[1; 1_480])).is_err());
        assert!(fragments.add(&fragment(1, 8, true, &[2; 1_480])).is_err());
        assert_eq!(fragments.held_bytes, DATAGRAM_BYTES);
        assert!(fragments.add(&fragment(1, 0, true, &[1; 1_480])).is_err());
        assert!(fragments.add(&fragment(1, 1_480, false, &[1; 1_480])).is_err());
        fragments.assert_bounded();
        assert_eq!(fragments.held_bytes, DATAGRAM_BYTES);
    }

    #[test]
    fn nothing_is_left_of_datagrams_that_became_whole_or_too_old() {
        let mut fragments = Fragments::default();
        for id in 0..100 {
            assert!(fragments.add(&fragment(id, 0, true, &[0; 8])).is_err());
            assert!(fragments.add(&fragment(id, 8, false, &[0; 3])).is_ok());
        }
        assert_eq!(fragments.held_bytes, 0);
        assert!(fragments.add(&fragment(1, 0, true, &[0; 8])).is_err());
        let late = Fragment { time: Timestamp(TIMEOUT_NS + 1), ..fragment(2, 0, true, &[0; 8]) };
        assert!(fragments.add(&late).is_err());
        assert_eq!(fragments.pending.len(), 1);
        fragments.assert_bounded();
    }
}
