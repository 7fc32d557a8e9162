//! Bytes as a body under content codings, or as what one side of a WebSocket says.
#![no_main]

#[path = "../../tests/support/fuzz/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::body::run(data));
