//! Bytes as what two HTTP peers say, cut into segments in two ways.
#![no_main]

#[path = "../../tests/support/fuzz/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::dialogue::run(data));
