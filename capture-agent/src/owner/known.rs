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
    pub(super) socket: Socket,
    pub(super) holders: Vec<Holder>,
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
        let (listens_in, process) = self.serving(end, flow.server, cgroup, flow.start);
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

    /// Those that hold a listening socket which takes connections to `server`, in this control
    /// group unless that is 0: accepted sockets have the group of the listening one.
    pub(super) fn listening(
        &self,
        server: Endpoint,
        cgroup: u64,
    ) -> impl Iterator<Item = &Listener> {
        let at_port = self.listeners.get(&server.port).map_or(&[][..], Vec::as_slice);
        at_port.iter().filter(move |listener| {
            let same = [0, listener.socket.cgroup].contains(&cgroup) || listener.socket.cgroup == 0;
            same && listener.socket.takes(server)
        })
    }

    /// Control group and process of who listens for what opened at `start`, as far as that is one;
    /// the group is 0 where it is not known.
    pub(super) fn serving(
        &self,
        end: End,
        server: Endpoint,
        cgroup: u64,
        start: Timestamp,
    ) -> (u64, Option<Process>) {
        if end == End::Client {
            return (0, None);
        }
        let mut groups = self.listening(server, cgroup).map(|listener| listener.socket.cgroup);
        let group = groups.next().filter(|first| groups.all(|group| group == *first));
        let holders = self.listening(server, cgroup).flat_map(|listener| &listener.holders);
        let holders = holders.filter(|holder| holder.had_started(start, self.host_start));
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
