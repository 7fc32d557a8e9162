//! Content codings undone: what a body says before it was compressed.
//!
//! Follows RFC 9110 section 8.4; each coding names its own RFC. A body that breaks off says all
//! that it could, and so does one that is malformed, but for a few bytes.
//!
//! Invariants: cuts change neither the bytes that come out nor the error, because the decoders
//! always get the same grains; no coding of a chain gives more than the limits allow for the bytes
//! that came off the wire.

mod brotli;
mod deflate;
mod gzip;
pub(super) mod inflate;
#[cfg(test)]
mod tests;
mod zstd;

use brotli::Brotli;
use deflate::Deflate;
use gzip::Gzip;
use zstd::Zstd;

/// How many bytes are decoded at a time. Fewer would come out sooner, but cost more; a body of less
/// has no decoder until it ends.
pub(super) const GRAIN_BYTES: usize = 1024;

/// Where decoded bytes go; it may refuse more.
type Out<'a> = dyn FnMut(&[u8]) -> Result<(), DecodeError> + 'a;

/// How much may come out of how little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes that come out: stops a body that decodes for hours.
    pub max_bytes: u64,
    /// Most bytes that come out for each on the wire: stops a decoder bomb. What people send stays
    /// below 50; deflate can reach 1,032, br and zstd have no bound.
    pub max_ratio: u64,
    /// Bytes that may come out before the ratio counts: short runs of the same are no bomb.
    pub free_bytes: u64,
    /// Most codings of one body: each costs memory, and a header can name thousands.
    pub max_codings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, max_ratio: 200, free_bytes: 1 << 20, max_codings: 4 }
    }
}

impl Limits {
    /// How many bytes may have come out when so many have come in, as far as the ratio goes.
    pub(super) fn by_ratio(&self, wire_bytes: u64) -> u64 {
        self.max_ratio.saturating_mul(wire_bytes).saturating_add(self.free_bytes)
    }
}

/// A content coding that is not known, or more of them than the limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown content coding")]
pub struct UnknownCoding;

/// Why a body could not be decoded to its end. What came out before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not of this coding, or their checksum says that they have changed.
    #[error("malformed content coding")]
    Malformed,
    /// They ended before the coding did.
    #[error("content coding ends early")]
    Truncated,
    /// More would have come out, or a larger window been needed, than the limits allow.
    #[error("content coding exceeds its limits")]
    Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            b"br" => Self::Brotli,
            b"zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

/// What undoes one coding.
#[derive(Debug)]
enum Codec {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Brotli),
    Zstd(Zstd),
}

impl Codec {
    fn new(coding: Coding) -> Result<Self, DecodeError> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Gzip::default()),
            Coding::Deflate => Self::Deflate(Deflate::default()),
            Coding::Brotli => Self::Brotli(Brotli::default()),
            Coding::Zstd => Self::Zstd(Zstd::new()?),
        })
    }

    /// Decodes all of `bytes`, of which there are some, as far as they go.
    fn push(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<(), DecodeError> {
        match self {
            Self::Gzip(gzip) => gzip.push(bytes, out),
            Self::Deflate(deflate) => deflate.push(bytes, out),
            Self::Brotli(brotli) => brotli.push(bytes, out),
            Self::Zstd(zstd) => zstd.push(bytes, out),
        }
    }

    /// Whether the coding may end here.
    fn may_end(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.may_end(),
            Self::Deflate(deflate) => deflate.may_end(),
            Self::Brotli(brotli) => brotli.may_end(),
            Self::Zstd(zstd) => zstd.may_end(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Gzip(gzip) => gzip.memory(),
            Self::Deflate(deflate) => deflate.memory(),
            Self::Brotli(brotli) => brotli.memory(),
            Self::Zstd(zstd) => zstd.memory(),
        }
    }
}

/// One coding of a body.
#[derive(Debug)]
struct Stage {
    coding: Coding,
    /// None before its first byte: many a body that is announced never comes.
    codec: Option<Codec>,
    /// Bytes that have come out.
    decoded_bytes: u64,
}

