//! Bytes as a head, or as what is heard of a connection.
#![no_main]

#[path = "../../tests/support/fuzz/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::head::run(data));
