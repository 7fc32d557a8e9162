//! Pairs of interfaces whose ends are in two network namespaces that are both captured in.
//!
//! What is seen in two namespaces never meets (see [`crate::source::live`]): there an exchange comes
//! twice. Each namespace has ids of its own for others (rtnetlink(7)), and tells by them where the
//! other end of a pair is.

use std::os::fd::{AsRawFd as _, OwnedFd};

use super::links::Link;
use super::report::{Finding, InterfaceRecord};
use crate::source::live::Namespace;
use crate::source::live::netlink::{NLM_F_REQUEST, attributes, exchange, field_u32};

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
const NLM_F_ACK: u16 = 4;
/// Bytes of a `rtgenmsg`, with what fills it up.
const RTGEN_LEN: usize = 4;

/// The id that the socket's namespace has for another one; none where it has given it none.
pub(super) fn id_of(netlink: &OwnedFd, other: &Namespace) -> Option<u32> {
    let mut request = Vec::new();
    request.extend(28_u32.to_ne_bytes());
    request.extend(RTM_GETNSID.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    request.extend([0; 8 + RTGEN_LEN]); // sequence number, port, family
    request.extend(8_u16.to_ne_bytes());
    request.extend(NETNSA_FD.to_ne_bytes());
    request.extend(other.handle().as_raw_fd().to_ne_bytes());
    let mut id = None;
    exchange(netlink, &request, |message| {
        let rest = message.body.get(RTGEN_LEN..).filter(|_| message.kind == RTM_NEWNSID);
        let mut all = attributes(rest.unwrap_or_default());
        id = all.find_map(|(kind, value)| (kind == NETNSA_NSID).then(|| field_u32(value, 0))?);
    })
    .ok()?;
    // -1 stands for none.
    id.filter(|id| *id != u32::MAX)
}

/// What a namespace tells of ends elsewhere.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Those that would be captured on: name, index, index of the other end, id of where that is.
    chosen: Vec<(String, u32, u32, u32)>,
    /// Its ids of the namespaces that are captured in, in their order.
    ids: Vec<Option<u32>>,
}

impl Ends {
    pub(super) fn new(all: &[Link], interfaces: &[InterfaceRecord], ids: Vec<Option<u32>>) -> Self {
        let is_chosen = |link: &&Link| {
            interfaces.iter().any(|record| record.chosen && record.ifindex == link.index)
        };
        let pairs = all.iter().filter(is_chosen).filter(|link| link.is_pair());
        let ends = pairs
            .filter_map(|link| Some((link.name.clone(), link.index, link.link?, link.link_netns?)));
        Self { chosen: ends.collect(), ids }
    }
}

/// Pairs with both ends among what is captured on, in the namespaces of these names.
pub(super) fn findings(names: &[Option<String>], seen: &[Ends]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (n, (here, name)) in seen.iter().zip(names).enumerate() {
        for (there, (other, other_name)) in seen.iter().zip(names).enumerate().skip(n + 1) {
            let id = here.ids.get(there).copied().flatten();
            for (iface, index, peer, netns) in &here.chosen {
                let ends = &mut other.chosen.iter();
                let end = ends.find(|(_, at, back, _)| at == peer && back == index);
                let Some((end, ..)) = end.filter(|_| id == Some(*netns)) else { continue };
                found.push(twice(iface, name.as_deref(), end, other_name.as_deref()));
            }
        }
    }
    found
}

fn twice(one: &str, netns: Option<&str>, other: &str, other_netns: Option<&str>) -> Finding {
    let of = other_netns.unwrap_or_default();
    let found = format!(
        "'{one}' and '{other}' in namespace {of} are the two ends of a pair, and both are captured on"
    );
    Finding::warning("stack", found)
        .means("exchanges that pass both come twice, one for each namespace")
        .advice(format!(
            "leave out --netns {of}, or name interfaces that are not each other's ends"
        ))
        .of(netns, one)
}
