//! Tunnels: where in what an IP packet carries the next IP packet begins.
//!
//! Follows RFC 2003, RFC 2473 and RFC 4213 (IP in IP), RFC 2784, RFC 2890 and RFC 7637 (GRE and
//! NVGRE), RFC 7348 (VXLAN), RFC 8926 (GENEVE), RFC 4023 (MPLS in IP).
//!
//! Invariant: what is no tunnel, or only has the port of one, is not TCP; it is never damage.

use capture_ebpf::Verdict;
use etherparse::{EtherType, IpNumber};

use super::link::{self, BRIDGED_ETHERNET};

const UDP_HEADER_BYTES: usize = 8;
const VXLAN_PORT: u16 = 4789;
/// What Linux took before there was a number, and takes unless told.
const VXLAN_PORT_LINUX: u16 = 8472;
const GENEVE_PORT: u16 = 6081;

/// Offset of the IP packet in `payload`, which is of this `protocol`.
pub(super) fn inner_ip(protocol: IpNumber, payload: &[u8]) -> Result<usize, Verdict> {
    let carried = match protocol {
        IpNumber::IPV4 | IpNumber::IPV6 => return Ok(0),
        IpNumber::UDP => udp(payload),
        IpNumber::GRE => gre(payload),
        IpNumber::MPLS_IN_IP => Some((EtherType(0x8847), 0)),
        _ => None,
    };
    let (kind, at) = carried.ok_or(Verdict::NotTcp)?;
    // Whatever is in it, the packet around it is IP.
    link::ip_offset_after(kind, payload, at).map_err(|verdict| match verdict {
        Verdict::NotIp => Verdict::NotTcp,
        verdict => verdict,
    })
}

/// What a tunnel carries, and where it begins.
type Carried = Option<(EtherType, usize)>;

fn udp(datagram: &[u8]) -> Carried {
    let [_, _, port_high, port_low, ..] = *datagram else { return None };
    let tunnel: &[u8; 8] = datagram.get(UDP_HEADER_BYTES..)?.first_chunk()?;
    match u16::from_be_bytes([port_high, port_low]) {
        VXLAN_PORT | VXLAN_PORT_LINUX => {
            let [flags, ..] = tunnel;
            let has_network_id = flags & 0x08 != 0;
            has_network_id.then_some((BRIDGED_ETHERNET, UDP_HEADER_BYTES + tunnel.len()))
        }
        GENEVE_PORT => {
            let [version_and_len, _, kind_high, kind_low, ..] = *tunnel;
            let options_len = usize::from(version_and_len & 0x3f) * 4;
            let kind = EtherType(u16::from_be_bytes([kind_high, kind_low]));
            let at = UDP_HEADER_BYTES + tunnel.len() + options_len;
            (version_and_len >> 6 == 0).then_some((kind, at))
        }
        _ => None,
    }
}

fn gre(packet: &[u8]) -> Carried {
    let [flags, version, kind_high, kind_low, ..] = *packet else { return None };
    let has = |flag: u8| usize::from(flags & flag != 0);
    let (checksum, routing, key, sequence) = (has(0x80), has(0x40), has(0x20), has(0x10));
    // Version 1 is PPTP's, and source routes went with RFC 2784.
    if version & 7 != 0 || routing != 0 {
        return None;
    }
    let kind = EtherType(u16::from_be_bytes([kind_high, kind_low]));
    Some((kind, 4 + 4 * (checksum + key + sequence)))
}
