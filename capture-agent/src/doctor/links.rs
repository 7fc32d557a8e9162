//! The interfaces of a network namespace, with what rtnetlink(7) tells of them.

use std::io;
use std::os::fd::OwnedFd;

use crate::source::live::netlink::{self, Message, attributes, field_u16, field_u32};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_CARRIER: u16 = 33;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
/// Bytes of an `ifinfomsg`.
const IFINFO_LEN: usize = 16;
/// The bits of an attribute's type that say how its value is written.
const NLA_FLAGS: u16 = 0xc000;
/// A list that is never whole, because interfaces come and go without end, is given up.
const MAX_ATTEMPTS: u32 = 8;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) index: u32,
    /// `ARPHRD_…`: what the frames on it look like.
    pub(super) hardware: u16,
    pub(super) up: bool,
    pub(super) carrier: Option<bool>,
    pub(super) mtu: Option<u32>,
    pub(super) rx_queues: Option<u32>,
    pub(super) tx_queues: Option<u32>,
    /// `veth`, `bridge`, `vlan` and so on; none for network cards.
    pub(super) kind: Option<String>,
    /// Index of the one that it is upon, or of the other end.
    pub(super) link: Option<u32>,
    /// The id that this namespace has for the one that the other interface is in, where that is
    /// another one, so that the index is one of there.
    pub(super) link_netns: Option<u32>,
    /// Index of the bridge, bond or the like that it is a port of.
    pub(super) master: Option<u32>,
    /// XDP programs: the way of each, and its id.
    pub(super) xdp: Vec<(&'static str, u32)>,
}

impl Link {
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// Whether it is one end of two.
    pub(super) fn is_pair(&self) -> bool {
        self.is("veth") || self.is("netkit")
    }

    pub(super) const fn is_loopback(&self) -> bool {
        self.hardware == libc::ARPHRD_LOOPBACK
    }

    pub(super) const fn is_ethernet(&self) -> bool {
        self.hardware == libc::ARPHRD_ETHER
    }
}

/// All interfaces of the namespace that the socket is of, by their indices.
pub(super) fn list(netlink: &OwnedFd) -> io::Result<Vec<Link>> {
    for _ in 0..MAX_ATTEMPTS {
        let mut all = Vec::new();
        let listed = netlink::dump(netlink, RTM_GETLINK, |message| all.extend(link(message)));
        match listed {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => {
                all.sort_by_key(|link| link.index);
                return Ok(all);
            }
        }
    }
    Err(rustix::io::Errno::BUSY.into())
}

fn link(message: Message<'_>) -> Option<Link> {
    let (info, rest) = message.body.split_at_checked(IFINFO_LEN)?;
    if message.kind != RTM_NEWLINK || info.first().copied() != Some(libc::AF_UNSPEC as u8) {
        return None;
    }
    let mut link = Link {
        hardware: field_u16(info, 2)?,
        index: field_u32(info, 4)?,
        up: field_u32(info, 8)? & libc::IFF_UP.unsigned_abs() != 0,
        ..Link::default()
    };
    for (kind, value) in attributes(rest) {
        let number = || field_u32(value, 0);
        let index = || number().filter(|index| *index != 0);
        match kind & !NLA_FLAGS {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = number(),
            IFLA_LINK => link.link = index(),
            IFLA_MASTER => link.master = index(),
            IFLA_NUM_TX_QUEUES => link.tx_queues = number(),
            IFLA_NUM_RX_QUEUES => link.rx_queues = number(),
            IFLA_CARRIER => link.carrier = value.first().map(|carrier| *carrier != 0),
            IFLA_LINK_NETNSID => link.link_netns = number(),
            IFLA_LINKINFO => link.kind = kind_of(value),
            IFLA_XDP => link.xdp = xdp(value),
            _ => {}
        }
    }
    Some(link)
}

