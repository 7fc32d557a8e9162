//! The few requests of rtnetlink's traffic control that remove what clsact attaching leaves.
//!
//! After `linux/rtnetlink.h` and `linux/pkt_sched.h`. Nothing here allocates: the guardian runs it.

use std::os::fd::{AsFd, OwnedFd};

use aya::programs::TcAttachType;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Bytes of a request: `nlmsghdr` and `tcmsg`.
pub(super) const REQUEST_LEN: usize = 36;
/// The kernel's answers to a dump come in parts of at most this.
const REPLY_LEN: usize = 32 * 1024;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_HEADER_LEN: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;

const ETH_P_ALL: u16 = 0x0003;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT_PARENT: u32 = 0xffff_fff1;
const INGRESS_PARENT: u32 = 0xffff_fff2;
const EGRESS_PARENT: u32 = 0xffff_fff3;

/// A request as it is sent.
pub(super) type Request = [u8; REQUEST_LEN];

/// Something to remove: the request that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leftover(Request);

impl Leftover {
    /// A filter that was attached by priority and handle, for all protocols.
    pub(super) fn filter(ifindex: u32, at: TcAttachType, priority: u16, handle: u32) -> Self {
        let parent = match at {
            TcAttachType::Egress => EGRESS_PARENT,
            TcAttachType::Ingress | TcAttachType::Custom(_) => INGRESS_PARENT,
        };
        let info = u32::from(priority) << 16 | u32::from(ETH_P_ALL.to_be());
        Self(request(RTM_DELTFILTER, NLM_F_ACK, [ifindex, handle, parent, info]))
    }

    /// The clsact queueing discipline, if no filter is left on it.
    pub(super) fn qdisc(ifindex: u32) -> Self {
        Self(request(RTM_DELQDISC, NLM_F_ACK, [ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0]))
    }

    /// The request that removes it.
    pub(super) const fn request(&self) -> &Request {
        &self.0
    }
}

/// A request about the `tcmsg` of index, handle, parent and info.
fn request(kind: u16, flags: u16, tcmsg: [u32; 4]) -> Request {
    let mut request = [0; REQUEST_LEN];
    let mut rest = request.as_mut_slice();
    let mut put = |bytes: &[u8]| {
        if let Some((to, left)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            rest = left;
        }
    };
    put(&(REQUEST_LEN as u32).to_ne_bytes());
    put(&kind.to_ne_bytes());
    put(&(NLM_F_REQUEST | flags).to_ne_bytes());
    put(&[0; 12]); // sequence number, port, family and padding
    for field in tcmsg {
        put(&field.to_ne_bytes());
    }
    request
}

/// Carries the requests out, the last one first. What is gone already is fine, and what else may
/// fail nobody is left to be told.
pub(super) fn remove<'a>(
    netlink: &OwnedFd,
    requests: impl DoubleEndedIterator<Item = &'a Request>,
) {
    for request in requests.rev() {
        let is_qdisc = field_u16(request, 4) == Some(RTM_DELQDISC);
        let ifindex = field_u32(request, 20).unwrap_or(0);
        if is_qdisc && has_filters(netlink, ifindex) {
            continue;
        }
        let _ = exchange(netlink, request, |_| {});
    }
}

/// Whether someone has a filter on the interface's clsact.
fn has_filters(netlink: &OwnedFd, ifindex: u32) -> bool {
    let mut found = false;
    for parent in [INGRESS_PARENT, EGRESS_PARENT] {
        let dump = request(RTM_GETTFILTER, NLM_F_DUMP, [ifindex, 0, parent, 0]);
        let answered = exchange(netlink, &dump, |kind| found |= kind == RTM_NEWTFILTER);
        // Unsure whether it is in use: leave it.
        found |= answered.is_none();
    }
    found
}

/// Sends a request and reads up to the end of the answer, with a look at each message's type.
fn exchange(netlink: &OwnedFd, request: &Request, mut seen: impl FnMut(u16)) -> Option<()> {
    send(netlink.as_fd(), request, SendFlags::empty()).ok()?;
    let mut reply = [0; REPLY_LEN];
    loop {
        let (_, len) = recv(netlink.as_fd(), reply.as_mut_slice(), RecvFlags::empty()).ok()?;
        let mut messages = reply.get(..len)?;
        while messages.len() >= NLMSG_HEADER_LEN {
            let kind = field_u16(messages, 4)?;
            if matches!(kind, NLMSG_DONE | NLMSG_ERROR) {
                return Some(());
            }
            seen(kind);
            let len = usize::try_from(field_u32(messages, 0)?).ok()?.next_multiple_of(4);
            messages = messages.get(len.max(NLMSG_HEADER_LEN)..)?;
        }
    }
}

fn field_u16(message: &[u8], offset: usize) -> Option<u16> {
    message.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn field_u32(message: &[u8], offset: usize) -> Option<u32> {
    message.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_removed_by_direction_priority_and_handle() {
        let leftover = Leftover::filter(7, TcAttachType::Egress, 1, 0x1234_5678);
        let mut expected = Vec::new();
        expected.extend(36_u32.to_ne_bytes());
        expected.extend(45_u16.to_ne_bytes());
        expected.extend(5_u16.to_ne_bytes());
        expected.extend([0; 12]);
        expected.extend(7_u32.to_ne_bytes());
        expected.extend(0x1234_5678_u32.to_ne_bytes());
        expected.extend(0xffff_fff3_u32.to_ne_bytes());
        expected.extend((0x0001_0000_u32 | u32::from(3_u16.to_be())).to_ne_bytes());
        assert_eq!(leftover.request().as_slice(), expected);
    }
}
