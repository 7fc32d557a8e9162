//! The agent against real traffic: network namespaces, a real nginx, a real curl.
//!
//! Takes root, and the packages that `cargo xtask setup` brings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a panic is a failed test

#[path = "../support"]
mod support {
    pub(crate) mod cgroup;
    pub(crate) mod client;
    pub(crate) mod fetch;
    pub(crate) mod har;
    pub(crate) mod hooks;
    pub(crate) mod lab;
    pub(crate) mod ledger;
    pub(crate) mod live;
    pub(crate) mod nginx;
    pub(crate) mod pages;
    pub(crate) mod process;
    pub(crate) mod scrape;
    pub(crate) mod seccomp;
    pub(crate) mod terminal;
    pub(crate) mod tshark;
    pub(crate) mod vlan;
    pub(crate) mod wait;
}

mod attach;
mod bad_input;
mod bodies;
mod budget;
mod docs;
mod doctor;
mod exchanges;
mod files;
mod filter;
mod follow;
mod growing;
mod har;
mod ledger;
mod load;
mod manual;
mod metrics;
mod namespaces;
mod output;
mod owner;
mod payload;
mod reader;
mod rebuilt;
mod record;
mod scripts;
mod selection;
mod sensor;
mod service;
mod terminal;
mod workers;
