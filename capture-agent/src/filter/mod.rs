//! Which exchanges are wanted: `--content-type`.

mod media;

pub use media::{MediaError, MediaPattern, MediaPatterns};
