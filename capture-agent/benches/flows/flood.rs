//! A flood of SYNs from distinct ends, and live flows among it that speak every now and then.

use anyhow::{Result, ensure};
use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{Exchange, FlowSummary};
use capture_agent::flow::CloseReason;
use capture_agent::http::State;
use capture_agent::listener::Listener;

use crate::gauge::{MIB, ROUNDS, figure, head, held_to, median, noise, resident_bytes, timed};
use crate::traffic::{Drive, Peers, flood};

const SYNS: u32 = 10_000_000;
const LIVE: u32 = 10_000;
/// After so many SYNs one live flow asks, and the one that asked last but [`UNDER_WAY`] is
/// answered: each says something once in a million SYNs.
const BETWEEN: u32 = 100;
/// Exchanges that are unfinished at a time.
const UNDER_WAY: u32 = 100;
const MEMORY_LIMIT: usize = 256 << 20;

/// What became of the live flows.
#[derive(Default)]
struct Watch {
    whole: u32,
    others: u32,
    live_gone: u32,
    flood_gone: u64,
    pushed_out: u64,
}

impl Listener for Watch {
    fn exchange(&mut self, exchange: Exchange) {
        let (request, response) = (&exchange.http.request, &exchange.http.response);
        let whole = request.as_ref().is_some_and(|request| request.state == State::Complete)
            && response.as_ref().is_some_and(|response| response.state == State::Complete);
        *if whole { &mut self.whole } else { &mut self.others } += 1;
    }

    fn gone(&mut self, summary: FlowSummary) {
        if Peers::is_client(summary.flow.client) {
            self.live_gone += 1;
        } else {
            self.flood_gone += 1;
            self.pushed_out += u64::from(summary.close == CloseReason::Pressure);
        }
    }
}

/// What a round found.
struct Round {
    /// Nanoseconds per SYN before the table was full, and in two equal parts of the rest.
    filling: f64,
    full: [f64; 2],
    peak_memory: usize,
    resident: f64,
    watch: Watch,
    flows: u64,
}

fn round(settings: Settings) -> Result<Round> {
    let mut drive = Drive::new(Engine::new(settings), Watch::default(), 1_000);
    let live: Vec<Peers> = (0..LIVE).map(Peers::new).collect();
    for segment in live.iter().flat_map(Peers::handshake) {
        drive.give(segment);
    }
    let mut costs = Vec::new();
    let mut peak_memory = 0;
    let mut turns = 0;
    // Whose turn it is, and how many it had before.
    let turn = |n: u32| live.get((n % LIVE) as usize).map(|peers| peers.exchange(n / LIVE));
    for first in (0..SYNS).step_by(BETWEEN as usize) {
        let cost = timed(|| (first..first + BETWEEN).for_each(|n| drive.give(flood(n))));
        costs.push(cost.as_nanos() as f64 / f64::from(BETWEEN));
        if let Some([ask, _]) = turn(turns) {
            drive.give(ask);
        }
        if let Some([_, answer]) = turns.checked_sub(UNDER_WAY).and_then(turn) {
            drive.give(answer);
        }
        turns += 1;
        peak_memory = peak_memory.max(drive.engine.memory());
    }
    let resident = resident_bytes()?;
    for late in turns - UNDER_WAY..turns {
        if let Some([_, answer]) = turn(late) {
            drive.give(answer);
        }
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (filling, rest) = costs.split_at(costs.len() / 4);
    let (one, other) = rest.split_at(rest.len() / 2);
    let flows = drive.engine.counters().flows_active;
    let full = [mean(one), mean(other)];
    let watch = drive.listener;
    ensure!(watch.whole + watch.others == turns, "exchanges are missing");
    Ok(Round { filling: mean(filling), full, peak_memory, resident, watch, flows })
}

pub(crate) fn run() -> Result<()> {
    let settings = Settings { memory_limit: MEMORY_LIMIT, ..Settings::default() };
    let small = Settings { max_flows: 100_000, ..settings.clone() };
    head();
    for (what, settings) in [("256 MiB", settings), ("256 MiB, 100,000 flows", small)] {
        show(what, &settings)?;
    }
    Ok(())
}

fn show(what: &str, settings: &Settings) -> Result<()> {
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(settings.clone())).collect::<Result<_>>()?;
    let all = |part: fn(&Round) -> f64| rounds.iter().map(part).collect::<Vec<f64>>();
    let worst = |part: fn(&Round) -> f64| all(part).into_iter().fold(0.0, f64::max);
    held_to(&format!("{what}: live flows lost"), worst(|r| r.watch.live_gone.into()), "", 0.0);
    held_to(
        &format!("{what}: exchanges of live flows that are not whole, of 100,000"),
        worst(|r| r.watch.others.into()),
        "",
        0.0,
    );
    let limit = settings.memory_limit as f64 / MIB;
    let memory = worst(|r| r.peak_memory as f64 / MIB);
    held_to(&format!("{what}: most memory, by the engine's account"), memory, "MiB", limit);
    figure(&format!("{what}: resident"), worst(|r| r.resident / MIB), "MiB");
    figure(&format!("{what}: flows in the table at the end"), worst(|r| r.flows as f64), "");
    figure(
        &format!("{what}: half-open flows pushed out"),
        worst(|r| r.watch.pushed_out as f64),
        "",
    );
    figure(&format!("{what}: per SYN, the first quarter"), median(&all(|r| r.filling)), "ns");
    let (one, other) = (all(|r| r.full[0]), all(|r| r.full[1]));
    figure(&format!("{what}: per SYN, the rest"), median(&[&one[..], &other].concat()), "ns");
    figure(&format!("{what}: noise: two halves of that"), noise(&one, &other), "%");
    Ok(())
}
