//! The kernel half's counters, as the ledger takes them.

use std::thread;
use std::time::Duration;

use aya::maps::{Array, MapData, PerCpuArray};
use aya::{Ebpf, Pod};
use capture_ebpf::{Governor, Hook, HookCounters, Verdict, map};

use super::{LiveError, map_error, take_map};
use crate::source::{HandedOver, Packets, Verdicts};

/// How often counters are looked at that packets are on their way through. A packet takes a
/// microsecond, unless the machine underneath has given its CPU to others.
const LOOKS: u32 = 32;
/// How long to wait before a look, from the eighth on.
const PAUSE: Duration = Duration::from_millis(1);

/// [`HookCounters`] as aya reads them.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Counters(HookCounters);

// SAFETY: it is made of integers without padding, and every pattern of bits is one.
unsafe impl Pod for Counters {}

/// [`Governor`] as aya reads it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Govern(Governor);

// SAFETY: as above.
unsafe impl Pod for Govern {}

/// Where the kernel half counts.
pub(super) struct KernelCounters {
    hooks: PerCpuArray<MapData, Counters>,
    governors: Array<MapData, Govern>,
    workers: u32,
}

impl KernelCounters {
    pub(super) fn new(ebpf: &mut Ebpf, workers: u32) -> Result<Self, LiveError> {
        let hooks = PerCpuArray::try_from(take_map(ebpf, map::COUNTERS)?)
            .map_err(map_error(map::COUNTERS))?;
        let governors =
            Array::try_from(take_map(ebpf, map::GOVERNORS)?).map_err(map_error(map::GOVERNORS))?;
        Ok(Self { hooks, governors, workers })
    }

    /// What a hook did with packets, on each CPU: each as of a moment when none was between being
    /// seen and its verdict there, as far as such a moment was met with.
    pub(super) fn of_hook(&self, hook: Hook) -> Result<Vec<Packets>, LiveError> {
        let mut cpus = self.look(hook)?;
        for look in 1..LOOKS {
            if cpus.iter().all(Packets::balances) {
                break;
            }
            if look >= 8 {
                thread::sleep(PAUSE);
            }
            let unbalanced = |(cpu, _): &(&mut Packets, Packets)| !cpu.balances();
            let again = self.look(hook)?;
            cpus.iter_mut().zip(again).filter(unbalanced).for_each(|(cpu, again)| *cpu = again);
        }
        Ok(cpus)
    }

    fn look(&self, hook: Hook) -> Result<Vec<Packets>, LiveError> {
        let counters = self.hooks.get(&(hook as u32), 0).map_err(map_error(map::COUNTERS))?;
        Ok(counters.iter().map(|counters| packets(&counters.0)).collect())
    }

    /// The governor of each ring.
    pub(super) fn governors(&self) -> Result<Vec<Governor>, LiveError> {
        let governor = |worker| self.governors.get(&worker, 0).map(|governor| governor.0);
        let all = (0..self.workers).map(governor).collect::<Result<_, _>>();
        all.map_err(map_error(map::GOVERNORS))
    }
}

fn packets(counters: &HookCounters) -> Packets {
    let mut verdicts = Verdicts::default();
    for (verdict, count) in Verdict::ALL.into_iter().zip(counters.verdicts) {
        verdicts.add(verdict, count);
    }
    let HookCounters { seen, records, notices, .. } = *counters;
    let HookCounters { handed_over_bytes, elided_bytes, dropped_bytes, .. } = *counters;
    let handed_over =
        HandedOver { records, notices, bytes: handed_over_bytes, elided_bytes, dropped_bytes };
    Packets { seen, verdicts, handed_over }
}
