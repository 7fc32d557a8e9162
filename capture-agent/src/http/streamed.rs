//! Bodies that are handed on as they come in, for those who store them: nothing of them stays here.
//!
//! Invariants: what is handed on is what would be kept if there were no limit, codings undone and
//! secrets of forms hidden; each byte has its place in the body, and comes once; between two
//! segments nothing is held, however long the body is.

use std::fmt;
use std::sync::Arc;

use super::head::{Head, RequestHead};
use crate::flow::Direction;
use crate::segment::Timestamp;

/// Most bytes of a part: one segment can decode to many times its length.
const MAX_PART_BYTES: usize = 128 << 10;

/// Longest host, path or type that is kept for each body that comes in: a head can be long, and
/// bodies many.
const MAX_NAME_BYTES: usize = 256;

/// Which bodies are handed on, by the value of their Content-Type.
#[derive(Clone)]
pub struct StreamRules(Arc<Wants>);

type Wants = dyn Fn(Option<&[u8]>) -> bool + Send + Sync;

impl StreamRules {
    /// Those of which this is true; it is given `None` where a head has no Content-Type.
    pub fn new(wants: impl Fn(Option<&[u8]>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(wants))
    }

    pub(super) fn wants(&self, head: &Head) -> bool {
        (self.0)(head.value("content-type"))
    }
}

impl fmt::Debug for StreamRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamRules")
    }
}

/// What is known of a body when it begins. Bytes are as they were sent but for secrets, and cut
/// where they are long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// First byte of the request, or of the response where its request is not known yet.
    pub time: Timestamp,
    /// Host that was asked, and port where it was given.
    pub host: Option<Box<[u8]>>,
    /// Path that was asked for, without its query; `None` where the request is not known.
    pub path: Option<Box<[u8]>>,
    /// Value of the Content-Type.
    pub content_type: Option<Box<[u8]>>,
    /// Value of the Content-Encoding.
    pub encoding: Option<Box<[u8]>>,
}

impl About {
    /// Of a message with this head, which belongs to a request, seen from this time on.
    #[must_use]
    pub fn new(head: &Head, request: Option<&RequestHead>, time: Timestamp) -> Self {
        let cut = |text: &[u8]| text.get(..MAX_NAME_BYTES).unwrap_or(text).into();
        let (host, path) = request.map_or((None, None), |request| {
            let (host, path) = host_and_path(request);
            (host.map(cut), Some(cut(path)))
        });
        let content_type = head.value("content-type").map(cut);
        let encoding = head.value("content-encoding").map(cut);
        Self { time, host, path, content_type, encoding }
    }
}

/// Whom and what a request asks for, without credentials and query (RFC 9112 section 3.2).
fn host_and_path(request: &RequestHead) -> (Option<&[u8]>, &[u8]) {
    let target = request.target();
    let ends = |byte: &u8| matches!(byte, b'?' | b'#');
    let target = target.split(ends).next().unwrap_or_default();
    if target.starts_with(b"/") || target == b"*" {
        let host = request.head().value("host");
        return (host.map(host_alone), target);
    }
    let authority = memchr::memmem::find(target, b"://").map_or(0, |at| at + 3);
    let rest = target.get(authority..).unwrap_or_default();
    let (host, path) = rest.split_at(memchr::memchr(b'/', rest).unwrap_or(rest.len()));
    (Some(host_alone(host)), path)
}

/// What stands behind the user in an authority.
fn host_alone(authority: &[u8]) -> &[u8] {
    authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default()
}

/// Bytes of a body, next to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyPart {
    /// Which way its message goes.
    pub direction: Direction,
    /// [`Message::offset`](super::Message::offset) of its message: with flow and direction the
    /// name of it.
    pub message: u64,
    /// The same for all parts of a body.
    pub about: Arc<About>,
    /// How many bytes of the body come before these, those that are not here included.
    pub offset: u64,
    /// The bytes: never empty.
    pub bytes: Vec<u8>,
}

/// What has been handed on of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// What was known when it began.
    pub about: Arc<About>,
    /// How many bytes.
    pub bytes: u64,
    /// Whether that is the body from its first byte to its last; in its content coding where that
    /// is not undone.
    pub is_whole: bool,
    /// Where the next byte belongs.
    offset: u64,
    /// Whether there is no place for what follows: something is missing, or was not decoded.
    has_stopped: bool,
    /// What is to be handed on: empty after each segment.
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Streamed {
    pub(super) const fn new(about: Arc<About>) -> Self {
        Self { about, bytes: 0, is_whole: false, offset: 0, has_stopped: false, pieces: Vec::new() }
    }

    /// Takes bytes that follow.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if self.has_stopped {
            return;
        }
        if let Some((offset, last)) = self.pieces.last_mut()
            && *offset + last.len() as u64 == self.offset
        {
            let room = MAX_PART_BYTES.saturating_sub(last.len()).min(bytes.len());
            let (fits, rest) = bytes.split_at(room);
            last.extend_from_slice(fits);
            self.offset += room as u64;
            self.bytes += room as u64;
            bytes = rest;
        }
        for piece in bytes.chunks(MAX_PART_BYTES) {
            self.pieces.push((self.offset, piece.to_vec()));
            self.offset += piece.len() as u64;
            self.bytes += piece.len() as u64;
        }
    }

    /// So many bytes are not here, and what follows has its place after them.
    pub(super) const fn pass_over(&mut self, bytes: u64) {
        self.offset = self.offset.saturating_add(bytes);
    }

    /// What follows has no place.
    pub(super) const fn stop(&mut self) {
        self.has_stopped = true;
    }

    /// Nothing more comes; `whole` where that is the end of the body.
    pub(super) const fn finish(&mut self, whole: bool) {
        self.is_whole = whole && !self.has_stopped && self.offset == self.bytes;
    }

    /// Hands on what there is.
    pub(super) fn hand_on(&mut self, direction: Direction, message: u64, out: &mut Vec<BodyPart>) {
        let about = &self.about;
        out.extend(self.pieces.drain(..).map(|(offset, bytes)| {
            let about = Arc::clone(about);
            BodyPart { direction, message, about, offset, bytes }
        }));
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let About { host, path, content_type, encoding, .. } = &*self.about;
        let texts = [host, path, content_type, encoding].into_iter().flatten();
        let pieces = self.pieces.capacity() * size_of::<(u64, Vec<u8>)>();
        size_of::<Self>()
            + size_of::<About>()
            + texts.map(|text| text.len()).sum::<usize>()
            + pieces
    }
}
