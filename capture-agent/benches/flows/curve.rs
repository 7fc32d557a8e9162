//! What an in-order segment costs, by how many flows there are.
//!
//! A flow that nobody has spoken of for a while is not in the processor's caches, and fetching it
//! costs what it costs, whoever keeps a table of flows. So each curve comes in three ways: a
//! hundred of the flows speak, which fit the caches and the TLB however many others there are;
//! very many speak, each a burst at a time; all of them speak in turn, the worst there is.

use std::hint::black_box;

use anyhow::{Result, ensure};
use capture_agent::engine::{Engine, Settings};

use crate::gauge::{median, met, noise, spread, timed};
use crate::traffic::{Drive, Nobody, Peers};

const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// More than elsewhere: what is held against each other here differs by little.
const ROUNDS: usize = 11;
/// Segments that are given at least, in a measurement.
const SEGMENTS: u32 = 1_000_000;
const SPREAD_BAR: f64 = 20.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Full segments of a response that does not end.
    Body,
    /// Small exchanges, a segment each way.
    Exchanges,
}

#[derive(Clone, Copy)]
struct Scene {
    what: &'static str,
    says: Says,
    /// How many of the flows speak, at most.
    speakers: u32,
    /// Segments of a flow at a time.
    burst: u32,
    /// Whether the cost is held to the bar.
    held: bool,
}

const SCENES: [Scene; 6] = {
    let body = Scene {
        what: "body, 100 of them speak",
        says: Says::Body,
        speakers: 100,
        burst: 1,
        held: true,
    };
    let exchanges =
        Scene { what: "exchanges, 100 of them speak", says: Says::Exchanges, burst: 2, ..body };
    let (many, all) = (100_000, u32::MAX);
    [
        body,
        Scene { what: "body, bursts of 64", speakers: many, burst: 64, ..body },
        Scene { what: "body, each in turn", speakers: all, held: false, ..body },
        exchanges,
        Scene { what: "exchanges, bursts of 32", speakers: many, burst: 64, ..exchanges },
        Scene { what: "exchanges, each in turn", speakers: all, held: false, ..exchanges },
    ]
};

/// An engine with so many flows, all of them open.
struct Crowd {
    drive: Drive<Nobody>,
    flows: u32,
    scene: Scene,
    /// Segments that every speaker has said.
    said: u32,
}

impl Crowd {
    fn new(flows: u32, scene: Scene) -> Self {
        let settings =
            Settings { max_flows: 2_000_000, memory_limit: 8 << 30, ..Default::default() };
        let mut drive = Drive::new(Engine::new(settings), Nobody, 100);
        for peers in (0..flows).map(Peers::new) {
            let said = match scene.says {
                Says::Body => peers.endless(),
                Says::Exchanges => peers.exchange(0),
            };
            peers.handshake().into_iter().chain(said).for_each(|segment| drive.give(segment));
        }
        let said = if scene.says == Says::Body { 0 } else { 2 };
        Self { drive, flows, scene, said }
    }

    /// Nanoseconds per segment, and what making the segments takes of them.
    fn measure(&mut self) -> (f64, f64) {
        let Self { drive, flows, scene, said } = self;
        let per_pass = scene.speakers.min(*flows) * scene.burst;
        let passes = SEGMENTS.div_ceil(per_pass);
        let segments = f64::from(passes * per_pass);
        let until = *said + passes * scene.burst;
        let all = || (*said..until).step_by(scene.burst as usize);
        let cost = timed(|| all().for_each(|said| pass(*flows, *scene, said, |s| drive.give(s))));
        let making = timed(|| {
            all().for_each(|said| pass(*flows, *scene, said, |s| _ = black_box(s)));
        });
        *said = until;
        (cost.as_nanos() as f64 / segments, making.as_nanos() as f64 / segments)
    }
}

/// Every speaker says its next burst, in an order that no prefetcher guesses.
fn pass(
    flows: u32,
    scene: Scene,
    said: u32,
    mut give: impl FnMut(capture_agent::segment::Segment<'static>),
) {
    let speakers = scene.speakers.min(flows);
    let apart = flows / speakers;
    for n in 0..speakers {
        // A prime that divides no number of flows: everybody's turn comes once.
        let place = (u64::from(n) * 611_953 % u64::from(speakers)) as u32;
        let peers = Peers::new(place * apart);
        match scene.says {
            Says::Body => (said..said + scene.burst).for_each(|n| give(peers.body(n))),
            Says::Exchanges => (said / 2..(said + scene.burst) / 2)
                .for_each(|n| peers.exchange(n).into_iter().for_each(&mut give)),
        }
    }
}

pub(crate) fn run() -> Result<()> {
    println!(
        "Nanoseconds per segment, by the number of flows. Beside: how far the dearest is above \
         the cheapest; what making the segments takes of each figure; 1,000 flows measured twice.\n"
    );
    let sizes = SIZES.map(|size| size.to_string()).join(" | ");
    println!("| | {sizes} | spread | bar | met | making | noise |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    SCENES.into_iter().try_for_each(show)
}

fn show(scene: Scene) -> Result<()> {
    let mut crowds: Vec<Crowd> = SIZES.iter().map(|size| Crowd::new(*size, scene)).collect();
    let mut costs = [const { Vec::new() }; SIZES.len()];
    let mut again = Vec::new();
    let mut making = Vec::new();
    for _ in 0..ROUNDS {
        for (crowd, costs) in crowds.iter_mut().zip(&mut costs) {
            let (cost, made) = crowd.measure();
            costs.push(cost);
            making.push(made);
        }
        again.extend(crowds.first_mut().map(|crowd| crowd.measure().0));
    }
    for crowd in &crowds {
        let counters = crowd.drive.engine.counters();
        ensure!(counters.flows_active == u64::from(crowd.flows), "flows were lost: {counters:?}");
        ensure!(counters.segments == counters.segments_in_flows, "segments strayed: {counters:?}");
        ensure!(counters.gap_bytes == 0, "something was out of order: {counters:?}");
    }
    let medians = costs.each_ref().map(|costs| median(costs));
    let spread = spread(&medians);
    let (bar, met) = if scene.held {
        (format!("{SPREAD_BAR} %"), met(spread, SPREAD_BAR))
    } else {
        Default::default()
    };
    println!(
        "| {} | {} | {spread:.0} % | {bar} | {met} | {:.0} | {:.1} % |",
        scene.what,
        medians.map(|cost| format!("{cost:.0}")).join(" | "),
        median(&making),
        noise(&costs[0], &again),
    );
    Ok(())
}
