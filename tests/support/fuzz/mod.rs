//! What the fuzz targets run, and what tests replay their corpus through.
//!
//! Each target takes any bytes, and panics where a promise of the library is broken. The fuzz
//! targets under `fuzz/` include this folder by its path, so it needs nothing beside the library.
#![allow(dead_code, reason = "each fuzz target uses a part")]

pub(crate) mod body;
pub(crate) mod cursor;
pub(crate) mod dialogue;
pub(crate) mod frames;
pub(crate) mod head;
pub(crate) mod segments;
pub(crate) mod warden;
