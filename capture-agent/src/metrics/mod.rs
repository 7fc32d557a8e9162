//! What an operator watches while the agent runs: the ledger for Prometheus, and whether all is well.
//!
//! Who conducts the capture draws up a [`Snapshot`] when a scraper asks for one, and at no other time:
//! what nobody asks for costs nothing. [`families`] writes it down, [`server`] hands it out.
//!
//! Invariant: names and values of labels come from the agent and its arguments alone, so traffic adds no
//! time series.

mod board;
mod exposition;
mod families;
mod negotiation;
mod process;
mod server;

use std::time::Instant;

pub use board::Board;
pub use exposition::{Exposition, encode};
pub use server::Server;

use crate::event::Stats;
use crate::output::QueueDepth;
use crate::source::live::RingFill;

/// What there is to tell of a capture at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was drawn up.
    pub drawn_up: Instant,
    /// The ledger.
    pub stats: Stats,
    /// What waits on the way to the outputs and to the recording.
    pub queues: Vec<QueueDepth>,
    /// Of a live capture, what else there is to tell.
    pub live: Option<Live>,
    /// What keeps the capture from doing what it was asked for, in words; empty where all is well.
    pub troubles: Vec<String>,
}

/// What there is to tell of a live capture.
#[derive(Clone, Debug)]
pub struct Live {
    /// How full the ring of each worker is.
    pub rings: Vec<RingFill>,
    /// Interfaces that are captured on.
    pub interfaces: usize,
}
