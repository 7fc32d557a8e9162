//! What the engine asks of the allocator.

use anyhow::{Result, ensure};
use capture_agent::engine::{Engine, Settings};

use crate::gauge::{allocations, figure, head, held_to};
use crate::traffic::{Drive, Nobody, Peers};

const TIMES: u32 = 100_000;

/// Allocations each time, on average.
fn each(mut act: impl FnMut(u32)) -> f64 {
    let before = allocations();
    (0..TIMES).for_each(&mut act);
    (allocations() - before) as f64 / f64::from(TIMES)
}

pub(crate) fn run() -> Result<()> {
    let mut drive = Drive::new(Engine::new(Settings::default()), Nobody, 1_000);
    let [body, exchanges] = [0, 1].map(Peers::new);
    body.handshake().into_iter().chain(body.endless()).for_each(|segment| drive.give(segment));
    // The first exchange makes the room that later ones find.
    exchanges.handshake().into_iter().chain(exchanges.exchange(0)).for_each(|s| drive.give(s));
    let per_segment = each(|n| drive.give(body.body(n)));
    let per_exchange = each(|n| exchanges.exchange(n + 1).into_iter().for_each(|s| drive.give(s)));
    let per_flow = each(|n| {
        Peers::new(n + 2).handshake().into_iter().for_each(|segment| drive.give(segment));
    });
    let counters = drive.engine.counters();
    ensure!(counters.exchanges == u64::from(TIMES) + 1, "exchanges are missing: {counters:?}");
    head();
    held_to("per in-order segment of a body", per_segment, "", 0.0);
    figure("per exchange on a flow that is kept alive", per_exchange, "");
    figure("per flow that opens", per_flow, "");
    Ok(())
}
