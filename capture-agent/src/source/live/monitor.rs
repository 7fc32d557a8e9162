//! The interfaces of a network namespace, as they are and as they change: rtnetlink(7).
//!
//! Invariant: what is listed after a change was missed is newer than all that was missed.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::iface::Iface;
use super::netlink::{self, Message};
use super::sensor::Address;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Bytes of an `ifinfomsg`.
const IFINFO_LEN: usize = 16;
/// Bytes of an `ifaddrmsg`.
const IFADDR_LEN: usize = 8;
/// A list that is never whole, because interfaces come and go without end, is taken as it is.
const MAX_ATTEMPTS: u32 = 8;

/// Something happened to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkEvent {
    /// It is there, new or changed.
    There(Iface),
    /// The interface of this index is gone.
    Gone(u32),
    /// Events were lost: only the list of all tells what is there.
    Missed,
}

/// Looks at the interfaces of the namespace that the thread was in when this was made.
#[derive(Debug)]
pub(super) struct Monitor {
    events: OwnedFd,
    requests: OwnedFd,
}

impl Monitor {
    /// Told of every change from now on.
    pub(super) fn new() -> io::Result<Self> {
        let events = netlink::subscribed(libc::RTMGRP_LINK)?;
        Ok(Self { events, requests: netlink::socket()? })
    }

    /// All interfaces that there are.
    pub(super) fn list(&self) -> io::Result<Vec<Iface>> {
        self.all(RTM_GETLINK, |message| match event(message) {
            Some(LinkEvent::There(iface)) => Some(iface),
            _ => None,
        })
    }

    /// All addresses that interfaces have.
    pub(super) fn addresses(&self) -> io::Result<Vec<Address>> {
        self.all(RTM_GETADDR, address)
    }

    /// Everything of a kind that there is.
    fn all<T>(&self, kind: u16, read: impl Fn(&Message<'_>) -> Option<T>) -> io::Result<Vec<T>> {
        for _ in 0..MAX_ATTEMPTS {
            let mut all = Vec::new();
            let listed = netlink::dump(&self.requests, kind, |message| all.extend(read(&message)));
            match listed {
                Err(Errno::INTR) => {}
                listed => return listed.map(|()| all).map_err(Into::into),
            }
        }
        Err(Errno::BUSY.into())
    }

    /// Whether this is what the interface of this index is called now.
    pub(super) fn is(&self, iface: &Iface) -> bool {
        let index = rustix::net::netdevice::name_to_index(&self.requests, &iface.name);
        index == Ok(iface.index)
    }

    /// What has happened since it was asked last; never waits.
    pub(super) fn changes(&self) -> io::Result<Vec<LinkEvent>> {
        let mut changes = Vec::new();
        let mut buffer = [0; netlink::REPLY_LEN];
        loop {
            match recv(&self.events, &mut buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, len)) => match buffer.get(..len) {
                    Some(received) => {
                        changes.extend(netlink::messages(received).filter_map(|m| event(&m)));
                    }
                    None => changes.push(LinkEvent::Missed),
                },
                Err(Errno::NOBUFS) => changes.push(LinkEvent::Missed),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // What was queued before it may be older than the list that is to be asked for.
        if changes.contains(&LinkEvent::Missed) {
            changes = vec![LinkEvent::Missed];
        }
        Ok(changes)
    }
}

impl AsFd for Monitor {
    /// Readable when something has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// What a message says of an interface. Those of other families are of what an interface is to
/// them: a port that leaves a bridge is "deleted" as a port.
fn event(message: &Message<'_>) -> Option<LinkEvent> {
    let (info, rest) = message.body.split_at_checked(IFINFO_LEN)?;
    if info.first().copied() != Some(libc::AF_UNSPEC as u8) {
        return None;
    }
    let index = netlink::field_u32(info, 4)?;
    match message.kind {
        RTM_DELLINK => Some(LinkEvent::Gone(index)),
        RTM_NEWLINK => {
            let attribute = |wanted| {
                let mut all = netlink::attributes(rest);
                all.find_map(|(kind, value)| (kind == wanted).then_some(value))
            };
            let other = |kind| netlink::field_u32(attribute(kind)?, 0).filter(|index| *index != 0);
            let name = attribute(IFLA_IFNAME)?;
            let name = name.strip_suffix(b"\0").unwrap_or(name);
            Some(LinkEvent::There(Iface {
                name: String::from_utf8_lossy(name).into_owned(),
                index,
                hardware: netlink::field_u16(info, 2)?,
                up: netlink::field_u32(info, 8)? & libc::IFF_UP.unsigned_abs() != 0,
                link: other(IFLA_LINK),
                master: other(IFLA_MASTER),
            }))
        }
        _ => None,
    }
}

/// The address that a message is of.
fn address(message: &Message<'_>) -> Option<Address> {
    let (info, rest) = message.body.split_at_checked(IFADDR_LEN)?;
    if message.kind != RTM_NEWADDR {
        return None;
    }
    let attribute = |wanted| {
        let mut all = netlink::attributes(rest);
        all.find_map(|(kind, value)| (kind == wanted).then_some(value))
    };
    // Where there is another end, the address is that one's, and the local one is apart.
    let bytes = attribute(IFA_LOCAL).or_else(|| attribute(IFA_ADDRESS))?;
    let ip = match *info.first()? {
        family if i32::from(family) == libc::AF_INET => {
            IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)
        }
        family if i32::from(family) == libc::AF_INET6 => {
            IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)
        }
        _ => return None,
    };
    Some((netlink::field_u32(info, 4)?, ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_its_address() {
        let addresses = Monitor::new().unwrap().addresses().unwrap();
        assert!(addresses.contains(&(1, IpAddr::from([127, 0, 0, 1]))), "{addresses:?}");
    }

    #[test]
    fn loopback_is_among_the_interfaces() {
        let monitor = Monitor::new().unwrap();
        let all = monitor.list().unwrap();
        let lo = all.iter().find(|iface| iface.name == "lo").unwrap();
        assert_eq!((lo.index, lo.is_loopback()), (1, true));
        assert!(monitor.is(lo));
        assert!(!monitor.is(&Iface { index: 2, ..lo.clone() }));
        assert_eq!(monitor.changes().unwrap(), []);
    }

    #[test]
    fn a_bridge_port_that_leaves_its_bridge_is_still_there() {
        let event = |kind, family| {
            let mut body = [0; IFINFO_LEN];
            (body[0], body[4]) = (family, 7);
            let len = (16 + IFINFO_LEN) as u32;
            let head = [&len.to_ne_bytes()[..], &u16::to_ne_bytes(kind), &[0; 10]].concat();
            let received = [&head[..], &body].concat();
            netlink::messages(&received).find_map(|message| event(&message))
        };
        assert_eq!(event(RTM_DELLINK, libc::AF_UNSPEC as u8), Some(LinkEvent::Gone(7)));
        assert_eq!(event(RTM_DELLINK, libc::AF_BRIDGE as u8), None);
    }
}
