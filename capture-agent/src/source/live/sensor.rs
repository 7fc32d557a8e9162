//! Capturing on a mirror port: frames of others arrive, in both directions, and nothing that is for
//! the host.
//!
//! A network card passes on what is for others while it is promiscuous (packet(7)). The membership
//! that asks for it is of a socket, and ends with the process however that goes.
//!
//! Invariant: an interface that the host talks over is not taken for a mirror port unless forced;
//! what would be consumed there is the host's own traffic.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::LiveError;
use super::iface::Iface;

/// How a mirror port is captured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sensor {
    /// Whether all frames that arrive on it end in XDP, once those that are selected were recorded.
    pub consume: bool,
    /// Whether also an interface will do that the host talks over.
    pub force: bool,
}

/// An address, and the index of the interface that has it.
pub(super) type Address = (u32, IpAddr);

impl Sensor {
    /// Whether `iface` may be a mirror port: one that the host has given no address, and put
    /// nothing upon. A link-local IPv6 address does not count, for the kernel gives one to any
    /// interface that is up; where frames are consumed, it is not reached any more.
    ///
    /// # Errors
    /// [`LiveError::NoMirrorPort`].
    pub(super) fn check(
        self,
        iface: &Iface,
        all: &[Iface],
        addresses: &[Address],
    ) -> Result<(), LiveError> {
        let own = |(index, ip): &&Address| *index == iface.index && !is_link_local(ip);
        let has = match addresses.iter().find(own) {
            Some((_, ip)) => Some(format!("has the host's address {ip}")),
            None => carried(iface, all).map(|other| format!("carries '{other}'")),
        };
        match has.filter(|_| !self.force) {
            None => Ok(()),
            Some(has) => Err(LiveError::NoMirrorPort {
                iface: iface.name.clone(),
                has,
                then: if self.consume {
                    "--consume would cut the host off there: nothing would arrive any more"
                } else {
                    "what is sent there would not be seen"
                },
            }),
        }
    }
}

fn is_link_local(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local() || *ip == Ipv6Addr::UNSPECIFIED)
}

/// What gets its frames from an interface: the bridge or bond that it is a port of, or a VLAN or the
/// like upon it. The two ends of a veth name each other, and neither carries the other.
fn carried<'a>(iface: &Iface, all: &'a [Iface]) -> Option<&'a str> {
    let carried = |other: &&Iface| {
        let upon = other.link == Some(iface.index) && iface.link != Some(other.index);
        iface.master == Some(other.index) || upon
    };
    all.iter().find(carried).map(|other| &*other.name)
}

/// Has an interface be promiscuous for as long as the socket lives.
pub(super) fn promiscuous(ifindex: u32) -> io::Result<OwnedFd> {
    // Of no protocol: it is not given a single packet.
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let membership = libc::packet_mreq {
        mr_ifindex: i32::try_from(ifindex).map_err(io::Error::other)?,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    // SAFETY: the option takes a `packet_mreq`, which is as long as stated, and copies it.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const membership).cast(),
            size_of_val(&membership) as libc::socklen_t,
        )
    };
    if set == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iface(name: &str, index: u32) -> Iface {
        Iface {
            name: name.to_owned(),
            index,
            hardware: libc::ARPHRD_ETHER,
            up: true,
            link: None,
            master: None,
        }
    }

    fn told(sensor: Sensor, iface: &Iface, all: &[Iface], addresses: &[Address]) -> Option<String> {
        sensor.check(iface, all, addresses).err().map(|error| error.to_string())
    }

    #[test]
    fn an_interface_with_an_address_is_no_mirror_port() {
        let (port, sensor) = (iface("mon0", 2), Sensor::default());
        let at = |index, ip: &str| (index, ip.parse().unwrap());
        let elsewhere = [at(2, "fe80::1"), at(3, "10.0.0.1")];
        assert_eq!(told(sensor, &port, &[], &elsewhere), None);
        for ip in ["10.0.0.1", "169.254.0.1", "2001:db8::1", "fd00::1"] {
            let told = told(sensor, &port, &[], &[at(2, ip)]).unwrap();
            assert!(told.contains("'mon0'") && told.contains(ip), "{told}");
        }
        let consume = Sensor { consume: true, force: false };
        assert!(told(consume, &port, &[], &[at(2, "10.0.0.1")]).unwrap().contains("cut"));
        let force = Sensor { consume: true, force: true };
        assert_eq!(told(force, &port, &[], &[at(2, "10.0.0.1")]), None);
    }

    #[test]
    fn an_interface_that_carries_another_is_no_mirror_port() {
        let bridge = iface("br0", 7);
        let port = Iface { master: Some(7), ..iface("eth0", 2) };
        let vlan = Iface { link: Some(2), ..iface("eth0.5", 8) };
        let told = |iface: &Iface, all: &[Iface]| told(Sensor::default(), iface, all, &[]);
        assert!(told(&port, &[port.clone(), bridge]).unwrap().contains("'br0'"));
        let plain = iface("eth0", 2);
        assert!(told(&plain, &[plain.clone(), vlan]).unwrap().contains("'eth0.5'"));
        let ends = [(2, 3), (3, 2)]
            .map(|(index, link)| Iface { link: Some(link), ..iface("veth", index) });
        assert_eq!(told(&ends[0], &ends), None);
    }
}
