//! Segments from the kernel half.
