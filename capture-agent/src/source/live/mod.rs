//! Segments from the kernel half: load, attach, read.
//!
//! [`LiveSource`] holds the programs on their hooks and reads their counters; [`RingReader`] yields
//! the segments, on a thread of its own. Dropping the source detaches everything, and so does the
//! end of the process, however it comes (see [`attach`]).
//!
//! The kernel half is loaded once for each network namespace, so that flows and interfaces of two
//! namespaces never meet: a [`site`] has a thread there.

mod attach;
mod clock;
mod counters;
mod error;
mod fill;
mod follow;
mod guardian;
mod iface;
mod kernel_log;
mod monitor;
mod names;
mod namespace;
pub(crate) mod netlink;
mod notice;
mod privilege;
mod ring;
mod route;
mod sensor;
mod site;
mod size;

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZero;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, Map, MapData, MapType, RingBuf};
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use capture_ebpf::{Governor, Hook, MAX_WORKERS, map, setting};

pub use self::attach::{Attachment, Way};
pub use self::error::LiveError;
pub use self::fill::RingFill;
pub use self::iface::IfacePattern;
pub use self::kernel_log::{KernelLog, KernelLogLevel};
pub use self::namespace::Namespace;
pub use self::notice::Notice;
pub(crate) use self::privilege::NEEDED as NEEDED_CAPABILITIES;
pub use self::ring::RingReader;
pub(crate) use self::route::default_route_iface;
pub use self::sensor::Sensor;

use self::counters::KernelCounters;
use self::fill::Gauge;
use self::monitor::Monitor;
use self::site::{Opening, Site};
use super::Packets;
use crate::selection::Selection;

/// The kernel half, as `cargo xtask` built it.
#[cfg(kernel_half)]
const KERNEL_HALF: Option<&[u8]> = Some(aya::include_bytes_aligned!(env!("CAPTURE_KERNEL_HALF")));
#[cfg(not(kernel_half))]
const KERNEL_HALF: Option<&[u8]> = None;

/// Where ingress is seen; egress is always TC's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum HookChoice {
    /// TC: after the kernel has merged segments, which costs least.
    #[default]
    Tc,
    /// XDP: before the kernel has touched the packet.
    Xdp,
}

/// Whether this agent was built with its kernel half.
pub(crate) const HAS_KERNEL_HALF: bool = KERNEL_HALF.is_some();

/// How TC programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TcAttach {
    /// By TCX where the kernel has it (6.6), else by clsact.
    #[default]
    Auto,
    /// By TCX alone.
    Tcx,
    /// By clsact alone.
    Clsact,
}

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// The network namespaces, each as a name of `ip netns`, a process id or a path; none for the
    /// one that the process is in.
    pub netns: Vec<String>,
    /// The interfaces, in each namespace; none for the one that has the default route.
    pub ifaces: Vec<IfacePattern>,
    /// Where ingress is seen.
    pub hook: HookChoice,
    /// How TC programs are attached.
    pub tc: TcAttach,
    /// Where the interfaces are mirror ports, which are captured on by XDP alone.
    pub sensor: Option<Sensor>,
    /// Which segments are wanted.
    pub selection: Selection,
    /// How much the kernel half says, `None` for nothing.
    pub kernel_log: Option<KernelLogLevel>,
    /// How many readers there shall be, from 1 to [`MAX_WORKERS`]; `None` for as many as CPUs.
    /// Namespaces share them, and each has one at least.
    pub workers: Option<u32>,
    /// Bytes of each ring, from 1 MiB to 2 GiB; the next power of two counts. `None` for what the
    /// links and the memory call for.
    pub ring_bytes: Option<u32>,
    /// How long a record may wait for others, so that one wake-up serves many.
    pub latency: Duration,
    /// Payload bytes of a direction that are handed over after the other side last spoke; `None`
    /// for all.
    pub budget: Option<u32>,
}

