//! Link types: where in a frame the IP packet begins.
//!
//! Follows the registry of link types (draft-ietf-opsawg-pcaplinktype), IEEE 802.1Q for tags,
//! RFC 2516 for PPPoE, RFC 3032 for MPLS.

use std::fmt;

use capture_ebpf::Verdict;
use etherparse::EtherType;

/// Ethernet in something else (RFC 1701).
pub(super) const BRIDGED_ETHERNET: EtherType = EtherType(0x6558);
const PPPOE_SESSION: EtherType = EtherType(0x8864);
const MPLS_UNICAST: EtherType = EtherType(0x8847);
const MPLS_MULTICAST: EtherType = EtherType(0x8848);

/// A number of the link type registry, LINKTYPE_*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(pub u16);

impl LinkType {
    const NULL: Self = Self(0);
    pub(super) const ETHERNET: Self = Self(1);
    /// The number of raw IP on most systems, before it got one of its own.
    const RAW_BSD: Self = Self(12);
    const RAW_OPENBSD: Self = Self(14);
    const RAW: Self = Self(101);
    const LOOP: Self = Self(108);
    const LINUX_SLL: Self = Self(113);
    const IPV4: Self = Self(228);
    const IPV6: Self = Self(229);
    const LINUX_SLL2: Self = Self(276);

    /// What [`LinkType::is_readable`] holds for, as people call it.
    pub(super) const READABLE: &str = "Ethernet, raw IP, Linux cooked (v1 and v2) and BSD loopback";

    /// Whether segments can be found in frames of this type.
    #[must_use]
    pub fn is_readable(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::RAW_BSD
                | Self::RAW_OPENBSD
                | Self::RAW
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::IPV4
                | Self::IPV6
                | Self::LINUX_SLL2
        )
    }

    /// Offset of the IP header in `frame`.
    #[inline]
    pub(super) fn ip_offset(self, frame: &[u8]) -> Result<usize, Verdict> {
        match self {
            Self::ETHERNET => ip_offset_after(ether_type(frame, 12)?, frame, 14),
            Self::LINUX_SLL => ip_offset_after(ether_type(frame, 14)?, frame, 16),
            Self::LINUX_SLL2 => ip_offset_after(ether_type(frame, 0)?, frame, 20),
            Self::NULL | Self::LOOP => after_family(frame),
            Self::RAW | Self::RAW_BSD | Self::RAW_OPENBSD | Self::IPV4 | Self::IPV6 => {
                match frame.first().ok_or(Verdict::Malformed)? >> 4 {
                    4 | 6 => Ok(0),
                    _ => Err(Verdict::NotIp),
                }
            }
            _ => Err(Verdict::NotIp),
        }
    }

    const fn name(self) -> &'static str {
        match self.0 {
            1 => "Ethernet",
            9 | 50 => "PPP",
            105 => "IEEE 802.11",
            119 | 127 | 192 => "IEEE 802.11 with radio header",
            187 | 201 => "Bluetooth",
            189 | 220 | 249 => "USB",
            195 | 215 | 230 | 283 => "IEEE 802.15.4",
            227 => "CAN",
            239 => "netfilter log",
            252 => "Wireshark upper PDU",
            253 => "netlink",
            258 => "Apple PKTAP",
            _ => "",
        }
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.name() {
            "" => Ok(()),
            name => write!(f, " ({name})"),
        }
    }
}

/// Offset of the IP header in what is of this `kind` and begins at `at`: past any number of VLAN
/// tags, MPLS labels and the like.
#[inline]
pub(super) fn ip_offset_after(
    mut kind: EtherType,
    frame: &[u8],
    mut at: usize,
) -> Result<usize, Verdict> {
    loop {
        (kind, at) = match kind {
            EtherType::IPV4 | EtherType::IPV6 => return Ok(at),
            EtherType::VLAN_TAGGED_FRAME
            | EtherType::PROVIDER_BRIDGING
            | EtherType::VLAN_DOUBLE_TAGGED_FRAME => (ether_type(frame, at + 2)?, at + 4),
            BRIDGED_ETHERNET => (ether_type(frame, at + 12)?, at + 14),
            PPPOE_SESSION => return after_pppoe(frame, at),
            MPLS_UNICAST | MPLS_MULTICAST => return after_labels(frame, at),
            _ => return Err(Verdict::NotIp),
        }
    }
}

/// Offset of what follows the PPPoE header at `at` and the PPP protocol number after it.
fn after_pppoe(frame: &[u8], at: usize) -> Result<usize, Verdict> {
    const HEADER_BYTES: usize = 6;
    match ether_type(frame, at + HEADER_BYTES)? {
        EtherType(0x0021 | 0x0057) => Ok(at + HEADER_BYTES + 2),
        _ => Err(Verdict::NotIp),
    }
}

/// Offset of what follows the labels at `at`. They do not say what that is, so it is an IP packet
/// if it looks like one.
fn after_labels(frame: &[u8], at: usize) -> Result<usize, Verdict> {
    let mut labels = frame.get(at..).ok_or(Verdict::Malformed)?.chunks_exact(4);
    let is_last = |label: &[u8]| label.get(2).is_some_and(|byte| byte & 1 != 0);
    let above = labels.position(is_last).ok_or(Verdict::Malformed)?;
    let at = at + 4 * (above + 1);
    match frame.get(at).ok_or(Verdict::Malformed)? >> 4 {
        4 | 6 => Ok(at),
        _ => Err(Verdict::NotIp),
    }
}

#[inline]
fn ether_type(frame: &[u8], at: usize) -> Result<EtherType, Verdict> {
    let bytes = frame.get(at..).and_then(<[u8]>::first_chunk).ok_or(Verdict::Malformed)?;
    Ok(EtherType(u16::from_be_bytes(*bytes)))
}

/// Offset of what follows a BSD address family. `LOOP` has it in network order and `NULL` in that
/// of whoever captured, which need not be that of the file; families are below 256, so the value
/// tells the order.
fn after_family(frame: &[u8]) -> Result<usize, Verdict> {
    let family = match frame.first_chunk().ok_or(Verdict::Malformed)? {
        [0, 0, 0, family] | [family, 0, 0, 0] => *family,
        _ => return Err(Verdict::NotIp),
    };
    match family {
        // AF_INET everywhere; AF_INET6 of Linux, of NetBSD and OpenBSD, of FreeBSD, of Darwin.
        2 | 10 | 24 | 28 | 30 => Ok(4),
        _ => Err(Verdict::NotIp),
    }
}
