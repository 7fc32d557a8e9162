//! Bytes as operations on an engine.
#![no_main]

#[path = "../../tests/support/fuzz/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::segments::run(data));
