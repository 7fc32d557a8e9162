//! What every source yields: one TCP segment with the time it was seen.
//!
//! Follows RFC 9293 section 3.1 for the header fields.
//!
//! Invariants: addresses are IPv6, IPv4 as IPv4-mapped; `payload` is at most `wire_len` bytes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Sub;
use std::sync::Arc;

/// A point in time: nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`, 0 if `earlier` is the later one.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A TCP sequence number (RFC 9293 section 3.4): all arithmetic is modulo 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// The number `count` further on.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl Sub for SeqNum {
    type Output = i32;

    /// Signed distance from `other` to `self`, right while the two are less than 2^31 apart.
    fn sub(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// One end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Address, IPv4 as IPv4-mapped IPv6.
    pub addr: Ipv6Addr,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// An end at `ip` and `port`.
    #[must_use]
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        let addr = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { addr, port }
    }

    /// An end at an IPv4 address.
    #[must_use]
    pub const fn v4(octets: [u8; 4], port: u16) -> Self {
        let [a, b, c, d] = octets;
        Self::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
    }

    /// The address as a person knows it: an IPv4-mapped one is IPv4.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        self.addr.to_canonical()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            IpAddr::V4(v4) => write!(f, "{v4}:{}", self.port),
            IpAddr::V6(v6) => write!(f, "[{v6}]:{}", self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// TCP flag bits as they stand in the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(capture_ebpf::tcp_flag::FIN);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(capture_ebpf::tcp_flag::SYN);
    /// Reset the connection.
    pub const RST: Self = Self(capture_ebpf::tcp_flag::RST);
    /// Push function.
    pub const PSH: Self = Self(capture_ebpf::tcp_flag::PSH);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(capture_ebpf::tcp_flag::ACK);

    /// These bits and `other`'s.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sender has no more data.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN.0 != 0
    }

    /// Whether this segment opens a direction.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN.0 != 0
    }

    /// Whether the sender resets the connection.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.0 & Self::RST.0 != 0
    }

    /// Whether the acknowledgement number means something.
    #[must_use]
    pub const fn ack(self) -> bool {
        self.0 & Self::ACK.0 != 0
    }
}

/// An interface, numbered by its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IfaceId(pub u32);

/// What a source knows of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Its name.
    pub name: Arc<str>,
    /// Its index in its network namespace; `None` in a capture file.
    pub ifindex: Option<u32>,
    /// The network namespace as the user named it; `None` for the agent's own, and in a file.
    pub netns: Option<Arc<str>>,
}

impl Interface {
    /// One of which nothing but the name is known.
    #[must_use]
    pub const fn named(name: Arc<str>) -> Self {
        Self { name, ifindex: None, netns: None }
    }
}

/// Why a segment's payload is shorter than it was on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The rest was not seen: nothing is missing, or the capture was cut at a snap length.
    #[default]
    Unseen,
    /// The rest was seen and left in the kernel on purpose: the flow's budget was used up.
    Elided,
    /// The rest was seen, and lost by the agent itself: it could not keep up.
    Dropped,
}

/// One TCP segment as a source saw it.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// When the source saw it.
    pub time: Timestamp,
    /// Where the source saw it.
    pub iface: IfaceId,
    /// Who sent it.
    pub src: Endpoint,
    /// Who it is for.
    pub dst: Endpoint,
    /// Sequence number of the first payload byte, or of SYN.
    pub seq: SeqNum,
    /// Acknowledgement number; without meaning unless `flags.ack()`.
    pub ack: SeqNum,
    /// Flag bits.
    pub flags: TcpFlags,
    /// Window as it stands in the header, not scaled.
    pub window: u16,
    /// Payload as far as it was captured.
    pub payload: &'a [u8],
    /// Payload bytes on the wire: more than `payload` where the rest is `missing`.
    pub wire_len: u32,
    /// Why the rest of the payload is not there.
    pub missing: Missing,
    /// Control group (version 2) of the socket that sent it, 0 where that is not known.
    pub cgroup: u64,
}

impl Segment<'_> {
    /// Sequence numbers that the segment takes up: payload, SYN and FIN (RFC 9293 section 3.4).
    #[must_use]
    pub const fn seq_len(&self) -> u32 {
        self.wire_len.wrapping_add(self.flags.syn() as u32).wrapping_add(self.flags.fin() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_distance_crosses_the_wrap() {
        assert_eq!(SeqNum(5) - SeqNum(0xffff_fffb), 10);
        assert_eq!(SeqNum(0xffff_fffb) - SeqNum(5), -10);
        assert_eq!(SeqNum(0xffff_fffb).plus(10), SeqNum(5));
    }

    #[test]
    fn an_endpoint_shows_the_address_as_people_write_it() {
        assert_eq!(Endpoint::v4([10, 0, 0, 5], 80).to_string(), "10.0.0.5:80");
        let v6 = Endpoint::new("2001:db8::1".parse().unwrap(), 8080);
        assert_eq!(v6.to_string(), "[2001:db8::1]:8080");
    }
}
