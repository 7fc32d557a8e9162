//! What tests share.

pub(crate) mod agent;
pub(crate) mod budget;
pub(crate) mod dialogues;
pub(crate) mod events;
pub(crate) mod fuzz;
pub(crate) mod har;
pub(crate) mod network;
pub(crate) mod packets;
pub(crate) mod pages;
pub(crate) mod pcap;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod scrape;
pub(crate) mod script;
pub(crate) mod show;
pub(crate) mod terminal;
pub(crate) mod wait;
