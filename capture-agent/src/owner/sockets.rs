//! Sockets by their ends, as the kernel tells by `NETLINK_SOCK_DIAG` (sock_diag(7)).
//!
//! After `linux/inet_diag.h`. A socket is of one network namespace, and so is a question about it:
//! that in which the netlink socket was made.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::netlink::SOCK_DIAG;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, send, socket_with};

use crate::segment::Endpoint;
use crate::source::live::netlink::{self, Message, field_u16, field_u32};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
/// `nlmsghdr` and `inet_diag_req_v2`.
const REQUEST_LEN: usize = 72;
/// `inet_diag_msg`; attributes follow.
const SOCKET_LEN: usize = 72;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_CGROUP_ID: u16 = 21;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const ALL_STATES: u32 = u32::MAX;
/// Any socket of these ends, and not the one of a cookie.
const NO_COOKIE: u64 = u64::MAX;

/// The kernel's answers to a dump come in parts of at most this.
const REPLY_LEN: usize = 32 * 1024;
/// The kernel answers at once; this is for the case that it does not.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Most listening sockets that are looked at: a host with more is not served by this.
const MAX_LISTENERS: usize = 16_384;

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// Its own end.
    pub(super) local: Endpoint,
    /// Its inode, by which processes hold it; 0 where none does: it was not accepted yet, or is in
    /// TIME-WAIT.
    pub(super) inode: u64,
    /// The id of its control group (version 2), 0 where that is not known.
    pub(super) cgroup: u64,
    pub(super) listens: bool,
    /// Whether IPv4 is not for it, though it listens to every IPv6 address.
    v6_only: bool,
}

impl Socket {
    /// Whether connections to this end are this listening socket's.
    pub(super) fn takes(&self, server: Endpoint) -> bool {
        if self.local.port != server.port {
            return false;
        }
        let (own, asked) = (self.local.addr, server.addr);
        let is_v4 = asked.to_ipv4_mapped().is_some();
        own == asked
            || (own == Ipv6Addr::UNSPECIFIED && !(is_v4 && self.v6_only))
            || (is_v4 && own.to_ipv4_mapped().is_some_and(|own| own.is_unspecified()))
    }
}

#[cfg(test)]
pub(super) const fn listening_for_test(local: Endpoint, cgroup: u64) -> Socket {
    Socket { local, inode: 1, cgroup, listens: true, v6_only: false }
}

/// Asks about the sockets of a network namespace.
#[derive(Debug)]
pub(super) struct SockDiag {
    netlink: OwnedFd,
    /// Of the last request: an answer that comes too late is not for the next one.
    sequence: u32,
    reply: Vec<u8>,
}

impl SockDiag {
    /// For the namespace that the calling thread is in.
    pub(super) fn open() -> io::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let netlink = socket_with(family, kind, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
        set_socket_timeout(&netlink, Timeout::Recv, Some(TIMEOUT))?;
        Ok(Self { netlink, sequence: 0, reply: vec![0; REPLY_LEN] })
    }

    /// The socket of the connection between these ends, or else the one that listens at `local`.
    pub(super) fn find(&mut self, local: Endpoint, remote: Endpoint) -> Option<Socket> {
        let is_v4 = local.addr.to_ipv4_mapped().is_some();
        let family = if is_v4 { AF_INET } else { AF_INET6 };
        let mut found = None;
        self.ask(request(family, 0, ALL_STATES, local, remote), |socket| found = Some(socket));
        found
    }

    /// All that listen.
    pub(super) fn listeners(&mut self) -> Vec<Socket> {
        let any = Endpoint { addr: Ipv6Addr::UNSPECIFIED, port: 0 };
        let mut all = Vec::new();
        for family in [AF_INET, AF_INET6] {
            self.ask(request(family, NLM_F_DUMP, 1 << TCP_LISTEN, any, any), |socket| {
                if all.len() < MAX_LISTENERS {
                    all.push(socket);
                }
            });
        }
        all
    }

    /// Sends a request and reads up to the end of the answer. What goes wrong is as if there was
    /// no such socket.
    fn ask(&mut self, mut request: [u8; REQUEST_LEN], mut found: impl FnMut(Socket)) -> Option<()> {
        let is_dump = field_u16(&request, 6)? & NLM_F_DUMP != 0;
        self.sequence = self.sequence.wrapping_add(1);
        request.get_mut(8..12)?.copy_from_slice(&self.sequence.to_ne_bytes());
        send(self.netlink.as_fd(), &request, SendFlags::empty()).ok()?;
        loop {
            let reply = self.reply.as_mut_slice();
            let (_, len) = recv(self.netlink.as_fd(), reply, RecvFlags::empty()).ok()?;
            let answers = |message: &Message<'_>| message.sequence == self.sequence;
            let mut is_answer = false;
            for message in netlink::messages(self.reply.get(..len)?).filter(answers) {
                is_answer = true;
                if message.is_last() {
                    return Some(());
                }
                if let Some(socket) = socket(message.body) {
                    found(socket);
                }
            }
            if is_answer && !is_dump {
                return Some(());
            }
        }
    }
}

