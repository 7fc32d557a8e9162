//! Passive HTTP capture: segments in, exchanges out.
//!
//! Data enters at the top of this list of modules and leaves at the bottom; nothing imports
//! upward (`ARCHITECTURE.md`).

pub mod segment;
pub mod selection;
pub mod source;
pub mod stream;

pub mod flow;
pub mod http;

pub mod engine;
pub mod event;
pub mod listener;
pub mod output;
