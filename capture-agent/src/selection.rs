//! Which segments are wanted: `--port` and `--host`, as text, as a test, and as what the kernel
//! half is told.
//!
//! A segment is selected if either of its ports is in the port set and, where hosts are named,
//! either of its addresses is in one of them.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::str::FromStr;

use capture_ebpf::flow_hash;

use crate::segment::Endpoint;

/// What was wrong with the text of a selection.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectionError {
    /// Not a port, a range of ports, or `any`.
    #[error("'{0}' is not a port (1 to 65535), a range of ports like 8000-8080, or 'any'")]
    Port(String),
    /// A range that ends before it begins.
    #[error("the port range '{0}' ends before it begins")]
    PortRange(String),
    /// Not an address or a network.
    #[error("'{0}' is not an IP address or a network like 10.0.0.0/8 or 2001:db8::/32")]
    Host(String),
    /// A prefix longer than its address.
    #[error("the prefix length of '{0}' is longer than the address")]
    PrefixLength(String),
    /// Not a share of the flows.
    #[error("'{0}' is not a share like 1/100")]
    Sample(String),
}

/// A set of TCP ports.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet {
    /// Bit `p % 64` of word `p / 64` for port `p`, as in the kernel half; `None` for every port.
    words: Option<Box<[u64; capture_ebpf::PORT_WORDS as usize]>>,
    text: String,
}

impl PortSet {
    /// Every port.
    #[must_use]
    pub fn any() -> Self {
        Self { words: None, text: "any".to_owned() }
    }

    /// Whether every port is in the set.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.words.is_none()
    }

    /// Whether `port` is in the set.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.words.as_ref().is_none_or(|words| {
            words.get(usize::from(port / 64)).is_some_and(|word| word >> (port % 64) & 1 == 1)
        })
    }

    /// The set as the kernel half takes it, `None` for every port.
    #[must_use]
    pub fn words(&self) -> Option<&[u64]> {
        self.words.as_ref().map(|words| words.as_slice())
    }
}

impl FromStr for PortSet {
    type Err = SelectionError;

    /// Ports and ranges between commas, or `any`: `80,8000-8080`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::any());
        }
        let mut words = Box::new([0_u64; capture_ebpf::PORT_WORDS as usize]);
        for item in text.split(',').map(str::trim) {
            let (first, last) = parse_port_range(item)?;
            for port in first..=last {
                if let Some(word) = words.get_mut(usize::from(port / 64)) {
                    *word |= 1 << (port % 64);
                }
            }
        }
        Ok(Self { words: Some(words), text: text.to_owned() })
    }
}

fn parse_port_range(item: &str) -> Result<(u16, u16), SelectionError> {
    let port = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| SelectionError::Port(item.to_owned()))
    };
    match item.split_once('-') {
        None => port(item).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            if first > last {
                return Err(SelectionError::PortRange(item.to_owned()));
            }
            Ok((first, last))
        }
    }
}

impl std::fmt::Display for PortSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for PortSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortSet({})", self.text)
    }
}

/// A network of hosts: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostNet {
    addr: Ipv6Addr,
    prefix_len: u8,
}

impl HostNet {
    /// First address of the network, IPv4 as IPv4-mapped.
    #[must_use]
    pub const fn addr(&self) -> Ipv6Addr {
        self.addr
    }

    /// Bits that count, from 0 to 128: an IPv4 network has 96 more than people write.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Whether `addr` (IPv4 as IPv4-mapped) is in the network.
    #[must_use]
    pub fn contains(&self, addr: Ipv6Addr) -> bool {
        (u128::from(addr) ^ u128::from(self.addr)) & mask(self.prefix_len) == 0
    }
}

fn mask(prefix_len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0)
}

impl FromStr for HostNet {
    type Err = SelectionError;

    /// An address, or a network as `address/bits`; bits of the address past the prefix are cleared.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addr, bits) = match text.split_once('/') {
            Some((addr, bits)) => (addr, Some(bits)),
            None => (text, None),
        };
        let not_a_host = || SelectionError::Host(text.to_owned());
        let ip: IpAddr = addr.trim().parse().map_err(|_| not_a_host())?;
        let (addr, width, mapped) = match ip {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped(), 32, 96),
            IpAddr::V6(v6) => (v6, 128, 0),
        };
        let bits = match bits {
            Some(bits) => bits.trim().parse::<u8>().map_err(|_| not_a_host())?,
            None => width,
        };
        if bits > width {
            return Err(SelectionError::PrefixLength(text.to_owned()));
        }
        let prefix_len = bits + mapped;
        Ok(Self { addr: Ipv6Addr::from(u128::from(addr) & mask(prefix_len)), prefix_len })
    }
}

/// One flow in so many: the same flows whenever and wherever they are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(NonZeroU32);

impl Sample {
    /// Every flow.
    pub const ALL: Self = Self(NonZeroU32::MIN);

