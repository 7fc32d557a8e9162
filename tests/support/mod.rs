//! What tests share.

pub(crate) mod pcap;
