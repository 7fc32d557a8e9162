//! What was found out, where the outputs look it up.
//!
//! Invariants: what a flow's owner was once told to be it stays; nothing is told of an end that
//! neither a segment nor the kernel has shown to be of this host; memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::groups::Group;
use super::processes::Holder;
use super::sockets::Socket;
use crate::event::{End, FlowInfo, Local, Owner, Process};
use crate::flow::FlowId;
use crate::segment::{Endpoint, Timestamp};

/// Entries that were used last and are kept for sure; up to as many again are.
const KEPT: usize = 65_536;

/// A socket that listens, and the processes that hold it.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// Its network namespace, as the user named it.
    pub(super) netns: Option<Arc<str>>,
    pub(super) socket: Socket,
    pub(super) holders: Vec<Holder>,
}

/// A connection of which one end is of this host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection<'a> {
    pub(super) end: End,
    pub(super) server: Endpoint,
    pub(super) start: Timestamp,
    pub(super) netns: Option<&'a str>,
}

/// What came of a look-up.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) owner: Option<Arc<Owner>>,
    /// The control group of the socket that was found, 0 where it has none.
    pub(super) cgroup: u64,
}

impl Answer {
    /// Whether the socket that was found is the one that the flow's segments come from. In another
    /// network namespace there can be one with the same ends.
    fn is_of(&self, end: End, local: Option<Local>) -> bool {
        local.is_none_or(|local| {
            let same = local.end == end && (self.cgroup == 0 || self.cgroup == local.cgroup);
            same || (local.end, end) == (End::Client, End::Server)
        })
    }
}

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Questions that are dealt with.
    pub(super) done: u64,
    pub(super) answers: Recent<FlowId, Answer>,
    /// `None` for a group that was gone when it was looked for.
    pub(super) groups: Recent<u64, Option<Group>>,
    pub(super) listeners: HashMap<u16, Vec<Listener>>,
    /// When the host was started.
    pub(super) host_start: Timestamp,
}

impl Known {
    /// Who of this host is an end of the flow.
    pub(super) fn owner(&mut self, flow: &FlowInfo) -> Option<Arc<Owner>> {
        if let Some(answer) = self.answers.get(&flow.id)
            && let Some(owner) = &answer.owner
            && answer.is_of(owner.end, flow.local)
        {
            return Some(Arc::clone(owner));
        }
        // Not found in time, or not in the namespaces that are looked at: what is known without.
        let (end, cgroup) = match flow.local {
            Some(local) => (local.end, local.cgroup),
            None if flow.server.ip().is_loopback() => (End::Server, 0),
            None => return None,
        };
        let netns = flow.iface.as_ref().and_then(|iface| iface.netns.as_deref());
        let connection = Connection { end, server: flow.server, start: flow.start, netns };
        let (listens_in, process) = self.serving(connection, cgroup);
        let cgroup = if cgroup == 0 { listens_in } else { cgroup };
        let answer = self.answer(end, cgroup, process);
        let owner = answer.owner.clone();
        if answer.cgroup != 0 && self.groups.get(&answer.cgroup).is_some() {
            self.answers.insert(flow.id, answer);
        }
        owner
    }

    /// An answer, with the control group by its path.
    pub(super) fn answer(&mut self, end: End, cgroup: u64, process: Option<Process>) -> Answer {
        let group = self.groups.get(&cgroup).and_then(Option::as_ref);
        let owner = Owner {
            end,
            cgroup: group.map(|group| Arc::clone(&group.path)),
            container: group.and_then(|group| group.container.clone()),
            process,
        };
        Answer { owner: Some(Arc::new(owner)), cgroup }
    }

    /// The listening sockets that may have taken a connection; only those in this control group
    /// unless that is 0: accepted sockets have the group of the listening one.
    pub(super) fn listening(
        &self,
        connection: Connection<'_>,
        cgroup: u64,
    ) -> impl Iterator<Item = &Listener> {
        let Connection { end, server, netns, .. } = connection;
        let port = Some(&server.port).filter(|_| end == End::Server);
        let at_port = port.and_then(|port| self.listeners.get(port)).map_or(&[][..], Vec::as_slice);
        at_port.iter().filter(move |listener| {
            let same = [0, listener.socket.cgroup].contains(&cgroup) || listener.socket.cgroup == 0;
            same && listener.netns.as_deref() == netns && listener.socket.takes(server)
        })
    }

    /// Control group and process of who listens, as far as that is one; the group is 0 where it is
    /// not known.
    pub(super) fn serving(
        &self,
        connection: Connection<'_>,
        cgroup: u64,
    ) -> (u64, Option<Process>) {
        let mut groups = self.listening(connection, cgroup).map(|listener| listener.socket.cgroup);
        let group = groups.next().filter(|first| groups.all(|group| group == *first));
        let holders = self.listening(connection, cgroup).flat_map(|listener| &listener.holders);
        let holders =
            holders.filter(|holder| holder.had_started(connection.start, self.host_start));
        // Of several groups it can't be told which one it was.
        (group.unwrap_or(0), group.and_then(|_| one_of(holders)))
    }
}

/// The process that it must be of these; without its id where several have one name.
pub(super) fn one_of<'a>(holders: impl IntoIterator<Item = &'a Holder>) -> Option<Process> {
    let mut holders = holders.into_iter();
    let first = holders.next()?;
    let mut pid = Some(first.pid);
    for other in holders {
        if other.name != first.name {
            return None;
        }
        pid = pid.filter(|pid| *pid == other.pid);
    }
    Some(Process { pid, name: Arc::clone(&first.name) })
}