/// Undoes the content codings of one body.
#[derive(Debug)]
pub struct Decoder {
    /// The coding that was applied last comes first; none once one has failed.
    stages: Vec<Stage>,
    limits: Limits,
    /// What came in and is less than a grain.
    pending: Vec<u8>,
    /// Bytes that have come in before.
    wire_bytes: u64,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder for the members of Content-Encoding, in the order in which they were applied;
    /// a member may be a list of them. `None` where there is nothing to undo.
    ///
    /// # Errors
    /// One of the codings is not known, or there are too many.
    pub fn new<'a>(
        codings: impl Iterator<Item = &'a [u8]>,
        limits: Limits,
    ) -> Result<Option<Self>, UnknownCoding> {
        let mut stages = Vec::new();
        for name in codings.flat_map(|member| member.split(|byte| *byte == b',')) {
            let name = name.trim_ascii();
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let coding = Coding::from_name(name).ok_or(UnknownCoding)?;
            if stages.len() == limits.max_codings {
                return Err(UnknownCoding);
            }
            stages.push(Stage { coding, codec: None, decoded_bytes: 0 });
        }
        stages.reverse();
        stages.shrink_to_fit();
        let decoder = Self { stages, limits, pending: Vec::new(), wire_bytes: 0, failed: None };
        Ok((!decoder.stages.is_empty()).then_some(decoder))
    }

    /// Takes bytes off the wire; what they decode to goes to `sink`, piece by piece.
    ///
    /// # Errors
    /// The body can't be decoded further; this is so for all that follows too.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
        let mut rest = bytes;
        while !rest.is_empty() && self.failed.is_none() {
            let missing = GRAIN_BYTES - self.pending.len();
            let Some((piece, after)) = rest.split_at_checked(missing) else {
                self.pending.extend_from_slice(rest);
                break;
            };
            rest = after;
            if self.pending.is_empty() {
                self.decode(piece, sink);
            } else {
                self.pending.extend_from_slice(piece);
                self.decode_pending(sink);
            }
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// Nothing more comes: what was still inside comes out.
    ///
    /// # Errors
    /// The body can't be decoded to its end. One without any bytes can: it answers HEAD, say.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
        self.decode_pending(sink);
        let ended = self.stages.iter().filter_map(|stage| stage.codec.as_ref()).all(Codec::may_end);
        if !ended {
            self.fail(DecodeError::Truncated);
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn decode_pending(&mut self, sink: &mut dyn FnMut(&[u8])) {
        let mut pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.decode(&pending, sink);
            pending.clear();
        }
        if self.failed.is_none() {
            self.pending = pending;
        }
    }

    fn decode(&mut self, grain: &[u8], sink: &mut dyn FnMut(&[u8])) {
        self.wire_bytes += grain.len() as u64;
        let allowed = self.limits.by_ratio(self.wire_bytes).min(self.limits.max_bytes);
        if let Err(error) = feed(&mut self.stages, grain, allowed, sink) {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: DecodeError) {
        self.failed = Some(error);
        self.stages = Vec::new();
        self.pending = Vec::new();
    }

    /// Bytes of memory that it takes beside its own size: windows count in full, touched or not.
    #[must_use]
    pub fn memory(&self) -> usize {
        let codecs = self.stages.iter().filter_map(|stage| stage.codec.as_ref());
        self.stages.capacity() * size_of::<Stage>()
            + self.pending.capacity()
            + codecs.map(Codec::memory).sum::<usize>()
    }
}

/// Decodes bytes through these stages; none of them may have given more than `allowed`.
fn feed(
    stages: &mut [Stage],
    bytes: &[u8],
    allowed: u64,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), DecodeError> {
    let Some((stage, later)) = stages.split_first_mut() else {
        sink(bytes);
        return Ok(());
    };
    let Stage { coding, codec, decoded_bytes } = stage;
    let codec = match codec {
        Some(codec) => codec,
        None => codec.insert(Codec::new(*coding)?),
    };
    codec.push(bytes, &mut |piece| {
        let room = usize::try_from(allowed.saturating_sub(*decoded_bytes)).unwrap_or(usize::MAX);
        let within = piece.get(..room).unwrap_or(piece);
        *decoded_bytes += within.len() as u64;
        if !within.is_empty() {
            feed(later, within, allowed, sink)?;
        }
        if within.len() < piece.len() { Err(DecodeError::Limit) } else { Ok(()) }
    })
}
