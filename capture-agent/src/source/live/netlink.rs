//! rtnetlink: its messages and their attributes, and the few requests of traffic control that
//! remove what clsact attaching leaves.
//!
//! After `linux/netlink.h`, `linux/rtnetlink.h` and `linux/pkt_sched.h`. Nothing here allocates: the
//! guardian runs it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::programs::TcAttachType;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send,
    socket_with,
};

/// Bytes of a request: `nlmsghdr` and `tcmsg`.
pub(super) const REQUEST_LEN: usize = 36;
/// Bytes of a request that asks for everything: `nlmsghdr` and `rtgenmsg`.
const DUMP_LEN: usize = 20;
/// The kernel's answers to a dump come in parts of at most this.
pub(super) const REPLY_LEN: usize = 32 * 1024;
/// The kernel answers at once; this is for the case that it does not.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
const NLMSG_HEADER_LEN: usize = 16;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
pub(crate) const RTM_GETTFILTER: u16 = 46;

const ETH_P_ALL: u16 = 0x0003;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT_PARENT: u32 = 0xffff_fff1;
pub(crate) const INGRESS_PARENT: u32 = 0xffff_fff2;
pub(crate) const EGRESS_PARENT: u32 = 0xffff_fff3;

/// A request as it is sent.
pub(super) type Request = [u8; REQUEST_LEN];

/// A socket to the network namespace that the calling thread is in, and stays of it.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    socket_of(None)
}

/// As [`socket`], for another family than routes; `None` is theirs.
pub(crate) fn socket_of(family: Option<Protocol>) -> io::Result<OwnedFd> {
    let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = socket_with(kind.0, kind.1, kind.2, family)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
    Ok(socket)
}

/// As [`socket`], and told what happens in these groups (`RTMGRP_…`).
pub(super) fn subscribed(groups: i32) -> io::Result<OwnedFd> {
    let socket = socket()?;
    bind(&socket, &SocketAddrNetlink::new(0, groups.cast_unsigned()))?;
    Ok(socket)
}

/// A message as it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    flags: u16,
    /// That of the request which it answers.
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl Message<'_> {
    /// Whether it is the last one of an answer.
    pub(crate) const fn is_last(&self) -> bool {
        matches!(self.kind, NLMSG_DONE | NLMSG_ERROR)
    }
}

/// The messages in what was received, up to the first one that is not whole.
pub(crate) fn messages(received: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = received;
    std::iter::from_fn(move || {
        let len = usize::try_from(field_u32(rest, 0)?).ok()?;
        let (kind, flags) = (field_u16(rest, 4)?, field_u16(rest, 6)?);
        let sequence = field_u32(rest, 8)?;
        let body = rest.get(NLMSG_HEADER_LEN..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, body })
    })
}