    /// How many flows there are for each that is taken.
    #[must_use]
    pub const fn one_in(self) -> u32 {
        self.0.get()
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self::ALL
    }
}

impl FromStr for Sample {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one_in = text.strip_prefix("1/").and_then(|one_in| one_in.parse().ok());
        one_in.map(Self).ok_or_else(|| SelectionError::Sample(text.to_owned()))
    }
}

/// Ports, hosts and sample together.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Ports, on either end.
    pub ports: PortSet,
    /// Hosts, on either end; every host where empty.
    pub hosts: Vec<HostNet>,
    /// How many of the flows.
    pub sample: Sample,
}

impl Selection {
    /// Whether the ports of a segment between these ends are selected.
    #[must_use]
    pub fn selects_ports(&self, src: Endpoint, dst: Endpoint) -> bool {
        self.ports.contains(src.port) || self.ports.contains(dst.port)
    }

    /// Whether the hosts of a segment between these ends are selected.
    #[must_use]
    pub fn selects_hosts(&self, src: Endpoint, dst: Endpoint) -> bool {
        self.hosts.is_empty()
            || self.hosts.iter().any(|net| net.contains(src.addr) || net.contains(dst.addr))
    }

    /// Whether the flow between these ends is in the sample.
    #[must_use]
    pub fn samples(&self, src: Endpoint, dst: Endpoint) -> bool {
        let one_in = self.sample.one_in();
        let addrs = [src.addr.octets(), dst.addr.octets()];
        one_in == 1 || flow_hash(addrs, [src.port, dst.port], 0).is_sample(one_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_whole_flows_and_as_many_as_it_says() {
        let sample: Sample = "1/8".parse().unwrap();
        let selection = Selection { ports: PortSet::any(), hosts: Vec::new(), sample };
        let server = Endpoint::v4([10, 0, 0, 1], 80);
        let clients = (1_024..9_216).map(|port| Endpoint::v4([10, 0, 0, 2], port));
        let taken = clients.filter(|client| {
            assert_eq!(selection.samples(*client, server), selection.samples(server, *client));
            selection.samples(*client, server)
        });
        let taken = taken.count();
        assert!(taken.abs_diff(1_024) < 100, "{taken}");
        assert_eq!("1/1".parse(), Ok(Sample::ALL));
        for bad in ["", "1/", "1/0", "2/3", "8", "1/8x", "1/-8"] {
            assert_eq!(bad.parse::<Sample>(), Err(SelectionError::Sample(bad.to_owned())));
        }
    }

    #[test]
    fn ports_come_as_numbers_ranges_and_any() {
        let set: PortSet = "80, 8000-8002,65535".parse().unwrap();
        for port in [80, 8000, 8001, 8002, 65535] {
            assert!(set.contains(port), "{port}");
        }
        for port in [0, 79, 81, 7999, 8003, 65534] {
            assert!(!set.contains(port), "{port}");
        }
        assert!("any".parse::<PortSet>().unwrap().contains(1));
    }

    #[test]
    fn what_is_not_a_port_list_is_named() {
        for bad in ["", "80,", "0", "65536", "http", "80-", "-80", "1-2-3", "80;81", "anything"] {
            let error = bad.parse::<PortSet>().unwrap_err();
            assert!(matches!(error, SelectionError::Port(_)), "{bad}: {error}");
        }
        let error = "90-80".parse::<PortSet>().unwrap_err();
        assert_eq!(error, SelectionError::PortRange("90-80".to_owned()));
    }

    #[test]
    fn hosts_match_by_prefix_in_both_families() {
        let net: HostNet = "10.1.2.3/8".parse().unwrap();
        assert_eq!(net.prefix_len(), 104);
        assert!(net.contains(Endpoint::v4([10, 9, 9, 9], 1).addr));
        assert!(!net.contains(Endpoint::v4([11, 9, 9, 9], 1).addr));
        let net: HostNet = "2001:db8::/32".parse().unwrap();
        assert!(net.contains("2001:db8:1::1".parse().unwrap()));
        assert!(!net.contains("2001:db9::1".parse().unwrap()));
        let everything: HostNet = "::/0".parse().unwrap();
        assert!(everything.contains(Ipv6Addr::LOCALHOST));
        let v4: HostNet = "0.0.0.0/0".parse().unwrap();
        assert!(v4.contains(Endpoint::v4([1, 2, 3, 4], 1).addr));
        assert!(!v4.contains(Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn what_is_not_a_network_is_named() {
        for bad in ["", "10.0.0.0/x", "example.com", "10.0.0/8", "10.0.0.0/8/8", "10.0.0.0/-1"] {
            assert!(matches!(bad.parse::<HostNet>(), Err(SelectionError::Host(_))), "{bad}");
        }
        for bad in ["10.0.0.0/33", "::/129"] {
            assert!(
                matches!(bad.parse::<HostNet>(), Err(SelectionError::PrefixLength(_))),
                "{bad}"
            );
        }
    }
}