/// A map that forgets what was not used lately.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        if let Some(value) = self.old.remove(key) {
            self.insert(*key, value);
        }
        self.young.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= KEPT && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::sockets;

    const START: Timestamp = Timestamp(1_000_000_000_000);

    fn holder(pid: u32, name: &str, started_s: u64) -> Holder {
        Holder::for_test(pid, name, started_s * 100)
    }

    fn listener(cgroup: u64, holders: &[Holder]) -> Listener {
        let local = Endpoint::v4([0, 0, 0, 0], 80);
        let socket = sockets::listening_for_test(local, cgroup);
        Listener { netns: None, socket, holders: holders.to_vec() }
    }

    fn known(listeners: Vec<Listener>) -> Known {
        let mut known = Known { listeners: HashMap::from([(80, listeners)]), ..Known::default() };
        for (id, path) in [(7, "/system.slice/nginx.service"), (8, "/lxc.payload.web1")] {
            known.groups.insert(id, Some(Group::new(path)));
        }
        known
    }

    fn flow(server: [u8; 4], local: Option<Local>) -> FlowInfo {
        FlowInfo {
            id: FlowId(1),
            number: 0,
            start: START,
            client: Endpoint::v4([10, 0, 0, 2], 50_000),
            server: Endpoint::v4(server, 80),
            iface: None,
            local,
            owner: None,
        }
    }

    const fn at(end: End, cgroup: u64) -> Option<Local> {
        Some(Local { end, cgroup })
    }

    fn process(owner: &Option<Arc<Owner>>) -> Option<(Option<u32>, &str)> {
        owner.as_ref()?.process.as_ref().map(|process| (process.pid, &*process.name))
    }

    #[test]
    fn who_listens_alone_in_the_control_group_of_the_segments_is_the_owner() {
        let ours = listener(7, &[holder(11, "nginx", 1)]);
        let other = listener(8, &[holder(12, "apache2", 1)]);
        let mut known = known(vec![other, ours]);
        let owner = known.owner(&flow([10, 0, 0, 1], at(End::Server, 7)));
        assert_eq!(process(&owner), Some((Some(11), "nginx")));
        assert_eq!(owner.unwrap().cgroup.as_deref(), Some("/system.slice/nginx.service"));
    }

    #[test]
    fn a_server_that_no_segment_shows_to_be_of_this_host_is_not() {
        let mut known = known(vec![listener(7, &[holder(11, "nginx", 1)])]);
        assert_eq!(known.owner(&flow([10, 0, 0, 1], None)), None);
        // A client of this host, and a socket that listens here at the port it connects to there.
        let owner = known.owner(&flow([10, 0, 0, 1], at(End::Client, 8)));
        assert_eq!(process(&owner), None);
        assert_eq!(owner.unwrap().container.as_deref(), Some("web1"));
        // The server is in a container: who listens is in another.
        let owner = known.owner(&flow([10, 0, 0, 1], at(End::Server, 8)));
        assert_eq!(process(&owner), None);
    }

    #[test]
    fn loopback_is_of_this_host() {
        let mut known = known(vec![listener(7, &[holder(11, "nginx", 1)])]);
        let owner = known.owner(&flow([127, 0, 0, 1], None));
        assert_eq!(process(&owner), Some((Some(11), "nginx")));
        assert_eq!(owner.unwrap().end, End::Server);
    }

    #[test]
    fn several_that_listen_have_a_name_if_it_is_one() {
        let owner = |holders: &[Holder]| {
            known(vec![listener(7, holders)]).owner(&flow([127, 0, 0, 1], None))
        };
        let (master, worker) = (holder(11, "nginx", 1), holder(12, "nginx", 1));
        assert_eq!(process(&owner(&[master.clone(), worker])), Some((None, "nginx")));
        assert_eq!(process(&owner(&[master, holder(12, "sh", 1)])), None);
        assert_eq!(process(&owner(&[])), None);
    }

    #[test]
    fn a_process_that_is_younger_than_the_flow_is_not_its_owner() {
        let mut known = known(vec![listener(7, &[holder(11, "nginx", 1_001)])]);
        assert_eq!(process(&known.owner(&flow([127, 0, 0, 1], None))), None);
    }

    #[test]
    fn who_was_told_stays_whoever_listens_later() {
        let mut known = known(vec![listener(7, &[holder(11, "nginx", 1)])]);
        let flow = flow([10, 0, 0, 1], at(End::Server, 7));
        let before = known.owner(&flow);
        known.listeners = HashMap::from([(80, vec![listener(7, &[holder(12, "caddy", 2)])])]);
        assert_eq!(known.owner(&flow), before);
    }

    #[test]
    fn a_socket_of_the_same_ends_in_another_namespace_is_not_the_flow_s() {
        let mut known = known(Vec::new());
        let found = Process { pid: Some(11), name: "nginx".into() };
        let answer = known.answer(End::Server, 7, Some(found));
        known.answers.insert(FlowId(1), answer);
        let same = known.owner(&flow([10, 0, 0, 1], at(End::Server, 7)));
        assert_eq!(process(&same), Some((Some(11), "nginx")));
        let other = known.owner(&flow([10, 0, 0, 1], at(End::Server, 8)));
        assert_eq!(process(&other), None);
        assert_eq!(other.unwrap().container.as_deref(), Some("web1"));
    }

    #[test]
    fn what_is_used_is_kept_and_the_rest_goes() {
        let mut recent = Recent::default();
        recent.insert(0, "kept");
        recent.insert(1, "forgotten");
        for key in 2..3 * KEPT {
            recent.insert(key, "");
            assert_eq!(recent.get(&0), Some(&"kept"));
        }
        assert_eq!(recent.get(&1), None);
        assert!(recent.young.len() <= KEPT && recent.old.len() <= KEPT);
    }
}
