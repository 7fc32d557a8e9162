//! What a driver tells of an interface: `linux/ethtool.h`, by the ioctl that needs no privileges.
//!
//! The requests are those of one number each, which are as old as Linux and stay. What has more
//! (features by name, and so ethtool by netlink) is not asked for.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::links;
use super::report::OffloadsRecord;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GRXCSUM: u32 = 0x14;
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_GTSO: u32 = 0x1e;
const ETHTOOL_GGSO: u32 = 0x23;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETH_FLAG_LRO: u32 = 1 << 15;
/// Bytes of an `ethtool_drvinfo`, and where in it the driver's name is, and how long at most.
const DRVINFO_LEN: usize = 196;
const DRIVER: std::ops::Range<usize> = 4..36;
/// Bytes of an `ethtool_channels`: the command, four maxima, four that are in use.
const CHANNELS_LEN: usize = 36;
/// Room for the longest answer.
const ANSWER_LEN: usize = 256;

/// The request and the answer, aligned as the kernel's structures are.
#[repr(C, align(8))]
struct Answer([u8; ANSWER_LEN]);

/// Asks about interfaces of the namespace that the calling thread was in when this was made.
pub(super) struct Ethtool(OwnedFd);

impl Ethtool {
    pub(super) fn new() -> std::io::Result<Self> {
        let kind = (AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC);
        Ok(Self(socket_with(kind.0, kind.1, kind.2, None)?))
    }

    /// The name of its driver.
    pub(super) fn driver(&self, iface: &str) -> Option<String> {
        let answer = self.ask(iface, ETHTOOL_GDRVINFO)?;
        let name = links::text(answer.0.get(..DRVINFO_LEN)?.get(DRIVER)?);
        Some(name).filter(|name| !name.is_empty())
    }

    pub(super) fn offloads(&self, iface: &str) -> OffloadsRecord {
        let number = |command| word(&self.ask(iface, command)?, 1);
        let is_on = |command| number(command).map(|number| number != 0);
        OffloadsRecord {
            gro: is_on(ETHTOOL_GGRO),
            lro: number(ETHTOOL_GFLAGS).map(|flags| flags & ETH_FLAG_LRO != 0),
            tso: is_on(ETHTOOL_GTSO),
            gso: is_on(ETHTOOL_GGSO),
            rx_checksum: is_on(ETHTOOL_GRXCSUM),
            tx_checksum: is_on(ETHTOOL_GTXCSUM),
        }
    }

    /// Queues in use, receiving and sending; those for both count for each.
    pub(super) fn queues(&self, iface: &str) -> Option<(u32, u32)> {
        const _: () = assert!(CHANNELS_LEN <= ANSWER_LEN);
        let answer = self.ask(iface, ETHTOOL_GCHANNELS)?;
        let (rx, tx, both) = (word(&answer, 5)?, word(&answer, 6)?, word(&answer, 8)?);
        Some((rx.saturating_add(both), tx.saturating_add(both)))
    }

    fn ask(&self, iface: &str, command: u32) -> Option<Answer> {
        let mut answer = Answer([0; ANSWER_LEN]);
        answer.0.first_chunk_mut::<4>()?.copy_from_slice(&command.to_ne_bytes());
        // SAFETY: all zeros are an `ifreq` with an empty name.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // The last byte stays the zero that ends the name.
        let room = request.ifr_name.len() - 1;
        if iface.len() > room {
            return None;
        }
        for (to, from) in request.ifr_name.iter_mut().zip(iface.bytes()) {
            *to = from.cast_signed() as libc::c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut answer).cast();
        // SAFETY: the request names a NUL-terminated interface and points to room for every answer
        // to the commands above (the longest is DRVINFO_LEN); both outlive the call.
        let done =
            unsafe { libc::ioctl(self.0.as_fd().as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        (done == 0).then_some(answer)
    }
}

fn word(answer: &Answer, n: usize) -> Option<u32> {
    let (words, _) = answer.0.as_chunks::<4>();
    words.get(n).map(|word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_tells_its_offloads() {
        let ethtool = Ethtool::new().unwrap();
        let offloads = ethtool.offloads("lo");
        assert_eq!((offloads.gro.is_some(), offloads.lro), (true, Some(false)), "{offloads:?}");
        assert_eq!(ethtool.offloads("no-such-iface"), OffloadsRecord::default());
        assert_eq!(ethtool.driver("a-name-that-is-too-long-for-any"), None);
    }
}
