//! The thread that looks things up.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::budget::Budget;
use super::known::{Answer, Connection, Listener, Recent, one_of};
use super::processes::{self, Held, Holder};
use super::sockets::{SockDiag, Socket};
use super::{OpenedFlow, Question, Shared, groups};
use crate::event::{End, Process};
use crate::segment::Timestamp;
use crate::source::live::Namespace;

/// Whether a namespace is still there is looked at this often.
const NAMESPACES_AGE: Duration = Duration::from_secs(1);
/// Who listens is looked at again after this time, if anybody asks.
const LISTENERS_AGE: Duration = Duration::from_millis(100);
/// And who holds those sockets after this one: a server may start workers at any time.
const HOLDERS_AGE: Duration = Duration::from_secs(5);
/// A look through all processes that took so long may be repeated after a hundred times as long.
const HOLDERS_SHARE: u32 = 100;
/// A socket that no process holds yet may be accepted by then.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Most flows that are to be looked up again: as many as there may be in a burst.
const RETRIES: usize = 1024;
/// Processes whose sockets were asked for last are looked into first.
const RECENT_PIDS: usize = 16;

/// A socket of this host that is an end of a flow.
#[derive(Clone, Debug)]
struct Found {
    flow: OpenedFlow,
    end: End,
    socket: Socket,
    is_retry: bool,
}

impl Found {
    fn connection(&self) -> Connection<'_> {
        let OpenedFlow { server, start, .. } = self.flow;
        Connection { end: self.end, server, start, netns: self.flow.netns.as_deref() }
    }
}

/// Looks things up.
pub(super) struct LookUp {
    shared: Arc<Shared>,
    /// Where sockets are looked for. Each is held, and so kept alive, no longer than the user's name
    /// for it is; the process's own has none.
    namespaces: Vec<(Option<Namespace>, SockDiag)>,
    groups_at: Option<PathBuf>,
    budget: Budget,
    namespaces_seen: Instant,
    listeners_seen: Option<Instant>,
    holders: Held,
    /// Listening sockets whose holders were looked for; of some there are none to be seen.
    sought: HashSet<u64>,
    holders_due: Instant,
    retries: VecDeque<(Instant, OpenedFlow)>,
    recent_pids: VecDeque<u32>,
}

