//! What bodies are made of: one arena of text, of noise, and of text that is already deflated.
//!
//! A body is a list of slices of the arena, so that a gigabyte of them takes no room and no more
//! time than copying. A gzip body (RFC 1952) is put together from blocks that were each
//! compressed after a full flush (RFC 1951, 3.2: none refers back beyond its beginning), so they
//! can stand in any order, with a checksum that a decoder holds them to.

use std::ops::Range;

use anyhow::Result;
use fastrand::Rng;
use flate2::{Compress, Compression, Crc, FlushCompress};

const TEXT_BYTES: usize = 1 << 20;
const NOISE_BYTES: usize = 1 << 20;
/// No slice is longer, so that each can lie anywhere.
const LONGEST_SLICE: u64 = 64 << 10;
/// Sizes of deflated blocks: any length is a sum of them and of less than the smallest.
const BLOCKS: [usize; 7] = [4096, 2048, 1024, 512, 256, 128, 64];
/// Different blocks of each size.
const VARIANTS: usize = 8;

/// Pieces of a page or of an API's answer. Each is closed in itself: those who parse what they see
/// shall not have to climb trees that nobody plants.
const PHRASES: [&str; 16] = [
    "<div class=\"card\"><a href=\"/item/",
    "\">Read more</a></div>\n",
    "<p>The window of a segment is what its receiver has room for.</p>\n",
    "{\"id\": 4711, \"name\": \"lamp\", \"price\": 19.90, \"stock\": true},\n",
    "{\"id\": 815, \"name\": \"chair\", \"price\": 49.00, \"stock\": null},\n",
    ".card { margin: 0 auto; padding: 4px 8px; }\n",
    "function next(page) { return page + 1; }\n",
    "const items = document.querySelectorAll('.card');\n",
    "measure ",
    "kernel ",
    "packet ",
    "exchange ",
    "of the ",
    "and ",
    "in a ",
    "is ",
];

/// A part of a body: in the arena, or of its own.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Arena(Range<usize>),
    Own(Vec<u8>),
}

impl Part {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Arena(range) => range.len(),
            Self::Own(bytes) => bytes.len(),
        }
    }
}

/// The kind of what a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matter {
    Text,
    /// As images are: nothing compresses it.
    Noise,
}

/// A body before its transfer coding, and what it is when it is decoded.
pub(super) struct Content {
    pub(super) parts: Vec<Part>,
    pub(super) wire_bytes: u64,
    pub(super) bytes: u64,
    /// CRC-32 of what it is when it is decoded.
    pub(super) crc32: u32,
}

impl Content {
    pub(super) fn nothing() -> Self {
        Self { parts: Vec::new(), wire_bytes: 0, bytes: 0, crc32: 0 }
    }
}

/// A block, plain and deflated.
struct Block {
    plain: Range<usize>,
    deflated: Range<usize>,
}

pub(super) struct Arena {
    bytes: Vec<u8>,
    /// By size as in [`BLOCKS`], then by variant.
    blocks: Vec<Vec<Block>>,
}

impl Arena {
    pub(super) fn new(rng: &mut Rng) -> Result<Self> {
        let mut bytes = Vec::with_capacity(TEXT_BYTES + NOISE_BYTES + (1 << 18));
        while bytes.len() < TEXT_BYTES {
            match rng.choice(PHRASES) {
                Some(phrase) if rng.u8(..) > 40 => bytes.extend(phrase.as_bytes()),
                _ => bytes.extend(rng.u32(..100_000).to_string().as_bytes()),
            }
        }
        bytes.truncate(TEXT_BYTES);
        bytes.resize_with(TEXT_BYTES + NOISE_BYTES, || rng.u8(..));
        let mut arena = Self { bytes, blocks: Vec::new() };
        for size in BLOCKS {
            let blocks = (0..VARIANTS).map(|_| arena.block(rng, size)).collect::<Result<_>>()?;
            arena.blocks.push(blocks);
        }
        Ok(arena)
    }

    fn block(&mut self, rng: &mut Rng, size: usize) -> Result<Block> {
        let plain = somewhere(rng, Matter::Text, size);
        let mut deflated = Vec::with_capacity(2 * size + 64);
        let mut compress = Compress::new(Compression::default(), false);
        compress.compress_vec(self.slice(&plain), &mut deflated, FlushCompress::Full)?;
        let from = self.bytes.len();
        self.bytes.extend(deflated);
        Ok(Block { plain, deflated: from..self.bytes.len() })
    }

    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Content of so many bytes, as it is.
    pub(super) fn plain(&self, rng: &mut Rng, matter: Matter, bytes: u64) -> Content {
        let (mut parts, mut crc, mut left) = (Vec::new(), Crc::new(), bytes);
        while left > 0 {
            // Of several lengths: one for all would make every chunk the same.
            let len = left.min(rng.u64(LONGEST_SLICE / 16..=LONGEST_SLICE / 4));
            let range = somewhere(rng, matter, len as usize);
            crc.update(self.slice(&range));
            parts.push(Part::Arena(range));
            left -= len;
        }
        Content { parts, wire_bytes: bytes, bytes, crc32: crc.sum() }
    }

    /// Text of so many bytes, by gzip.
    pub(super) fn gzip(&self, rng: &mut Rng, bytes: u64) -> Content {
        // Deflate, no flags, no time, Unix.
        let mut parts = vec![Part::Own(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])];
        let (mut crc, mut left) = (Crc::new(), bytes as usize);
        for (size, blocks) in BLOCKS.into_iter().zip(&self.blocks) {
            while left >= size
                && let Some(block) = rng.choice(blocks)
            {
                crc.update(self.slice(&block.plain));
                parts.push(Part::Arena(block.deflated.clone()));
                left -= size;
            }
        }
        // What is left is stored, in the last block.
        let rest = somewhere(rng, Matter::Text, left);
        crc.update(self.slice(&rest));
        let stored = left as u16;
        let mut end = vec![1];
        end.extend(stored.to_le_bytes());
        end.extend((!stored).to_le_bytes());
        end.extend(self.slice(&rest));
        end.extend(crc.sum().to_le_bytes());
        end.extend(crc.amount().to_le_bytes());
        parts.push(Part::Own(end));
        let wire_bytes = parts.iter().map(|part| part.len() as u64).sum();
        Content { parts, wire_bytes, bytes, crc32: crc.sum() }
    }
}

/// So many bytes of the arena, anywhere where this matter is.
fn somewhere(rng: &mut Rng, matter: Matter, len: usize) -> Range<usize> {
    let (from, room) = match matter {
        Matter::Text => (0, TEXT_BYTES),
        Matter::Noise => (TEXT_BYTES, NOISE_BYTES),
    };
    let at = from + rng.usize(..=room - len);
    at..at + len
}