/// The attributes that follow the fixed part of a message.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const HEADER_LEN: usize = 4;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, kind) = (usize::from(field_u16(rest, 0)?), field_u16(rest, 2)?);
        let value = rest.get(HEADER_LEN..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Asks for everything of a kind (`RTM_GET…`), and hands over each message of the answer.
///
/// # Errors
/// The kernel's, and [`Errno::INTR`] where things changed meanwhile, so that some may be missing.
pub(crate) fn dump(
    netlink: &OwnedFd,
    kind: u16,
    seen: impl FnMut(Message<'_>),
) -> rustix::io::Result<()> {
    // With no more than the family, 0 for all: what follows would be taken for attributes.
    let mut request = request(kind, NLM_F_DUMP, [0; 4]);
    request[..4].copy_from_slice(&(DUMP_LEN as u32).to_ne_bytes());
    exchange(netlink, &request[..DUMP_LEN], seen)
}

/// As [`dump`], for what hangs on the parent of an interface by `tcmsg`; of all with 0 for both.
///
/// # Errors
/// As [`dump`].
pub(crate) fn dump_tc(
    netlink: &OwnedFd,
    kind: u16,
    (ifindex, parent): (u32, u32),
    seen: impl FnMut(Message<'_>),
) -> rustix::io::Result<()> {
    exchange(netlink, &request(kind, NLM_F_DUMP, [ifindex, 0, parent, 0]), seen)
}

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

    /// Nothing of this interface is left, or it was removed.
    pub(super) fn none(ifindex: u32) -> Self {
        Self(request(NLMSG_NOOP, 0, [ifindex, 0, 0, 0]))
    }

    /// The interface that it is on.
    pub(super) fn ifindex(&self) -> u32 {
        ifindex(&self.0)
    }

    /// The request that removes it.
    pub(super) const fn request(&self) -> &Request {
        &self.0
    }
}

/// The interface that a request is about.
pub(super) fn ifindex(request: &Request) -> u32 {
    field_u32(request, 20).unwrap_or(0)
}

/// Whether this is [`Leftover::none`].
pub(super) fn is_none(request: &Request) -> bool {
    field_u16(request, 4) == Some(NLMSG_NOOP)
}

/// Fills a buffer piece by piece; what does not fit any more is left out.
pub(crate) fn filling(buffer: &mut [u8]) -> impl FnMut(&[u8]) {
    let mut rest = buffer;
    move |bytes| {
        if let Some((to, left)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            rest = left;
        }
    }
}

/// A request about the `tcmsg` of index, handle, parent and info.
fn request(kind: u16, flags: u16, tcmsg: [u32; 4]) -> Request {
    let mut request = [0; REQUEST_LEN];
    let mut put = filling(&mut request);
    put(&(REQUEST_LEN as u32).to_ne_bytes());
    put(&kind.to_ne_bytes());
    put(&(NLM_F_REQUEST | flags).to_ne_bytes());
    put(&[0; 12]); // sequence number, port, family and padding
    for field in tcmsg {
        put(&field.to_ne_bytes());
    }
    drop(put);
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
        if is_qdisc && has_filters(netlink, ifindex(request)) {
            continue;
        }
        let _ = exchange(netlink, request, |_| {});
    }
}

/// Whether someone has a filter on the interface's clsact.
fn has_filters(netlink: &OwnedFd, ifindex: u32) -> bool {
    let mut found = false;
    for parent in [INGRESS_PARENT, EGRESS_PARENT] {
        let answered = dump_tc(netlink, RTM_GETTFILTER, (ifindex, parent), |message| {
            found |= message.kind == RTM_NEWTFILTER;
        });
        // Unsure whether it is in use: leave it.
        found |= answered.is_err();
    }
    found
}

/// Sends a request and reads up to the end of the answer, with a look at each message.
pub(crate) fn exchange(
    netlink: &OwnedFd,
    request: &[u8],
    mut seen: impl FnMut(Message<'_>),
) -> rustix::io::Result<()> {
    send(netlink.as_fd(), request, SendFlags::empty())?;
    let mut reply = [0; REPLY_LEN];
    let mut interrupted = false;
    loop {
        let (_, len) = recv(netlink.as_fd(), reply.as_mut_slice(), RecvFlags::empty())?;
        for message in messages(reply.get(..len).ok_or(Errno::MSGSIZE)?) {
            interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
            if message.is_last() {
                // Its number is 0 where it only acknowledges.
                return match field_u32(message.body, 0).map_or(0, u32::cast_signed) {
                    0 if interrupted => Err(Errno::INTR),
                    0 => Ok(()),
                    error => Err(Errno::from_raw_os_error(error.wrapping_neg())),
                };
            }
            seen(message);
        }
    }
}

pub(crate) fn field_u16(message: &[u8], offset: usize) -> Option<u16> {
    message.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

pub(crate) fn field_u32(message: &[u8], offset: usize) -> Option<u32> {
    message.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of type 16 with this body.
    fn message(body: &[u8]) -> Vec<u8> {
        let len = (NLMSG_HEADER_LEN + body.len()) as u32;
        let head = [&len.to_ne_bytes()[..], &16_u16.to_ne_bytes(), &[0; 10]].concat();
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        [head, body.to_vec(), padding].concat()
    }

    #[test]
    fn messages_and_attributes_are_taken_apart() {
        let received = [message(b"first"), message(b""), message(b"last")].concat();
        let bodies: Vec<_> = messages(&received).map(|message| message.body).collect();
        assert_eq!(bodies, [&b"first"[..], b"", b"last"]);
        let named = [&8_u16.to_ne_bytes()[..], &3_u16.to_ne_bytes(), b"lo\0\0"].concat();
        let short = [&6_u16.to_ne_bytes()[..], &4_u16.to_ne_bytes(), b"ab"].concat();
        let both = [named, short].concat();
        let all: Vec<_> = attributes(&both).collect();
        assert_eq!(all, [(3, &b"lo\0\0"[..]), (4, b"ab")]);
    }

    #[test]
    fn what_is_not_whole_is_not_looked_at() {
        let received = message(b"first");
        for len in 0..received.len() - 3 {
            assert_eq!(messages(&received[..len]).count(), 0, "{len}");
        }
        // A length that would never get on.
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }

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
