//! The kernel half at work in one network namespace: loaded, attached and followed by a thread that
//! is there, and stays.
//!
//! The thread takes the programs off when it is told to end, and when the namespace goes: then what
//! was seen can still be read, and what was counted stays.

use std::io::{PipeReader, PipeWriter, pipe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::clock::Clock;
use super::fill::Gauge;
use super::follow::{Follower, Wanted};
use super::iface::IfacePattern;
use super::monitor::Monitor;
use super::names;
use super::namespace::Namespace;
use super::notice::Notice;
use super::{
    Half, LiveConfig, LiveError, RingReader, Share, attach, iface, privilege, route, size,
};

/// How often a thread looks whether its namespace is still there. Until then it keeps one that is
/// gone from ending.
const NAMESPACE_PERIOD: Duration = Duration::from_millis(250);

/// Who is told of what happens.
type Say = Arc<dyn Fn(Notice) + Send + Sync>;

/// A namespace's part of a live source.
pub(super) struct Site {
    pub(super) half: Arc<Half>,
    pub(super) readers: Vec<RingReader>,
    /// The ring of each of them.
    pub(super) fills: Vec<Gauge>,
    /// What there was to say at the start.
    pub(super) notices: Vec<Notice>,
    watch: Watch,
}

/// The thread in the namespace. Dropping it takes the programs off.
struct Watch {
    /// Sends whom to tell.
    follow: Option<Sender<Say>>,
    /// Its end is the thread's.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// A site in the making.
pub(super) struct Opening {
    netns: Option<Arc<str>>,
    begun: Receiver<Result<Begun, LiveError>>,
    watch: Watch,
}

struct Begun {
    half: Arc<Half>,
    readers: Vec<RingReader>,
    fills: Vec<Gauge>,
    notices: Vec<Notice>,
}

impl Opening {
    /// Has a thread load and attach the kernel half in `namespace`, `None` for the one that the
    /// process is in.
    pub(super) fn new(
        namespace: Option<Namespace>,
        config: &LiveConfig,
        share: Share,
    ) -> Result<Self, LiveError> {
        let (told, begun) = channel();
        let (announce, whom) = channel::<Say>();
        let (until, stop) = pipe().map_err(LiveError::Thread)?;
        let netns = namespace.as_ref().map(|namespace| Arc::clone(&namespace.name));
        let config = config.clone();
        let run = move || {
            let (follower, monitor) = match begin(namespace.as_ref(), &config, share) {
                Err(error) => return drop(told.send(Err(error))),
                Ok((begun, follower, monitor)) => {
                    // Where nobody waits for it any more, nobody says whom to tell either.
                    let _ = told.send(Ok(begun));
                    (follower, monitor)
                }
            };
            if let Ok(say) = whom.recv() {
                follow(follower, &monitor, namespace.as_ref(), &until, &*say);
            }
        };
        let thread = thread::Builder::new().name("interfaces".to_owned()).spawn(run);
        let thread = Some(thread.map_err(LiveError::Thread)?);
        let watch = Watch { follow: Some(announce), stop: Some(stop), thread };
        Ok(Self { netns, begun, watch })
    }

    /// Waits until programs are attached.
    pub(super) fn wait(mut self) -> Result<Site, LiveError> {
        let Ok(begun) = self.begun.recv() else {
            // The thread has panicked.
            self.watch.join();
            return Err(LiveError::NoKernelHalf);
        };
        let within = |source: LiveError| match &self.netns {
            Some(netns) => source.within(netns),
            None => source,
        };
        let Begun { half, readers, fills, notices } = begun.map_err(within)?;
        Ok(Site { half, readers, fills, notices, watch: self.watch })
    }
}

impl Site {
    /// Follows interfaces from now on.
    pub(super) fn follow(&mut self, say: Say) {
        if let Some(follow) = self.watch.follow.take() {
            let _ = follow.send(say);
        }
    }

    /// Whether the namespace is gone.
    pub(super) fn is_over(&self) -> bool {
        self.watch.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Takes the programs off.
    pub(super) fn detach(&mut self) {
        self.watch.join();
    }
}

impl Watch {
    fn join(&mut self) {
        self.follow = None;
        self.stop = None;
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.join();
    }
}

/// Enters the namespace, loads, and attaches to what is there.
fn begin(
    namespace: Option<&Namespace>,
    config: &LiveConfig,
    share: Share,
) -> Result<(Begun, Follower, Monitor), LiveError> {
    namespace.map_or(Ok(()), Namespace::enter)?;
    let netns = namespace.map(|namespace| Arc::clone(&namespace.name));
    let monitor = Monitor::new().map_err(LiveError::Interfaces)?;
    let all = monitor.list().map_err(LiveError::Interfaces)?;
    let mut notices = Vec::new();
    let mut ifaces = config.ifaces.clone();
    if ifaces.is_empty() {
        let iface = route::default_route_iface()?;
        ifaces.push(IfacePattern::name(&iface));
        notices.push(Notice::DefaultRoute { iface, netns: netns.clone() });
    }
    let named = iface::named(&ifaces, &all)?;
    let wanted = Wanted { ifaces, hook: config.hook, tc: config.tc, sensor: config.sensor };
    privilege::check()?;
    privilege::lift_memlock_limit();
    let ring_bytes =
        config.ring_bytes.map_or_else(|| wanted.ring_bytes(&all, &netns, share), size::rounded);
    let (half, rings) = Half::load(config, share.workers, ring_bytes)?;
    // What the kernel does not accept is known before anything is attached.
    half.with_programs(|ebpf| attach::load(ebpf, &wanted.hooks(&named)))?;
    let fills = rings.iter().map(|ring| Gauge::new(ring, ring_bytes)).collect::<Result<_, _>>()?;
    let (names, new_names) = names::names(rings.len());
    let readers = rings.into_iter().zip(new_names);
    // One clock for all: what two of them measure differs by some microseconds.
    let clock = Clock::new();
    let reader = |(ring, names)| RingReader::new(ring, clock, config.latency, names);
    let readers = readers.map(reader).collect();
    let half = Arc::new(half);
    let mut follower = Follower::new(Arc::clone(&half), wanted, netns, names);
    notices.extend(follower.start(&all, &monitor)?);
    Ok((Begun { half, readers, fills, notices }, follower, monitor))
}

/// Follows interfaces until it is told to end or the namespace is gone.
fn follow(
    mut follower: Follower,
    monitor: &Monitor,
    namespace: Option<&Namespace>,
    stop: &PipeReader,
    say: &dyn Fn(Notice),
) {
    let timeout = namespace.map(|_| NAMESPACE_PERIOD).map(|period| Timespec {
        tv_sec: period.as_secs().cast_signed(),
        tv_nsec: period.subsec_nanos().into(),
    });
    let mut watched = 2;
    loop {
        let mut ready = [PollFd::new(stop, PollFlags::IN), PollFd::new(monitor, PollFlags::IN)];
        match poll(ready.get_mut(..watched).unwrap_or_default(), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Out of memory, it may be: what is attached stays.
            Err(_) => thread::sleep(NAMESPACE_PERIOD),
        }
        let [is_to_stop, has_changed] = ready.map(|fd| !fd.revents().is_empty());
        if is_to_stop {
            return;
        }
        if has_changed {
            let taken = monitor.changes();
            let taken = taken.and_then(|changes| follower.take(changes, monitor, say));
            if let Err(error) = taken {
                say(follower.not_followed(&error));
                watched = 1;
            }
        }
        if let Some(namespace) = namespace.filter(|namespace| !namespace.is_there()) {
            say(Notice::NamespaceGone { netns: Arc::clone(&namespace.name) });
            return;
        }
    }
}
