//! What tests share.

pub(crate) mod pcap;
pub(crate) mod peers;
