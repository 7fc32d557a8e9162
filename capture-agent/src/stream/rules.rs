//! How streams are put together: what users can choose, and the bounds.

/// Which copy of a byte stands when copies overlap. One that has gone up stands in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// The first that was seen.
    #[default]
    First,
    /// The last that was seen.
    Last,
}

/// When bytes go up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deliver {
    /// As soon as they are in order.
    #[default]
    InOrder,
    /// As soon as their receiver has acknowledged them too.
    Acked,
}

/// How a stream is put together.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Bytes, with what it costs to keep them, held for one direction: stops a sender that
    /// leaves a hole on purpose. Larger than a hole needs on a fast, long line.
    pub held_bytes: usize,
    /// Nanoseconds that a hole may stay open, by packet time.
    pub hole_ns: u64,
    /// Which copy of a byte stands.
    pub overlap: Overlap,
    /// When bytes go up.
    pub deliver: Deliver,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            held_bytes: 16 << 20,
            hole_ns: 10_000_000_000,
            overlap: Overlap::default(),
            deliver: Deliver::default(),
        }
    }
}