fn request(
    family: u8,
    flags: u16,
    states: u32,
    local: Endpoint,
    remote: Endpoint,
) -> [u8; REQUEST_LEN] {
    let mut request = [0; REQUEST_LEN];
    let mut put = netlink::filling(&mut request);
    put(&(REQUEST_LEN as u32).to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&(NLM_F_REQUEST | flags).to_ne_bytes());
    put(&[0; 8]); // sequence number and port
    put(&[family, IPPROTO_TCP, 0, 0]);
    put(&states.to_ne_bytes());
    put(&local.port.to_be_bytes());
    put(&remote.port.to_be_bytes());
    for end in [local, remote] {
        match end.addr.to_ipv4_mapped() {
            Some(v4) => put(&[v4.octets().as_slice(), &[0; 12]].concat()),
            None => put(&end.addr.octets()),
        }
    }
    put(&[0; 4]); // any interface
    put(&NO_COOKIE.to_ne_bytes());
    drop(put);
    request
}

/// The socket that a message tells of.
fn socket(body: &[u8]) -> Option<Socket> {
    let (head, attributes) = body.split_at_checked(SOCKET_LEN)?;
    let [family, state, ..] = *head else { return None };
    let addr: [u8; 16] = *head.get(8..)?.first_chunk()?;
    let [a, b, c, d, ..] = addr;
    let mut socket = Socket {
        local: Endpoint {
            addr: if family == AF_INET {
                std::net::Ipv4Addr::from([a, b, c, d]).to_ipv6_mapped()
            } else {
                addr.into()
            },
            port: u16::from_be_bytes(*head.get(4..)?.first_chunk()?),
        },
        inode: field_u32(head, 68)?.into(),
        cgroup: 0,
        listens: state == TCP_LISTEN,
        v6_only: false,
    };
    for (kind, value) in netlink::attributes(attributes) {
        match kind {
            INET_DIAG_CGROUP_ID => {
                socket.cgroup = value.first_chunk().map_or(0, |it| u64::from_ne_bytes(*it));
            }
            INET_DIAG_SKV6ONLY => socket.v6_only = value.first() == Some(&1),
            _ => {}
        }
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn end(addr: std::net::SocketAddr) -> Endpoint {
        Endpoint::new(addr.ip(), addr.port())
    }

    fn inode(fd: &impl AsRawFd) -> u64 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
        let link = link.to_str().unwrap().strip_prefix("socket:[").unwrap().to_owned();
        link.strip_suffix(']').unwrap().parse().unwrap()
    }

    #[test]
    fn both_ends_of_a_connection_are_found_and_so_is_who_listens() {
        let mut kernel = SockDiag::open().unwrap();
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(addr) else { continue }; // a host without IPv6
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let ends = [client.local_addr().unwrap(), listener.local_addr().unwrap()].map(end);
            let [c, s] = ends;
            let found = |socket: Option<Socket>| socket.map(|it| (it.inode, it.listens)).unwrap();
            assert_eq!(found(kernel.find(s, c)), (inode(&server), false));
            assert_eq!(found(kernel.find(c, s)), (inode(&client), false));
            let nobody = Endpoint { port: 1, ..c };
            assert_eq!(found(kernel.find(s, nobody)), (inode(&listener), true));
            let listeners = kernel.listeners();
            let ours = listeners.iter().find(|it| it.inode == inode(&listener)).unwrap();
            assert!(ours.listens && ours.takes(s) && !ours.takes(c));
            assert_eq!(ours.cgroup, kernel.find(s, c).unwrap().cgroup);
        }
    }

    #[test]
    fn a_listener_takes_what_is_sent_to_its_address() {
        let takes = |local: &str, v6_only, server: &str| {
            let local = end(local.parse().unwrap());
            let socket = Socket { local, inode: 1, cgroup: 1, listens: true, v6_only };
            socket.takes(end(server.parse().unwrap()))
        };
        assert!(takes("0.0.0.0:80", false, "10.0.0.1:80"));
        assert!(takes("10.0.0.1:80", false, "10.0.0.1:80"));
        assert!(takes("[::]:80", false, "10.0.0.1:80"));
        assert!(takes("[::]:80", true, "[fd77::1]:80"));
        assert!(!takes("[::]:80", true, "10.0.0.1:80"));
        assert!(!takes("0.0.0.0:80", false, "[fd77::1]:80"));
        assert!(!takes("10.0.0.2:80", false, "10.0.0.1:80"));
        assert!(!takes("0.0.0.0:81", false, "10.0.0.1:80"));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        let any = Endpoint { addr: Ipv6Addr::UNSPECIFIED, port: 0 };
        let mut message = request(AF_INET6, 0, 0, any, any)[16..].to_vec();
        message.resize(SOCKET_LEN, 0);
        assert!(socket(&message).is_some());
        for len in 0..message.len() {
            assert!(socket(&message[..len]).is_none(), "{len}");
        }
        // An attribute that says it is longer, or shorter than itself.
        for len in [0_u16, 3, 200] {
            let mut odd = message.clone();
            odd.extend(len.to_ne_bytes());
            odd.extend(INET_DIAG_CGROUP_ID.to_ne_bytes());
            assert_eq!(socket(&odd).unwrap().cgroup, 0);
        }
    }
}
