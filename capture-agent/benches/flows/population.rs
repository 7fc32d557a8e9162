//! A million established flows, each opened by a handshake and with an exchange behind it: what
//! they take, and how long the engine stalls when all of them are over at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use capture_agent::engine::{Engine, Settings};

use crate::gauge::{
    MIB, ROUNDS, figure, head, heap_bytes, held_to, median, noise, processor_time, resident_bytes,
};
use crate::traffic::{Drive, Nobody, Peers};

const FLOWS: u32 = 1_000_000;
/// So many flows open and speak at a time.
const AT_A_TIME: u32 = 1_000;
const RESIDENT_BAR_MIB: f64 = 400.0;
const STALL_BAR_MS: f64 = 10.0;

/// The longest of many calls.
#[derive(Clone, Copy, Default)]
struct Longest {
    /// By the clock on the wall: with what else the machine did.
    wall: Duration,
    /// By the processor time of the thread.
    own: Duration,
    total: Duration,
}

impl Longest {
    fn of<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let (wall, own) = (Instant::now(), processor_time());
        let result = call();
        let (own, wall) = (processor_time() - own, wall.elapsed());
        self.own = self.own.max(own);
        self.wall = self.wall.max(wall);
        self.total += own;
        result
    }
}

fn ms(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

/// An engine with all flows; the longest call that it took is in `longest`.
fn populate(mut longest: Option<&mut Longest>) -> Result<Drive<Nobody>> {
    let mut drive = Drive::new(Engine::new(Settings::default()), Nobody, 1_000);
    for first in (0..FLOWS).step_by(AT_A_TIME as usize) {
        // Side by side, as on a busy server, and not one after the other.
        for step in 0..5 {
            for peers in (first..first + AT_A_TIME).map(Peers::new) {
                let [syn, syn_ack, ack] = peers.handshake();
                let [ask, answer] = peers.exchange(0);
                let Some(segment) = [syn, syn_ack, ack, ask, answer].get(step).copied() else {
                    continue;
                };
                match longest.as_deref_mut() {
                    Some(longest) => longest.of(|| drive.give(segment)),
                    None => drive.give(segment),
                }
            }
        }
    }
    let counters = drive.engine.counters();
    ensure!(counters.flows_active == u64::from(FLOWS), "flows are missing: {counters:?}");
    ensure!(counters.exchanges == u64::from(FLOWS), "exchanges are missing: {counters:?}");
    Ok(drive)
}

pub(crate) fn memory() -> Result<()> {
    let before = resident_bytes()?;
    let drive = populate(None)?;
    let resident = resident_bytes()?;
    let flows = f64::from(FLOWS);
    head();
    held_to("resident in all (VmRSS)", resident / MIB, "MiB", RESIDENT_BAR_MIB);
    figure("of that before the first segment", before / MIB, "MiB");
    figure("resident per flow", (resident - before) / flows, "bytes");
    figure("allocated, all in all", heap_bytes() as f64 / MIB, "MiB");
    figure("by the engine's own account", drive.engine.memory() as f64 / MIB, "MiB");
    figure("of that per flow", drive.engine.memory() as f64 / flows, "bytes");
    Ok(())
}

/// Lets all flows go, while the line is silent or with new flows on it.
fn evict(mut drive: Drive<Nobody>, silent: bool) -> Result<(Longest, u32)> {
    drive.now_ns += Settings::default().flow_timeout_ns + 1_000_000_000;
    let mut longest = Longest::default();
    let mut calls = 0;
    if silent {
        while longest.of(|| drive.advance()) {
            calls += 1;
        }
    } else {
        let mut peers = (FLOWS..).map(Peers::new);
        let is_left = |drive: &Drive<Nobody>| {
            let closed: u64 = drive.engine.counters().flows_closed.iter().sum();
            closed < u64::from(FLOWS)
        };
        while is_left(&drive) {
            let Some(peers) = peers.next() else { break };
            for segment in peers.handshake().into_iter().chain(peers.exchange(0)) {
                longest.of(|| drive.give(segment));
                calls += 1;
            }
        }
    }
    let closed: u64 = drive.engine.counters().flows_closed.iter().sum();
    ensure!(closed == u64::from(FLOWS), "{closed} flows have gone");
    Ok((longest, calls))
}

pub(crate) fn evictions() -> Result<()> {
    let mut opening = Vec::new();
    let mut silent = Vec::new();
    let mut busy = Vec::new();
    for round in 0..2 * ROUNDS {
        let mut longest = Longest::default();
        let drive = populate(Some(&mut longest))?;
        opening.push(longest);
        let into = if round % 2 == 0 { &mut silent } else { &mut busy };
        into.push(evict(drive, round % 2 == 0)?);
    }
    head();
    for (what, evicted) in [("line silent", silent), ("segments going on", busy)] {
        let calls = evicted.first().map_or(0, |(_, calls)| *calls);
        let by = |part: fn(&Longest) -> Duration| {
            ms(&evicted.iter().map(|(longest, _)| part(longest)).collect::<Vec<_>>())
        };
        let own = by(|longest| longest.own);
        let worst = own.iter().copied().fold(0.0, f64::max);
        held_to(
            &format!("{what}: longest of {calls} calls, worst round"),
            worst,
            "ms",
            STALL_BAR_MS,
        );
        figure(&format!("{what}: the same, median of rounds"), median(&own), "ms");
        let wall = median(&by(|longest| longest.wall));
        figure(&format!("{what}: the same by the clock on the wall"), wall, "ms");
        figure(&format!("{what}: all of it"), median(&by(|longest| longest.total)), "ms");
    }
    let own = ms(&opening.iter().map(|longest| longest.own).collect::<Vec<_>>());
    figure("while they open: longest call, median of rounds", median(&own), "ms");
    let totals = ms(&opening.iter().map(|longest| longest.total).collect::<Vec<_>>());
    let (one, other): (Vec<_>, Vec<_>) =
        totals.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).unzip();
    figure("noise: opening them, one half of the rounds and the other", noise(&one, &other), "%");
    Ok(())
}