fn kind_of(info: &[u8]) -> Option<String> {
    let mut all = attributes(info);
    all.find_map(|(kind, value)| (kind == IFLA_INFO_KIND).then(|| text(value)))
}

/// The programs that an interface has in its driver, in the kernel's own path, in hardware.
fn xdp(value: &[u8]) -> Vec<(&'static str, u32)> {
    const WAYS: [(u16, &str); 3] = [
        (IFLA_XDP_HW_PROG_ID, "offloaded"),
        (IFLA_XDP_DRV_PROG_ID, "native"),
        (IFLA_XDP_SKB_PROG_ID, "generic"),
    ];
    let number = |wanted: u16| {
        let mut all = attributes(value);
        all.find_map(|(kind, value)| (kind == wanted).then(|| field_u32(value, 0))?)
    };
    let programs: Vec<_> =
        WAYS.into_iter().filter_map(|(kind, way)| Some((way, number(kind)?))).collect();
    if !programs.is_empty() {
        return programs;
    }
    // Before Linux 4.19 there was one for all.
    let mut all = attributes(value);
    let attached = all.find_map(|(kind, value)| (kind == IFLA_XDP_ATTACHED).then_some(value));
    let way = match attached.and_then(|value| value.first()) {
        Some(1) => "native",
        Some(2) => "generic",
        Some(3) => "offloaded",
        _ => return Vec::new(),
    };
    number(IFLA_XDP_PROG_ID).map(|id| (way, id)).into_iter().collect()
}

/// A text that the kernel ends with a zero.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_them() {
        let all = list(&netlink::socket().unwrap()).unwrap();
        let lo = all.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.is_loopback() && lo.index == 1 && lo.kind.is_none(), "{lo:?}");
        assert!(lo.mtu.is_some_and(|mtu| mtu >= 1500), "{lo:?}");
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = (4 + value.len()) as u16;
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value, &padding].concat()
    }

    #[test]
    fn a_link_is_read_with_its_kind_its_stack_and_its_xdp() {
        let mut info = [0; IFINFO_LEN];
        info[2..4].copy_from_slice(&libc::ARPHRD_ETHER.to_ne_bytes());
        info[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        info[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        let programs = [
            attribute(IFLA_XDP_ATTACHED, &[4]),
            attribute(IFLA_XDP_SKB_PROG_ID, &31_u32.to_ne_bytes()),
            attribute(IFLA_XDP_DRV_PROG_ID, &30_u32.to_ne_bytes()),
        ];
        let body = [
            info.to_vec(),
            attribute(IFLA_IFNAME, b"veth1\0"),
            attribute(IFLA_MTU, &9000_u32.to_ne_bytes()),
            attribute(IFLA_LINK, &8_u32.to_ne_bytes()),
            attribute(IFLA_LINK_NETNSID, &0_u32.to_ne_bytes()),
            attribute(IFLA_MASTER, &3_u32.to_ne_bytes()),
            attribute(IFLA_CARRIER, &[1]),
            attribute(IFLA_LINKINFO | 0x8000, &attribute(IFLA_INFO_KIND, b"veth\0")),
            attribute(IFLA_XDP | 0x8000, &programs.concat()),
        ]
        .concat();
        let head = [&((16 + body.len()) as u32).to_ne_bytes()[..], &RTM_NEWLINK.to_ne_bytes()];
        let received = [head.concat(), vec![0; 10], body].concat();
        let read: Vec<_> = netlink::messages(&received).filter_map(link).collect();
        let expected = Link {
            name: "veth1".to_owned(),
            index: 7,
            hardware: libc::ARPHRD_ETHER,
            up: true,
            carrier: Some(true),
            mtu: Some(9000),
            kind: Some("veth".to_owned()),
            link: Some(8),
            link_netns: Some(0),
            master: Some(3),
            xdp: vec![("native", 30), ("generic", 31)],
            ..Link::default()
        };
        assert_eq!(read, [expected]);
    }
}