/// The kernel half at work.
pub struct LiveSource {
    sites: Vec<Site>,
    sensor: Option<Sensor>,
}

impl LiveSource {
    /// Tells what is wrong with the namespaces, the interfaces and the process's privileges, as far as
    /// that is seen without entering or loading anything.
    ///
    /// # Errors
    /// That.
    pub fn check(netns: &[String], ifaces: &[IfacePattern]) -> Result<(), LiveError> {
        Namespace::find(netns)?;
        if netns.is_empty() {
            let monitor = Monitor::new().map_err(LiveError::Interfaces)?;
            let all = monitor.list().map_err(LiveError::Interfaces)?;
            iface::named(ifaces, &all)?;
        }
        privilege::check()
    }

    /// Loads the kernel half and attaches it; segments come from the readers from now on. Both
    /// directions of a flow come from the same one, and each has segments of one network namespace
    /// alone.
    ///
    /// # Errors
    /// What is wrong with the namespaces, the interfaces, the process's privileges, or the kernel.
    pub fn open(config: &LiveConfig) -> Result<(Self, Vec<RingReader>), LiveError> {
        if config.sensor.is_some() && config.hook != HookChoice::Xdp {
            return Err(LiveError::SensorByTc);
        }
        let namespaces = match &config.netns[..] {
            [] => vec![None],
            names => Namespace::find(names)?.into_iter().map(Some).collect(),
        };
        let share = Share::new(config, namespaces.len());
        let open = |namespace| Opening::new(namespace, config, share);
        let opening: Vec<_> = namespaces.into_iter().map(open).collect::<Result<_, _>>()?;
        let mut sites =
            opening.into_iter().map(Opening::wait).collect::<Result<Vec<_>, LiveError>>()?;
        let readers = sites.iter_mut().flat_map(|site| site.readers.drain(..)).collect();
        Ok((Self { sites, sensor: config.sensor }, readers))
    }

