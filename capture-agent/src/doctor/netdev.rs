//! What drivers can do with XDP: the generic netlink family `netdev` (Linux 6.3 and later), after
//! `linux/netdev.h` and `linux/genetlink.h`.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::net::netlink;

use super::report::XdpRecord;
use crate::source::live::netlink::{
    NLM_F_DUMP, NLM_F_REQUEST, attributes, exchange, field_u16, field_u32, socket_of,
};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_BASIC: u32 = 1;
const NETDEV_XDP_ACT_RX_SG: u32 = 32;
/// Bytes of a `genlmsghdr`.
const GENL_LEN: usize = 4;

/// XDP in the driver of each interface of the calling thread's namespace, by index; none where the
/// kernel does not tell.
pub(super) fn xdp() -> HashMap<u32, XdpRecord> {
    asked().unwrap_or_default()
}

fn asked() -> Option<HashMap<u32, XdpRecord>> {
    let socket = socket_of(Some(netlink::GENERIC)).ok()?;
    let family = family(&socket)?;
    let mut all = HashMap::new();
    let dump = request(family, NLM_F_DUMP, NETDEV_CMD_DEV_GET, &[]);
    exchange(&socket, &dump, |message| all.extend(features(message.body))).ok()?;
    Some(all)
}

/// The number of the family, which the kernel gives out as it starts.
fn family(socket: &OwnedFd) -> Option<u16> {
    const NAME: &[u8; 8] = b"netdev\0\0";
    let attribute =
        [&11_u16.to_ne_bytes()[..], &CTRL_ATTR_FAMILY_NAME.to_ne_bytes(), NAME].concat();
    // An answer that is not a dump is one message, and an acknowledgement comes after it.
    const NLM_F_ACK: u16 = 4;
    let request = request(GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY, &attribute);
    let mut family = None;
    exchange(socket, &request, |message| {
        let rest = message.body.get(GENL_LEN..).unwrap_or_default();
        let mut all = attributes(rest);
        family = all.find_map(|(kind, value)| {
            (kind == CTRL_ATTR_FAMILY_ID).then(|| field_u16(value, 0))?
        });
    })
    .ok()?;
    family
}

fn features(body: &[u8]) -> Option<(u32, XdpRecord)> {
    let rest = body.get(GENL_LEN..)?;
    let number = |wanted| {
        let mut all = attributes(rest);
        let value = all.find_map(|(kind, value)| (kind == wanted).then_some(value))?;
        // The features are 64 bits wide, the ones that matter among the lower half.
        match value.first_chunk::<8>() {
            Some(bytes) => u32::try_from(u64::from_ne_bytes(*bytes) & 0xffff_ffff).ok(),
            None => field_u32(value, 0),
        }
    };
    let (ifindex, features) = (number(NETDEV_A_DEV_IFINDEX)?, number(NETDEV_A_DEV_XDP_FEATURES)?);
    let native = Some(features & NETDEV_XDP_ACT_BASIC != 0);
    let frags = Some(features & NETDEV_XDP_ACT_RX_SG != 0);
    Some((ifindex, XdpRecord { native, frags }))
}

fn request(family: u16, flags: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let len = (16 + GENL_LEN + attributes.len()) as u32;
    let mut request = Vec::new();
    request.extend(len.to_ne_bytes());
    request.extend(family.to_ne_bytes());
    request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    request.extend([0; 8]); // sequence number and port
    request.extend([command, 1, 0, 0]);
    request.extend(attributes);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_as_they_come() {
        let index = [&8_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &7_u32.to_ne_bytes()].concat();
        let word = |features: u64| {
            [&12_u16.to_ne_bytes()[..], &3_u16.to_ne_bytes(), &features.to_ne_bytes()].concat()
        };
        let of = |features| features_of(&[&[0; GENL_LEN][..], &index, &word(features)].concat());
        fn features_of(body: &[u8]) -> Option<(u32, XdpRecord)> {
            features(body)
        }
        let told =
            |native, frags| Some((7, XdpRecord { native: Some(native), frags: Some(frags) }));
        assert_eq!(of(0), told(false, false));
        assert_eq!(of(0x1), told(true, false));
        assert_eq!(of(0x27), told(true, true));
        assert_eq!(features(&[0; 3]), None);
    }

    #[test]
    fn a_kernel_that_tells_has_loopback_without_native_xdp() {
        let all = xdp();
        if let Some(lo) = all.get(&1) {
            assert_eq!(lo.native, Some(false));
        }
    }
}
