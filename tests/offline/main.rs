//! Tests that need no privileges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect shall fail, helpers included"
)]

#[path = "../support/mod.rs"]
mod support;

mod budget;
mod cases;
mod cases_as_input;
mod command;
mod config;
mod curl;
mod differential;
mod docs;
mod doctor;
mod exchanges;
mod file_source;
mod filter;
mod flows;
mod flows_command;
mod follow;
mod fuzz_corpus;
mod growing;
mod har;
mod help;
mod hostile;
mod layers;
mod left_out;
mod listener;
mod losses;
mod metrics;
mod metrics_names;
mod networks;
mod owner;
mod payload;
mod pipes;
mod privacy;
mod rebuilt;
mod record;
mod resync;
mod schema;
mod screens;
mod scripts;
mod stream_properties;
mod summary;
mod threads;
mod trouble;
mod websocket;