    /// What there is to say about the start: what was attached where, and what was not.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.sites.iter().flat_map(|site| &site.notices)
    }

    /// Follows interfaces that come and go from now on, what happened since the start included.
    /// `say` is called on threads of the source's own.
    pub fn follow(&mut self, say: impl Fn(Notice) + Send + Sync + 'static) {
        let say = Arc::new(say);
        self.sites.iter_mut().for_each(|site| site.follow(say.clone()));
    }

    /// Whether every network namespace is gone, so that nothing more will come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sites.iter().all(Site::is_over)
    }

    /// What each hook that has had a program did with packets on each CPU since the start, in all
    /// namespaces together.
    ///
    /// # Errors
    /// [`LiveError::Map`] where the counters can't be read.
    pub fn packets(&self) -> Result<Vec<(Hook, Vec<Packets>)>, LiveError> {
        let mut hooks = Vec::new();
        for hook in Hook::ALL {
            let halves = self.sites.iter().map(|site| &site.half).filter(|half| half.has_had(hook));
            let counted: Vec<_> =
                halves.map(|half| half.counters.of_hook(hook)).collect::<Result<_, _>>()?;
            let sum = counted.into_iter().reduce(|mut sum, cpus| {
                sum.iter_mut().zip(&cpus).for_each(|(sum, cpu)| sum.merge(cpu));
                sum
            });
            hooks.extend(sum.map(|cpus| (hook, cpus)));
        }
        Ok(hooks)
    }

    /// Whether packets end at their hooks: on mirror ports, where that is asked for.
    #[must_use]
    pub fn consumes(&self) -> bool {
        self.sensor.is_some_and(|sensor| sensor.consume)
    }

    /// How full the ring of each worker is, and was.
    ///
    /// # Errors
    /// [`LiveError::Map`] where the governors can't be read.
    pub fn governors(&self) -> Result<Vec<Governor>, LiveError> {
        let governors = self.sites.iter().map(|site| site.half.counters.governors());
        Ok(governors.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// How full the ring of each worker is now.
    #[must_use]
    pub fn rings(&self) -> Vec<RingFill> {
        self.sites.iter().flat_map(|site| site.fills.iter().map(Gauge::fill)).collect()
    }

    /// How many interfaces are captured on now.
    #[must_use]
    pub fn interfaces(&self) -> usize {
        let there = self.sites.iter().filter(|site| !site.is_over());
        there.map(|site| site.half.interfaces.load(Ordering::Relaxed)).sum()
    }

    /// Takes the programs off their hooks. The readers still yield what is in their rings, and the
    /// counters stay as they are then.
    pub fn detach(&mut self) {
        self.sites.iter_mut().for_each(Site::detach);
    }

    /// The kernel half's log, that of each namespace by itself, each message as a line to
    /// `forward`; it can be had once.
    ///
    /// # Errors
    /// [`LiveError::Map`] where it was taken before.
    pub fn kernel_logs<F: Fn(&str) + Send + Sync + Clone>(
        &mut self,
        forward: F,
    ) -> Result<Vec<KernelLog<F>>, LiveError> {
        let log =
            |site: &Site| site.half.with_programs(|ebpf| KernelLog::new(ebpf, forward.clone()));
        self.sites.iter().map(log).collect()
    }
}

/// A network namespace's part of what the host gives.
#[derive(Clone, Copy, Debug)]
struct Share {
    namespaces: u32,
    workers: u32,
}

impl Share {
    /// No more workers than CPUs unless asked for, and one for each namespace at least.
    fn new(config: &LiveConfig, namespaces: usize) -> Self {
        let cpus = || thread::available_parallelism().map_or(1, NonZero::get);
        let workers =
            config.workers.unwrap_or_else(|| u32::try_from(cpus()).unwrap_or(MAX_WORKERS));
        let namespaces = u32::try_from(namespaces).unwrap_or(u32::MAX).max(1);
        Self { namespaces, workers: (workers / namespaces).clamp(1, MAX_WORKERS) }
    }
}

/// The kernel half, loaded for one network namespace.
struct Half {
    /// For the programs; the maps are taken out.
    ebpf: Mutex<Ebpf>,
    counters: KernelCounters,
    /// The hooks that have had a program, by their bits.
    hooks: AtomicU8,
    /// Interfaces that have programs now.
    interfaces: AtomicUsize,
}

impl Half {
    /// Loads the object, with no program yet.
    fn load(
        config: &LiveConfig,
        workers: u32,
        ring_bytes: u32,
    ) -> Result<(Self, Vec<RingBuf<MapData>>), LiveError> {
        let object = KERNEL_HALF.ok_or(LiveError::NoKernelHalf)?;
        check_kernel(config)?;
        let mut ebpf = load(object, config, workers, ring_bytes)?;
        fill(&mut ebpf, &config.selection)?;
        let counters = KernelCounters::new(&mut ebpf, workers)?;
        let ring = |name: &'static str| {
            RingBuf::try_from(take_map(&mut ebpf, name)?).map_err(map_error("ring"))
        };
        let rings =
            map::RINGS.into_iter().take(workers as usize).map(ring).collect::<Result<_, _>>()?;
        Ok((
            Self {
                ebpf: Mutex::new(ebpf),
                counters,
                hooks: AtomicU8::new(0),
                interfaces: AtomicUsize::new(0),
            },
            rings,
        ))
    }

    fn with_programs<T>(
        &self,
        f: impl FnOnce(&mut Ebpf) -> Result<T, LiveError>,
    ) -> Result<T, LiveError> {
        f(&mut self.ebpf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// These hooks have a program now.
    fn has_got(&self, hooks: &[(Hook, Way)]) {
        let bits = hooks.iter().fold(0, |bits, (hook, _)| bits | 1 << *hook as u8);
        self.hooks.fetch_or(bits, Ordering::Relaxed);
    }

    fn has_had(&self, hook: Hook) -> bool {
        self.hooks.load(Ordering::Relaxed) & 1 << hook as u8 != 0
    }
}

fn check_kernel(config: &LiveConfig) -> Result<(), LiveError> {
    // Where the kernel can't be asked, loading will tell.
    if !is_map_supported(MapType::RingBuf).unwrap_or(true) {
        return Err(LiveError::NoRingBuffers);
    }
    let too_old =
        KernelVersion::current().is_ok_and(|kernel| kernel < KernelVersion::new(5, 18, 0));
    if config.hook == HookChoice::Xdp && too_old {
        return Err(LiveError::XdpTooOld);
    }
    Ok(())
}

fn load(
    object: &[u8],
    config: &LiveConfig,
    workers: u32,
    ring_bytes: u32,
) -> Result<Ebpf, LiveError> {
    let Selection { ports, hosts, sample } = &config.selection;
    let log_level = config.kernel_log.map_or(0, |level| level as u8);
    let (any_port, some_hosts) = (u8::from(ports.is_any()), u8::from(!hosts.is_empty()));
    let budget = config.budget.unwrap_or(u32::MAX);
    let one_in = sample.one_in();
    let consume = u8::from(config.sensor.is_some_and(|sensor| sensor.consume));
    let seed = RandomState::new().hash_one(ring_bytes);
    let knows_cgroups = u8::from(
        is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_skb_cgroup_id)
            .unwrap_or(false),
    );
    let mut loader = EbpfLoader::new();
    for ring in map::RINGS.into_iter().take(workers as usize) {
        loader.map_max_entries(ring, ring_bytes);
    }
    loader
        .map_max_entries(map::HOSTS, u32::try_from(hosts.len().max(1)).unwrap_or(u32::MAX))
        .override_global(setting::ANY_PORT, &any_port, true)
        .override_global(setting::SOME_HOSTS, &some_hosts, true)
        .override_global(setting::WORKERS, &workers, true)
        .override_global(setting::RING_BYTES, &ring_bytes, true)
        .override_global(setting::BUDGET, &budget, true)
        .override_global(setting::SAMPLE, &one_in, true)
        .override_global(setting::CONSUME, &consume, true)
        .override_global(setting::HASH_SEED, &seed, true)
        .override_global(setting::KNOWS_CGROUPS, &knows_cgroups, true)
        .override_global(aya_log::LEVEL, &log_level, true);
    loader.load(object).map_err(|error| LiveError::load(error, ring_bytes))
}

/// Tells the kernel half what is selected.
fn fill(ebpf: &mut Ebpf, selection: &Selection) -> Result<(), LiveError> {
    let mut ports =
        Array::<_, u64>::try_from(ebpf.map_mut(map::PORTS).ok_or(LiveError::NoKernelHalf)?)
            .map_err(map_error(map::PORTS))?;
    let words = (0..).zip(selection.ports.words().unwrap_or_default());
    for (n, word) in words.filter(|(_, word)| **word != 0) {
        ports.set(n, word, 0).map_err(map_error(map::PORTS))?;
    }
    let mut hosts = LpmTrie::<_, [u8; 16], u8>::try_from(
        ebpf.map_mut(map::HOSTS).ok_or(LiveError::NoKernelHalf)?,
    )
    .map_err(map_error(map::HOSTS))?;
    for net in &selection.hosts {
        let key = Key::new(net.prefix_len().into(), net.addr().octets());
        hosts.insert(&key, 1, 0).map_err(map_error(map::HOSTS))?;
    }
    Ok(())
}

fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LiveError> {
    ebpf.take_map(name).ok_or(LiveError::NoKernelHalf)
}

fn map_error<E: std::error::Error>(map: &'static str) -> impl FnOnce(E) -> LiveError {
    move |error| LiveError::Map { map, reason: error::chain(&error) }
}
