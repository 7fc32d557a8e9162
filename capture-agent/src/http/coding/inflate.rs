//! DEFLATE (RFC 1951), bare or with the wrapping of zlib (RFC 1950).
//!
//! Invariants: a reference to before the first byte is an error; so is the sum of zlib where it
//! is wrong. What came before bytes that are malformed comes out.

use std::cell::RefCell;

use zlib_rs::{InflateFlush, Status};

use super::{DecodeError, Out};

/// How far back a reference may go (RFC 1951 section 2).
const HISTORY_BYTES: usize = 32 << 10;
const HISTORY_BITS: u8 = 15;
/// What the decoder takes: its own copy of the history, and its tables.
const CORE_BYTES: usize = HISTORY_BYTES + (10 << 10);
/// Room for what comes out at a time.
const ROOM_BYTES: usize = 8 << 10;
/// Decoders kept for the next body, by each thread: most bodies are decoded all at once, so that
/// more would be waste.
const MAX_SPARE: usize = 4;

thread_local! {
    /// Of a short body, a tenth of the work is to lay a decoder out.
    static SPARE: RefCell<Vec<Machine>> = const { RefCell::new(Vec::new()) };
}

/// What stands around the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Wrapping {
    /// Nothing.
    Raw,
    /// The header and the checksum of zlib.
    Zlib,
}

/// What decoding takes, whatever is decoded.
struct Machine {
    core: zlib_rs::Inflate,
    /// What has come out last, at the front.
    text: Vec<u8>,
}

impl Machine {
    fn take(wrapping: Wrapping) -> Self {
        let has_header = wrapping == Wrapping::Zlib;
        match SPARE.with_borrow_mut(Vec::pop) {
            Some(mut machine) => {
                machine.core.reset(has_header);
                machine
            }
            None => {
                let core = zlib_rs::Inflate::new(has_header, HISTORY_BITS);
                Self { core, text: vec![0; ROOM_BYTES] }
            }
        }
    }

    fn give_back(self) {
        if self.text.len() > ROOM_BYTES {
            return;
        }
        // Where the thread is about to end, it goes.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MAX_SPARE {
                spare.push(self);
            }
        });
    }
}

/// Decodes DEFLATE.
pub(in crate::http) struct Inflate {
    /// Always there, until it is dropped.
    machine: Option<Machine>,
    /// How much of the text has come out.
    filled: usize,
    /// Whether blocks may follow the last one, so that their history must be kept.
    lasting: bool,
    done: bool,
}

impl Drop for Inflate {
    fn drop(&mut self) {
        if let Some(machine) = self.machine.take() {
            machine.give_back();
        }
    }
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { filled, lasting, done, .. } = self;
        write!(f, "Inflate {{ filled: {filled}, lasting: {lasting}, done: {done}, .. }}")
    }
}

impl Inflate {
    pub(in crate::http) fn new(wrapping: Wrapping) -> Self {
        Self { machine: Some(Machine::take(wrapping)), filled: 0, lasting: false, done: false }
    }

    /// One without wrapping that can [`go on`](Self::go_on).
    pub(in crate::http) fn lasting() -> Self {
        let mut inflate = Self::new(Wrapping::Raw);
        inflate.lasting = true;
        inflate
    }

    /// Forgets everything but the memory that it has.
    pub(in crate::http) fn reset(&mut self, wrapping: Wrapping) {
        if let Some(machine) = &mut self.machine {
            machine.core.reset(wrapping == Wrapping::Zlib);
        }
        self.filled = 0;
        self.done = false;
    }

    /// Forgets that the last block was the last one: more blocks follow, with the same history.
    pub(in crate::http) fn go_on(&mut self) {
        self.done = false;
        let Some(Machine { core, text }) = &mut self.machine else { return };
        core.reset(false);
        if let Some(history) = text.get(self.filled.saturating_sub(HISTORY_BYTES)..self.filled) {
            // Without wrapping, any history will do.
            let _ = core.set_dictionary(history);
        }
    }

    /// Whether the last block has ended, and what zlib puts after it.
    pub(in crate::http) fn is_done(&self) -> bool {
        self.done
    }

    /// Decodes bytes; returns those that come after the end.
    pub(in crate::http) fn push<'a>(
        &mut self,
        bytes: &'a [u8],
        out: &mut Out<'_>,
    ) -> Result<&'a [u8], DecodeError> {
        let mut rest = bytes;
        while !self.done {
            self.make_room();
            let Some(Machine { core, text }) = &mut self.machine else { break };
            let Some(room) = text.get_mut(self.filled..) else { break };
            let room_bytes = room.len();
            let (read, written) = (core.total_in(), core.total_out());
            let status = core.decompress(rest, room, InflateFlush::NoFlush);
            // Both are of this call, and fit.
            let read = (core.total_in() - read) as usize;
            let written = (core.total_out() - written) as usize;
            rest = rest.get(read..).unwrap_or_default();
            let fresh = self.filled..self.filled + written;
            self.filled = fresh.end;
            if let Some(fresh) = text.get(fresh).filter(|fresh| !fresh.is_empty()) {
                out(fresh)?;
            }
            match status {
                Ok(Status::StreamEnd) => self.done = true,
                // It stops before it has room for all that it knows, or for want of input.
                Ok(_) if written == room_bytes => {}
                Ok(_) => break,
                Err(_) => return Err(DecodeError::Malformed),
            }
        }
        Ok(rest)
    }

    /// Makes room after what has come out, where there is none.
    fn make_room(&mut self) {
        let Some(Machine { text, .. }) = &mut self.machine else { return };
        let len = text.len();
        if self.filled < len {
            return;
        }
        if !self.lasting {
            self.filled = 0;
        } else if len < HISTORY_BYTES + ROOM_BYTES {
            text.reserve_exact(HISTORY_BYTES);
            text.resize(HISTORY_BYTES + ROOM_BYTES, 0);
        } else {
            text.copy_within(len - HISTORY_BYTES.., 0);
            self.filled = HISTORY_BYTES;
        }
    }

    /// Bytes of memory beside its own size.
    pub(in crate::http) fn memory(&self) -> usize {
        CORE_BYTES + self.machine.as_ref().map_or(0, |machine| machine.text.capacity())
    }
}
