//! Passive HTTP capture: segments in, exchanges out.
//!
//! Data enters at the top of this list of modules and leaves at the bottom; nothing imports
//! upward (`ARCHITECTURE.md`). Empty lines keep rustfmt from sorting it.

// They panic where there is nobody to hear: `output::aside::say`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod guardian;
pub mod segment;
pub mod selection;

pub mod stream;

pub mod flow;

pub mod source;

pub mod http;

pub mod event;

mod notation;

pub mod listener;

pub mod engine;

pub mod owner;

pub mod filter;

pub mod output;

pub mod metrics;

pub mod script;

pub mod doctor;
