//! The interfaces there are, and whether one can be captured on.
//!
//! They come from the kernel by netlink (`getifaddrs`), not from `/sys`, which may show another
//! network namespace than the one that the process is in.

use std::ffi::CStr;
use std::{io, ptr};

use super::LiveError;

/// An interface of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Iface {
    pub(super) name: String,
    pub(super) index: u32,
    /// `ARPHRD_…`: what the frames on it look like.
    pub(super) hardware: u16,
    pub(super) up: bool,
}

impl Iface {
    /// Whether each packet comes by twice, once as sent and once as received.
    pub(super) const fn is_loopback(&self) -> bool {
        self.hardware == libc::ARPHRD_LOOPBACK
    }
}

/// The interfaces of these names, each once, in order.
///
/// # Errors
/// The first one that can't be captured on, with the reason.
pub(super) fn find(names: &[String]) -> Result<Vec<Iface>, LiveError> {
    let all = list().map_err(LiveError::Interfaces)?;
    let mut found: Vec<Iface> = Vec::new();
    for name in names {
        let iface = check(name, &all)?;
        if !found.contains(iface) {
            found.push(iface.clone());
        }
    }
    Ok(found)
}

fn check<'a>(name: &str, all: &'a [Iface]) -> Result<&'a Iface, LiveError> {
    let Some(iface) = all.iter().find(|iface| iface.name == name) else {
        let there = all.iter().map(|iface| iface.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(LiveError::NoSuchInterface { name: name.to_owned(), there });
    };
    if !matches!(iface.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK) {
        return Err(LiveError::NotEthernet(name.to_owned()));
    }
    if !iface.up {
        return Err(LiveError::InterfaceDown(name.to_owned()));
    }
    Ok(iface)
}

fn list() -> io::Result<Vec<Iface>> {
    let mut head = ptr::null_mut();
    // SAFETY: `head` is where the call puts the list.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut all = Vec::new();
    let mut entry: *const libc::ifaddrs = head;
    // SAFETY: each entry is null or one of the list, which lives until `freeifaddrs`.
    while let Some(ifaddrs) = unsafe { entry.as_ref() } {
        // SAFETY: as above.
        all.extend(unsafe { link_layer(ifaddrs) });
        entry = ifaddrs.ifa_next;
    }
    // SAFETY: the list came from `getifaddrs`, and nothing points into it any more.
    unsafe { libc::freeifaddrs(head) };
    Ok(all)
}

/// The interface, from its link-layer entry; the entries of its IP addresses say nothing more.
///
/// # Safety
/// `entry` is of a living list from `getifaddrs`.
unsafe fn link_layer(entry: &libc::ifaddrs) -> Option<Iface> {
    // SAFETY: the name is a C string of the list.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
    let up = entry.ifa_flags & libc::IFF_UP.unsigned_abs() != 0;
    // SAFETY: an address is null or valid as long as the list, and begins with its family.
    let Some(addr) = (unsafe { entry.ifa_addr.as_ref() }) else {
        // Only what has no hardware address, such as a tunnel, has an entry without address.
        return Some(Iface { name, index: 0, hardware: libc::ARPHRD_NONE, up });
    };
    if i32::from(addr.sa_family) != libc::AF_PACKET {
        return None;
    }
    // SAFETY: an address of that family is a `sockaddr_ll`.
    let link = unsafe { entry.ifa_addr.cast::<libc::sockaddr_ll>().as_ref()? };
    let index = u32::try_from(link.sll_ifindex).ok()?;
    Some(Iface { name, index, hardware: link.sll_hatype, up })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iface(name: &str, hardware: u16, up: bool) -> Iface {
        Iface { name: name.to_owned(), index: 1, hardware, up }
    }

    #[test]
    fn loopback_is_among_the_interfaces() {
        let all = list().unwrap();
        let lo = all.iter().find(|iface| iface.name == "lo").unwrap();
        assert_eq!((lo.index, lo.is_loopback()), (1, true));
    }

    #[test]
    fn what_can_not_be_captured_on_is_told_with_what_to_do() {
        let all = [
            iface("lo", libc::ARPHRD_LOOPBACK, true),
            iface("eth0", libc::ARPHRD_ETHER, false),
            iface("tun0", libc::ARPHRD_NONE, true),
        ];
        let told = |name| check(name, &all).unwrap_err().to_string();
        assert_eq!(told("eth7"), "there is no interface 'eth7'; there are: lo, eth0, tun0");
        assert_eq!(
            told("eth0"),
            "the interface 'eth0' is down; bring it up with `ip link set eth0 up`"
        );
        assert_eq!(
            told("tun0"),
            "the interface 'tun0' carries no Ethernet frames; choose one that does, or 'lo'"
        );
        assert!(check("lo", &all).is_ok());
    }
}
