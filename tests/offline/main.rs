//! Tests that need no privileges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect shall fail, helpers included"
)]

#[path = "../support/mod.rs"]
mod support;

mod file_source;
