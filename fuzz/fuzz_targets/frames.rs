//! Bytes as a capture file.
#![no_main]

#[path = "../../tests/support/fuzz/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::frames::run(data));
