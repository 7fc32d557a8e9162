//! Segments from the kernel half: load, attach, read.
//!
//! [`LiveSource`] holds the programs on their hooks and reads their counters; [`RingReader`] yields
//! the segments, on a thread of its own. Dropping the source detaches everything, and so does the
//! end of the process, however it comes (see [`attach`]).

mod attach;
mod clock;
mod counters;
mod error;
mod guardian;
mod iface;
mod kernel_log;
mod netlink;
mod privilege;
mod ring;
mod route;
mod size;

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, Map, MapType, RingBuf};
use aya::sys::is_map_supported;
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use capture_ebpf::{Governor, Hook, MAX_WORKERS, map, setting};

pub use self::attach::{Attachment, Way};
pub use self::error::LiveError;
pub use self::kernel_log::{KernelLog, KernelLogLevel};
pub use self::ring::RingReader;
pub use self::route::default_route_iface;

use self::attach::Links;
use self::clock::Clock;
use self::counters::KernelCounters;
use self::iface::Iface;
use super::Packets;
use crate::segment::IfaceId;
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
    /// Names of the interfaces.
    pub ifaces: Vec<String>,
    /// Where ingress is seen.
    pub hook: HookChoice,
    /// How TC programs are attached.
    pub tc: TcAttach,
    /// Which segments are wanted.
    pub selection: Selection,
    /// How much the kernel half says, `None` for nothing.
    pub kernel_log: Option<KernelLogLevel>,
    /// How many readers there shall be, from 1 to [`MAX_WORKERS`]; `None` for as many as CPUs.
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
    // Dropped before `ebpf`: what is attached goes first.
    links: Links,
    ebpf: Ebpf,
    attachments: Vec<Attachment>,
    counters: KernelCounters,
}

impl LiveSource {
    /// Loads the kernel half and attaches it; segments come from the readers from now on. Both
    /// directions of a flow come from the same one.
    ///
    /// # Errors
    /// What is wrong with the interfaces, the process's privileges, or the kernel.
    pub fn open(config: &LiveConfig) -> Result<(Self, Vec<RingReader>), LiveError> {
        let ifaces = iface::find(&config.ifaces)?;
        let object = KERNEL_HALF.ok_or(LiveError::NoKernelHalf)?;
        privilege::check()?;
        privilege::lift_memlock_limit();
        check_kernel(config)?;
        let workers = workers(config);
        let ring_bytes =
            config.ring_bytes.map_or_else(|| size::ring_bytes(&ifaces, workers), size::rounded);
        let mut ebpf = load(object, config, workers, ring_bytes)?;
        fill(&mut ebpf, &config.selection)?;
        load_programs(&mut ebpf, &ifaces, config.hook)?;

        let counters = KernelCounters::new(&mut ebpf, workers)?;
        let names: Vec<(IfaceId, Arc<str>)> =
            ifaces.iter().map(|iface| (IfaceId(iface.index), Arc::from(&*iface.name))).collect();
        // One clock for all: what two of them measure differs by some microseconds.
        let clock = Clock::new();
        let reader = |name: &'static str| {
            let ring = RingBuf::try_from(take_map(&mut ebpf, name)?).map_err(map_error("ring"))?;
            Ok(RingReader::new(ring, clock, config.latency, names.clone()))
        };
        let readers =
            map::RINGS.into_iter().take(workers as usize).map(reader).collect::<Result<_, _>>()?;

        let mut links = Links::default();
        let attachments = ifaces
            .iter()
            .map(|iface| {
                let hooks = attach::hooks(iface, config.hook);
                links.attach(&mut ebpf, iface, &hooks, config.tc)
            })
            .collect::<Result<_, _>>()?;
        Ok((Self { links, ebpf, attachments, counters }, readers))
    }

    /// What was attached where.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// What each hook that has a program did with packets on each CPU since the start.
    ///
    /// # Errors
    /// [`LiveError::Map`] where the counters can't be read.
    pub fn packets(&self) -> Result<Vec<(Hook, Vec<Packets>)>, LiveError> {
        let attached = |hook: &Hook| {
            let hooks = self.attachments.iter().flat_map(|attachment| &attachment.hooks);
            hooks.into_iter().any(|(attached, _)| attached == hook)
        };
        let hooks = Hook::ALL.into_iter().filter(attached);
        hooks.map(|hook| Ok((hook, self.counters.of_hook(hook)?))).collect()
    }

    /// How full the ring of each worker is, and was.
    ///
    /// # Errors
    /// [`LiveError::Map`] where the governors can't be read.
    pub fn governors(&self) -> Result<Vec<Governor>, LiveError> {
        self.counters.governors()
    }

    /// Takes the programs off their hooks. The reader still yields what is in the ring, and the
    /// counters stay as they are then.
    pub fn detach(&mut self) {
        self.links = Links::default();
    }

    /// The kernel half's log, each message as a line to `forward`; it can be had once.
    ///
    /// # Errors
    /// [`LiveError::Map`] where it was taken before.
    pub fn kernel_log<F: Fn(&str) + Send + Sync>(
        &mut self,
        forward: F,
    ) -> Result<KernelLog<F>, LiveError> {
        KernelLog::new(&mut self.ebpf, forward)
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

/// How many workers there are: no more than CPUs unless asked for.
fn workers(config: &LiveConfig) -> u32 {
    let cpus = || thread::available_parallelism().map_or(1, NonZero::get);
    let workers = config.workers.unwrap_or_else(|| u32::try_from(cpus()).unwrap_or(MAX_WORKERS));
    workers.clamp(1, MAX_WORKERS)
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
    let seed = RandomState::new().hash_one(ring_bytes);
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
        .override_global(setting::HASH_SEED, &seed, true)
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

/// Loads the programs that some interface will need, and no other.
fn load_programs(ebpf: &mut Ebpf, ifaces: &[Iface], choice: HookChoice) -> Result<(), LiveError> {
    for hook in Hook::ALL {
        if !ifaces.iter().any(|iface| attach::hooks(iface, choice).contains(&hook)) {
            continue;
        }
        let loaded = match hook {
            Hook::XdpIngress => attach::xdp_program(ebpf)?.load(),
            Hook::TcIngress | Hook::TcEgress => attach::tc_program(ebpf, hook)?.load(),
        };
        loaded.map_err(|error| LiveError::program(attach::program_name(hook), error))?;
    }
    Ok(())
}

fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LiveError> {
    ebpf.take_map(name).ok_or(LiveError::NoKernelHalf)
}

fn map_error<E: std::error::Error>(map: &'static str) -> impl FnOnce(E) -> LiveError {
    move |error| LiveError::Map { map, reason: error::chain(&error) }
}
