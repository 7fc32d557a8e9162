//! What is left of a parser that has nothing unfinished: a byte, for there may be a million of them.

/// What a parser is at when it has nothing unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    #[default]
    BetweenMessages,
    OutOfStep,
    Deaf,
}

/// What is remembered from one message to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Whether a head was ever found.
    pub(super) confirmed: bool,
    /// Whether the direction was seen from its first byte.
    pub(super) from_start: bool,
    /// Whether the last bytes were empty lines.
    pub(super) after_empty_line: bool,
    /// Whether bytes that were no message have come since the last one.
    pub(super) strayed: bool,
}

/// A parser that has nothing unfinished, in little room.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http) struct Resting(u8);

impl Resting {
    const CONFIRMED: u8 = 1 << 2;
    const FROM_START: u8 = 1 << 3;
    const AFTER_EMPTY_LINE: u8 = 1 << 4;
    const STRAYED: u8 = 1 << 5;

    /// A parser of a direction that is seen from its first byte, or picked up midway.
    pub(in crate::http) const fn new(from_start: bool) -> Self {
        let memory =
            Memory { confirmed: false, from_start, after_empty_line: false, strayed: false };
        Self::pack(if from_start { Rest::BetweenMessages } else { Rest::OutOfStep }, memory)
    }

    /// Whether the direction turned out not to be HTTP, or HTTP has ended on it.
    pub(in crate::http) const fn is_deaf(self) -> bool {
        matches!(self.unpack().0, Rest::Deaf)
    }

    pub(super) const fn pack(at: Rest, memory: Memory) -> Self {
        let Memory { confirmed, from_start, after_empty_line, strayed } = memory;
        Self(
            at as u8
                | if confirmed { Self::CONFIRMED } else { 0 }
                | if from_start { Self::FROM_START } else { 0 }
                | if after_empty_line { Self::AFTER_EMPTY_LINE } else { 0 }
                | if strayed { Self::STRAYED } else { 0 },
        )
    }

    pub(super) const fn unpack(self) -> (Rest, Memory) {
        let at = match self.0 & 3 {
            0 => Rest::BetweenMessages,
            1 => Rest::OutOfStep,
            _ => Rest::Deaf,
        };
        let memory = Memory {
            confirmed: self.0 & Self::CONFIRMED != 0,
            from_start: self.0 & Self::FROM_START != 0,
            after_empty_line: self.0 & Self::AFTER_EMPTY_LINE != 0,
            strayed: self.0 & Self::STRAYED != 0,
        };
        (at, memory)
    }
}
