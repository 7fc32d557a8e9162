//! Segments from capture files.
