//! Who on this host is an end of a flow: control group, container and process.
//!
//! The capture asks when a flow opens and never waits: a question goes into a queue, or is counted
//! as skipped. A thread of its own looks sockets up in the kernel (sock_diag(7)), processes in
//! `/proc` and control groups in their file system, within a [budget](budget::Budget). The outputs
//! take what is known by then; only while the thread keeps up do they wait for it, and not long.
//!
//! Nothing is guessed. A process is named where it holds the connection's socket, or where it alone
//! holds the socket that listens; where several of one name do, that name is given and no id. Which
//! socket listens is looked at again before each look-up, so that what is told of a connection which
//! was gone by then is as of a few tenths of a second around its start.

mod budget;
mod container;
mod groups;
mod known;
mod lookup;
mod processes;
mod sockets;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::event::{FlowInfo, Owner, OwnerCounters};
use crate::flow::FlowId;
use crate::listener::FlowView;
use crate::segment::{Endpoint, Timestamp};
use crate::source::live::Namespace;
pub(crate) use groups::mount as cgroup_mount;
use known::Known;
use lookup::LookUp;

/// Most questions that wait: what opens within a tenth of a second on a very busy host.
const QUEUED: usize = 4096;
/// How long an output waits for an answer that is on its way. The kernel answers in microseconds; a
/// look through the processes of a large host may take longer.
const PATIENCE: Duration = Duration::from_millis(20);

/// Looks up who on this host is an end of a flow. Clones share one thread, which ends with the last
/// of them.
#[derive(Clone, Debug)]
pub struct Owners {
    questions: SyncSender<Question>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Question {
    Flow(OpenedFlow),
    /// The path of the control group with this id.
    Group(u64),
}

/// A flow that has opened.
#[derive(Clone, Debug)]
struct OpenedFlow {
    id: FlowId,
    client: Endpoint,
    server: Endpoint,
    start: Timestamp,
    /// The network namespace of its interface, as the user named it.
    netns: Option<Arc<str>>,
}

/// What the thread and the outputs share.
#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    /// Told of each change of `known.done`.
    progress: Condvar,
    /// Questions in the queue since the start.
    asked: AtomicU64,
    /// Whether waiting is in vain for now: the thread has more to do than it may.
    behind: AtomicBool,
    looked_up: AtomicU64,
    skipped: AtomicU64,
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // What was found out does not become wrong by a panic elsewhere.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether some of the questions that were asked until then are not dealt with, and soon will.
    fn is_worth_waiting(&self, asked: u64, known: &Known) -> bool {
        known.done < asked && !self.behind.load(Ordering::Relaxed)
    }
}

/// The answer is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnItsWay;

impl Owners {
    /// Starts the thread. It looks in these network namespaces, as long as each is there, or in the
    /// caller's own where none is given.
    ///
    /// # Errors
    /// If there can be no thread, a namespace can't be entered, or sockets can't be asked about.
    pub fn start(namespaces: Vec<Namespace>) -> io::Result<Self> {
        let (questions, receiver) = sync_channel(QUEUED);
        let (ready, is_ready) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("owners".to_owned()).spawn(move || {
            // The caller waits for this, and for nothing after it.
            let _ = match LookUp::new(namespaces, theirs) {
                Ok(mut look_up) => ready.send(Ok(())).map(|()| look_up.run(&receiver)),
                Err(error) => ready.send(Err(error)),
            };
        })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { questions, shared })
    }

    /// Has a flow looked up that has opened. Never waits.
    pub fn ask(&self, flow: &FlowView<'_>) {
        let FlowView { client, server, start, .. } = *flow;
        let netns = flow.iface.and_then(|iface| iface.netns.clone());
        self.put(Question::Flow(OpenedFlow { id: flow.id(), client, server, start, netns }));
    }

    fn put(&self, question: Question) {
        let is_flow = matches!(question, Question::Flow(_));
        if self.questions.try_send(question).is_ok() {
            self.shared.asked.fetch_add(1, Ordering::Release);
        } else if is_flow {
            self.shared.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Who of this host is an end of the flow, as far as that is known by now, or a little later
    /// where the answer is on its way.
    #[must_use]
    pub fn of(&self, flow: &FlowInfo) -> Option<Arc<Owner>> {
        let shared = &*self.shared;
        let mut known = shared.known();
        if let Some(asked) = self.on_its_way(flow, &mut known) {
            let waits = |known: &mut Known| shared.is_worth_waiting(asked, known);
            let waited = shared.progress.wait_timeout_while(known, PATIENCE, waits);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            known = after;
            if timeout.timed_out() {
                // Once is enough, until the thread has caught up.
                shared.behind.store(true, Ordering::Relaxed);
            }
        }
        known.owner(flow)
    }

    /// The same for who must not wait.
    ///
    /// # Errors
    /// Where the answer is on its way: [`Self::of`] waits for it.
    pub fn of_now(&self, flow: &FlowInfo) -> Result<Option<Arc<Owner>>, OnItsWay> {
        let mut known = self.shared.known();
        match self.on_its_way(flow, &mut known) {
            Some(_) => Err(OnItsWay),
            None => Ok(known.owner(flow)),
        }
    }

    /// How many questions are to be dealt with before the answer is there, if it is worth waiting.
    fn on_its_way(&self, flow: &FlowInfo, known: &mut Known) -> Option<u64> {
        let cgroup = flow.local.map_or(0, |local| local.cgroup);
        let is_new = cgroup != 0 && known.groups.get(&cgroup).is_none();
        if !is_new && known.answers.get(&flow.id).is_some() {
            return None;
        }
        if is_new {
            self.put(Question::Group(cgroup));
        }
        let asked = self.shared.asked.load(Ordering::Acquire);
        self.shared.is_worth_waiting(asked, known).then_some(asked)
    }

    /// How many flows were looked up so far.
    #[must_use]
    pub fn counters(&self) -> OwnerCounters {
        OwnerCounters {
            looked_up: self.shared.looked_up.load(Ordering::Relaxed),
            skipped: self.shared.skipped.load(Ordering::Relaxed),
        }
    }
}
