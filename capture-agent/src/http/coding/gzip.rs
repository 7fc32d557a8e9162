//! gzip (RFC 1952): members one after the other, then zeros that pad.
//!
//! The checksum of a header is not looked at: it would cost content that is whole.

use flate2::Crc;

use super::inflate::{Inflate, Wrapping};
use super::{DecodeError, Out};

/// Bits of FLG (RFC 1952 section 2.3.1).
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The header before FLG: magic number and DEFLATE.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// MTIME, XFL and OS.
const AFTER_FLAGS_BYTES: u8 = 6;
/// CRC32 and ISIZE.
const TRAILER_BYTES: u8 = 8;

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The first of all.
    Start,
    /// The magic number, of which so many bytes were there.
    Magic(u8),
    Flags,
    /// Bytes of no interest, so many of which are left.
    AfterFlags(u8),
    ExtraLen,
    ExtraLenHigh(u8),
    Extra(u16),
    Name,
    Comment,
    HeaderCrc(u8),
    Blocks,
    /// The trailer, of which so many bytes were there.
    Trailer(u8),
    /// The first after a member: another one, or padding.
    Between,
    Padding,
}

/// Decodes gzip.
#[derive(Debug)]
pub(super) struct Gzip {
    part: Part,
    /// Fields of the header that are still to come.
    flags: u8,
    inflate: Inflate,
    crc: Crc,
    trailer: u64,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            part: Part::Start,
            flags: 0,
            inflate: Inflate::new(Wrapping::Raw),
            crc: Crc::new(),
            trailer: 0,
        }
    }
}

impl Gzip {
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<(), DecodeError> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.part == Part::Blocks {
                let Self { inflate, crc, .. } = self;
                rest = inflate.push(rest, &mut |piece| {
                    crc.update(piece);
                    out(piece)
                })?;
                if inflate.is_done() {
                    self.part = Part::Trailer(0);
                }
            } else {
                self.part = self.step(*byte)?;
                rest = after;
            }
        }
        Ok(())
    }

    /// Takes a byte that is not of the blocks; returns what the next one is.
    fn step(&mut self, byte: u8) -> Result<Part, DecodeError> {
        Ok(match self.part {
            Part::Start => self.magic(0, byte)?,
            Part::Magic(seen) => self.magic(seen, byte)?,
            Part::Flags if byte & RESERVED != 0 => return Err(DecodeError::Malformed),
            Part::Flags => {
                self.flags = byte;
                Part::AfterFlags(AFTER_FLAGS_BYTES)
            }
            Part::AfterFlags(left) if left > 1 => Part::AfterFlags(left - 1),
            Part::AfterFlags(_) => self.next_field(),
            Part::ExtraLen => Part::ExtraLenHigh(byte),
            Part::ExtraLenHigh(low) => match u16::from_le_bytes([low, byte]) {
                0 => self.next_field(),
                len => Part::Extra(len),
            },
            Part::Extra(left) if left > 1 => Part::Extra(left - 1),
            Part::Extra(_) => self.next_field(),
            Part::Name | Part::Comment if byte != 0 => self.part,
            Part::Name | Part::Comment => self.next_field(),
            Part::HeaderCrc(left) if left > 1 => Part::HeaderCrc(left - 1),
            Part::HeaderCrc(_) => Part::Blocks,
            Part::Blocks => Part::Blocks,
            Part::Trailer(seen) => self.trailer(seen, byte)?,
            Part::Between if byte != 0 => {
                self.inflate.reset(Wrapping::Raw);
                self.crc.reset();
                self.magic(0, byte)?
            }
            Part::Between | Part::Padding if byte == 0 => Part::Padding,
            Part::Between | Part::Padding => return Err(DecodeError::Malformed),
        })
    }

    fn magic(&self, seen: u8, byte: u8) -> Result<Part, DecodeError> {
        if MAGIC.get(usize::from(seen)) != Some(&byte) {
            return Err(DecodeError::Malformed);
        }
        let seen = seen + 1;
        Ok(if usize::from(seen) == MAGIC.len() { Part::Flags } else { Part::Magic(seen) })
    }

    /// The next optional field of the header, in their order, or what comes after them.
    fn next_field(&mut self) -> Part {
        let fields = [
            (EXTRA, Part::ExtraLen),
            (NAME, Part::Name),
            (COMMENT, Part::Comment),
            (HEADER_CRC, Part::HeaderCrc(2)),
        ];
        for (flag, part) in fields {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                return part;
            }
        }
        Part::Blocks
    }

    fn trailer(&mut self, seen: u8, byte: u8) -> Result<Part, DecodeError> {
        self.trailer = self.trailer >> 8 | u64::from(byte) << 56;
        let seen = seen + 1;
        if seen < TRAILER_BYTES {
            return Ok(Part::Trailer(seen));
        }
        let said = u64::from(self.crc.amount()) << 32 | u64::from(self.crc.sum());
        if self.trailer == said { Ok(Part::Between) } else { Err(DecodeError::Malformed) }
    }

    pub(super) fn may_end(&self) -> bool {
        matches!(self.part, Part::Start | Part::Between | Part::Padding)
    }

    pub(super) fn memory(&self) -> usize {
        self.inflate.memory()
    }
}