/// A socket of another namespace. The thread that enters it goes again: one that stayed would keep the
/// namespace from ending.
fn open_in(namespace: &Namespace) -> io::Result<SockDiag> {
    let open = || {
        namespace.enter().map_err(io::Error::other)?;
        SockDiag::open()
    };
    let opened = thread::scope(|scope| scope.spawn(open).join());
    opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl LookUp {
    pub(super) fn new(namespaces: Vec<Namespace>, shared: Arc<Shared>) -> io::Result<Self> {
        let mut opened = Vec::new();
        if namespaces.is_empty() {
            opened.push((None, SockDiag::open()?));
        }
        for namespace in namespaces {
            let socket = open_in(&namespace)?;
            opened.push((Some(namespace), socket));
        }
        let nanos = |clock| {
            let time = Duration::try_from(clock_gettime(clock)).unwrap_or_default();
            u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
        };
        let host_start = nanos(ClockId::Realtime).saturating_sub(nanos(ClockId::Boottime));
        shared.known().host_start = Timestamp(host_start);
        let mut look_up = Self {
            shared,
            namespaces: opened,
            groups_at: groups::mount(),
            budget: Budget::new(),
            namespaces_seen: Instant::now(),
            listeners_seen: None,
            holders: Held::new(),
            sought: HashSet::new(),
            holders_due: Instant::now(),
            retries: VecDeque::new(),
            recent_pids: VecDeque::new(),
        };
        look_up.walk_groups();
        look_up.see_listeners(&HashSet::new());
        // What that took was for once.
        look_up.budget = Budget::new();
        Ok(look_up)
    }

    /// Answers questions until nobody is left to ask.
    pub(super) fn run(&mut self, questions: &Receiver<Question>) {
        loop {
            self.leave_namespaces();
            let next = match self.next_due() {
                Some(due) => questions.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => questions.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut batch = Vec::new();
            match next {
                Ok(first) => batch.push(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            batch.extend(questions.try_iter());
            let taken = batch.len() as u64;
            self.answer(batch);
            let is_behind = self.budget.is_spent();
            self.shared.behind.store(is_behind, Ordering::Relaxed);
            self.shared.known().done += taken;
            self.shared.progress.notify_all();
            if is_behind {
                thread::sleep(self.budget.recovery());
            }
        }
    }

    /// When there is something to do that nobody asks for.
    fn next_due(&self) -> Option<Instant> {
        let retry = self.retries.front().map(|(due, _)| *due);
        let may_go = self.namespaces.iter().any(|(namespace, _)| namespace.is_some());
        retry.into_iter().chain(may_go.then(|| self.namespaces_seen + NAMESPACES_AGE)).min()
    }

    /// Leaves namespaces that the user has removed: sockets would keep them alive.
    fn leave_namespaces(&mut self) {
        if self.namespaces_seen.elapsed() >= NAMESPACES_AGE {
            self.namespaces_seen = Instant::now();
            self.namespaces.retain(|(named, _)| named.as_ref().is_none_or(Namespace::is_there));
        }
    }

    fn answer(&mut self, batch: Vec<Question>) {
        let now = Instant::now();
        let due = self.retries.iter().take_while(|(due, _)| *due <= now).count();
        let again: Vec<_> = self.retries.drain(..due).map(|(_, flow)| (flow, true)).collect();
        let (mut found, mut skipped) = (Vec::new(), 0);
        let mut flows = again;
        for question in batch {
            match question {
                Question::Flow(flow) => flows.push((flow, false)),
                Question::Group(id) => self.learn_group(id),
            }
        }
        if !flows.is_empty() && self.listeners_seen.is_none_or(|at| at.elapsed() > LISTENERS_AGE) {
            let ports = flows.iter().map(|(flow, _)| flow.server.port).collect();
            self.see_listeners(&ports);
        }
        // The newest first: those that waited are the least likely to be there still.
        for (flow, is_retry) in flows.into_iter().rev() {
            if self.budget.is_spent() {
                skipped += u64::from(!is_retry);
                continue;
            }
            if !is_retry {
                self.shared.looked_up.fetch_add(1, Ordering::Relaxed);
            }
            match self.find(&flow) {
                Some((end, socket)) => found.push(Found { flow, end, socket, is_retry }),
                None if is_retry => {}
                None => self.shared.known().answers.insert(flow.id, Answer::default()),
            }
        }
        self.shared.skipped.fetch_add(skipped, Ordering::Relaxed);
        let held = self.hold(&found);
        for found in found {
            self.conclude(&found, &held);
        }
    }

    /// The socket of this host that is an end of the flow; the server's where both are.
    fn find(&mut self, flow: &OpenedFlow) -> Option<(End, Socket)> {
        let (client, server) = (flow.client, flow.server);
        let ends = [(End::Server, server, client), (End::Client, client, server)];
        ends.into_iter().find_map(|(end, local, remote)| {
            let mut found = self.namespaces.iter_mut().filter_map(|(named, sockets)| {
                let here = named.as_ref().map(Namespace::name) == flow.netns.as_ref();
                here.then(|| sockets.find(local, remote))?
            });
            found.find(|socket| !socket.listens).map(|socket| (end, socket))
        })
    }

    /// Who holds the sockets that were found, where that is not told by who listens.
    fn hold(&mut self, found: &[Found]) -> Held {
        let mut wanted = HashSet::new();
        let mut likely: HashSet<u32> = self.recent_pids.iter().copied().collect();
        for found in found.iter().filter(|found| found.socket.inode != 0) {
            let holders = self.listening(found);
            if sole(&holders).is_none() {
                wanted.insert(found.socket.inode);
                likely.extend(holders.iter().map(|holder| holder.pid));
            }
        }
        let mut held = Held::new();
        if wanted.is_empty() {
            return held;
        }
        processes::search(likely, &wanted, &mut held);
        wanted.retain(|inode| !held.contains_key(inode));
        if !wanted.is_empty() && !self.budget.is_spent() {
            processes::search(processes::all(), &wanted, &mut held);
        }
        for holder in held.values().flatten() {
            if !self.recent_pids.contains(&holder.pid) {
                self.recent_pids.push_front(holder.pid);
            }
        }
        self.recent_pids.truncate(RECENT_PIDS);
        held
    }

    /// Those that hold the socket which listens for the connection.
    fn listening(&self, found: &Found) -> Vec<Holder> {
        let known = self.shared.known();
        let listening = known.listening(found.connection(), found.socket.cgroup);
        let mut holders: Vec<Holder> = Vec::new();
        for holder in listening.flat_map(|listener| &listener.holders) {
            if !holders.contains(holder) {
                holders.push(holder.clone());
            }
        }
        holders
    }

    fn conclude(&mut self, found: &Found, held: &Held) {
        let Found { ref flow, end, socket, is_retry } = *found;
        // It may have no group to tell any more, as in TIME-WAIT, or no holder yet.
        let cgroup = match socket.cgroup {
            0 => self.shared.known().serving(found.connection(), 0).0,
            cgroup => cgroup,
        };
        self.learn_group(cgroup);
        let process = match held.get(&socket.inode) {
            Some(holders) => one_of(holders),
            None => {
                let holder = sole(&self.listening(found)).filter(Holder::is_there);
                holder.and_then(|holder| one_of([&holder]))
            }
        };
        let has_pid = |process: &Process| process.pid.is_some();
        let mut known = self.shared.known();
        let process = process.or_else(|| known.serving(found.connection(), cgroup).1);
        let has_pid = process.as_ref().is_some_and(has_pid);
        let answer = known.answer(end, cgroup, process);
        if is_retry && !has_pid {
            return; // what was known before is no less
        }
        known.answers.insert(flow.id, answer);
        drop(known);
        if socket.inode == 0 && !has_pid && self.retries.len() < RETRIES {
            self.retries.push_back((Instant::now() + RETRY_AFTER, flow.clone()));
        }
    }

    /// Makes the group with this id known, by another look if need be.
    fn learn_group(&mut self, id: u64) {
        if id == 0 || self.shared.known().groups.get(&id).is_some() || self.budget.is_spent() {
            return;
        }
        self.walk_groups();
        let mut known = self.shared.known();
        if known.groups.get(&id).is_none() {
            known.groups.insert(id, None);
        }
    }

    fn walk_groups(&mut self) {
        let Some(mount) = &self.groups_at else { return };
        let walked = groups::walk(mount);
        let groups: &mut Recent<_, _> = &mut self.shared.known().groups;
        for (id, group) in walked {
            groups.insert(id, Some(group));
        }
    }

    /// Looks at who listens, and through all processes for who holds those sockets where that may
    /// have changed. Whether a holder is still there is looked at for these ports.
    fn see_listeners(&mut self, ports: &HashSet<u16>) {
        self.listeners_seen = Some(Instant::now());
        let mut sockets = Vec::new();
        for (named, all) in &mut self.namespaces {
            let netns = named.as_ref().map(Namespace::name);
            sockets.extend(all.listeners().into_iter().map(|socket| (netns.cloned(), socket)));
        }
        let inodes: HashSet<u64> = sockets.iter().map(|(_, socket)| socket.inode).collect();
        for (_, socket) in sockets.iter().filter(|(_, socket)| ports.contains(&socket.local.port)) {
            if let Some(holders) = self.holders.get_mut(&socket.inode) {
                holders.retain(Holder::is_there);
            }
        }
        let is_new = !inodes.is_subset(&self.sought);
        if (is_new && !self.budget.is_spent()) || Instant::now() >= self.holders_due {
            let began = Instant::now();
            self.holders.clear();
            processes::search(processes::all(), &inodes, &mut self.holders);
            let took = began.elapsed();
            self.sought = inodes;
            self.holders_due = Instant::now() + HOLDERS_AGE.max(took * HOLDERS_SHARE);
        }
        let mut listeners: HashMap<u16, Vec<Listener>> = HashMap::new();
        for (netns, socket) in sockets {
            let holders = self.holders.get(&socket.inode).cloned().unwrap_or_default();
            listeners.entry(socket.local.port).or_default().push(Listener {
                netns,
                socket,
                holders,
            });
        }
        self.shared.known().listeners = listeners;
    }
}

/// The one holder, if it is one.
fn sole(holders: &[Holder]) -> Option<Holder> {
    match holders {
        [holder] => Some(holder.clone()),
        _ => None,
    }
}
