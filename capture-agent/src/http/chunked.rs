//! The chunked transfer coding undone, a slice at a time.
//!
//! Follows RFC 9112 section 7.1. Invariant: constant memory; chunk extensions are passed over, and
//! trailers are handed on, up to a limit.

/// Longest chunk-size line or trailer line, in bytes: stops a line that never ends.
const MAX_LINE_BYTES: u32 = 16 << 10;
/// Most bytes of trailer lines: stops trailers that never end.
const MAX_TRAILER_BYTES: u32 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk size.
    Size { digits: u8 },
    /// After the digits, before the end of the line.
    Extension,
    /// In the bytes of a chunk.
    Data,
    /// After the bytes of a chunk, before the end of its line.
    DataEnd,
    /// In the trailer section; `empty` while nothing is in the line.
    Trailer { empty: bool },
    /// After the last line.
    Done,
}

/// What the next bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Content.
    Data(&'a [u8]),
    /// Framing: nothing to keep.
    Framing,
    /// A part of the trailer section, which goes on.
    Trailer(&'a [u8]),
    /// The end of the trailer section, and with it of the message.
    End(&'a [u8]),
    /// Not the chunked coding, from the first byte that is left on.
    Malformed,
}

/// Most bytes of a chunk by which the coding is found again after a loss: bounds what is held.
const MAX_REJOINED_CHUNK: usize = 16 << 10;

/// Whether a whole chunk stands at the start of `text`, by the letter of the grammar: then a loss
/// before it ended where a chunk did. `None` while too little is there to tell.
pub(super) fn begins_with_chunk(text: &[u8]) -> Option<bool> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = text.split_at(digits);
    if digits == 0 || digits > 4 {
        return (digits > 0 || !text.is_empty()).then_some(false);
    }
    let Some(after_line) = rest.strip_prefix(b"\r\n") else {
        return if b"\r\n".starts_with(rest) { None } else { Some(false) };
    };
    let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
    let Some(size) = size.filter(|size| *size <= MAX_REJOINED_CHUNK) else { return Some(false) };
    // The last chunk is followed by trailers, or by an empty line.
    let end = after_line.get(size..).unwrap_or_default();
    if end.len() < 2 {
        return if b"\r\n".starts_with(end) { None } else { Some(false) };
    }
    Some(end.starts_with(b"\r\n"))
}

/// A decoder of the chunked coding.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    /// Bytes left in the chunk, or its size while that is read.
    left: u64,
    line_bytes: u32,
    trailer_bytes: u32,
    /// The byte before, in the lines around chunks.
    last: u8,
    odd: bool,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::Size { digits: 0 },
            left: 0,
            line_bytes: 0,
            trailer_bytes: 0,
            last: 0,
            odd: false,
        }
    }
}

impl Chunked {
    /// Takes what it can from the front of `bytes`; returns what that was and what is left.
    pub fn take<'a>(&mut self, bytes: &'a [u8]) -> (Piece<'a>, &'a [u8]) {
        if self.state == State::Data {
            let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (data, rest) = bytes.split_at(len);
            self.left -= len as u64;
            if self.left == 0 {
                self.begin_line(State::DataEnd);
            }
            return (Piece::Data(data), rest);
        }
        let in_trailer = matches!(self.state, State::Trailer { .. });
        let mut rest = bytes;
        while let [byte, after @ ..] = rest {
            if self.framing(*byte).is_none() {
                return (Piece::Malformed, rest);
            }
            rest = after;
            self.last = *byte;
            match self.state {
                State::Data => break,
                State::Trailer { .. } if !in_trailer => break,
                State::Done => return (Piece::End(taken(bytes, rest)), rest),
                _ => {}
            }
        }
        let piece = if in_trailer { Piece::Trailer(taken(bytes, rest)) } else { Piece::Framing };
        (piece, rest)
    }

    /// Passes over `len` bytes that were not seen, where they lie inside one chunk.
    pub fn skip(&mut self, len: u64) -> bool {
        if self.state != State::Data || len > self.left {
            return false;
        }
        self.left -= len;
        if self.left == 0 {
            self.begin_line(State::DataEnd);
        }
        true
    }

    /// Passes over `len` bytes of content, where more of their chunk follows.
    pub(super) const fn pass_content(&mut self, len: u64) -> bool {
        let is_within = matches!(self.state, State::Data) && len < self.left;
        if is_within {
            self.left -= len;
        }
        is_within
    }

    /// Whether more chunks may follow.
    #[must_use]
    pub const fn is_before_trailers(&self) -> bool {
        !matches!(self.state, State::Trailer { .. } | State::Done)
    }

    /// Whether lines were not as the grammar has them, and were understood all the same.
    #[must_use]
    pub const fn is_odd(&self) -> bool {
        self.odd
    }

    const fn begin_line(&mut self, state: State) {
        self.state = state;
        self.line_bytes = 0;
        self.last = 0;
    }

    /// Takes a byte that is not content; `None` where it cannot stand there.
    fn framing(&mut self, byte: u8) -> Option<()> {
        self.line_bytes += 1;
        if self.line_bytes > MAX_LINE_BYTES {
            return None;
        }
        // CR and LF come as a pair and not otherwise.
        self.odd |= (byte == b'\n') != (self.last == b'\r');
        match self.state {
            State::Size { digits } => self.size(byte, digits)?,
            State::Extension => self.extension(byte),
            State::DataEnd => match byte {
                b'\r' => {}
                b'\n' => {
                    self.left = 0;
                    self.begin_line(State::Size { digits: 0 });
                }
                _ => return None,
            },
            State::Trailer { empty } => self.trailer(byte, empty)?,
            State::Data | State::Done => {}
        }
        Some(())
    }

    fn size(&mut self, byte: u8, digits: u8) -> Option<()> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            // A size of 2^64 and more is no size: to wrap it would be to misread the stream.
            self.left = self.left.checked_mul(16)?.checked_add(u64::from(digit))?;
            self.state = State::Size { digits: digits.saturating_add(1) };
            return Some(());
        }
        if digits == 0 {
            return None;
        }
        match byte {
            b'\n' => self.size_ended(),
            b';' | b' ' | b'\t' | b'\r' => self.state = State::Extension,
            _ => return None,
        }
        Some(())
    }

    fn extension(&mut self, byte: u8) {
        // White space is for before an extension, not for the end of the line.
        self.odd |= byte == b'\r' && matches!(self.last, b' ' | b'\t');
        if byte == b'\n' {
            self.size_ended();
        }
    }

    const fn size_ended(&mut self) {
        let next = if self.left == 0 { State::Trailer { empty: true } } else { State::Data };
        self.begin_line(next);
    }

    fn trailer(&mut self, byte: u8, empty: bool) -> Option<()> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return None;
        }
        match byte {
            b'\n' if empty => self.state = State::Done,
            b'\n' => self.begin_line(State::Trailer { empty: true }),
            b'\r' => {}
            _ => self.state = State::Trailer { empty: false },
        }
        Some(())
    }
}

/// The front of `bytes` that is no longer in `rest`.
fn taken<'a>(bytes: &'a [u8], rest: &[u8]) -> &'a [u8] {
    bytes.get(..bytes.len() - rest.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content, trailer section, whether it ended, what is left.
    type Decoded = (Vec<u8>, Vec<u8>, bool, Vec<u8>);

    /// What comes out of `text` fed `step` bytes at a time.
    fn decode(text: &[u8], step: usize) -> Option<Decoded> {
        let mut chunked = Chunked::default();
        let (mut content, mut trailer) = (Vec::new(), Vec::new());
        let mut fed = 0;
        for part in text.chunks(step) {
            fed += part.len();
            let mut rest = part;
            while !rest.is_empty() {
                let (piece, after) = chunked.take(rest);
                rest = after;
                match piece {
                    Piece::Data(data) => content.extend_from_slice(data),
                    Piece::Framing => {}
                    Piece::Trailer(lines) => trailer.extend_from_slice(lines),
                    Piece::End(lines) => {
                        trailer.extend_from_slice(lines);
                        return Some((content, trailer, true, text[fed - rest.len()..].to_vec()));
                    }
                    Piece::Malformed => return None,
                }
            }
        }
        Some((content, trailer, false, Vec::new()))
    }

    #[test]
    fn chunks_come_out_whole_however_they_are_cut() {
        let text = b"5\r\nhello\r\n1;a=\"b\"\r\n \r\n005\r\nworld\r\n0\r\nT: x\r\n\r\nHTTP/1.1";
        for step in 1..=text.len() {
            let (content, trailer, ended, left) = decode(text, step).unwrap();
            assert_eq!(content, b"hello world", "{step}");
            assert_eq!(trailer, b"T: x\r\n\r\n", "{step}");
            assert!(ended);
            assert_eq!(left, b"HTTP/1.1");
        }
    }

    #[test]
    fn bare_line_feeds_are_line_ends() {
        let expected = (b"abc".to_vec(), b"\n".to_vec(), true, vec![]);
        assert_eq!(decode(b"3\nabc\n0\n\n", 1).unwrap(), expected);
    }

    #[test]
    fn lines_that_others_may_read_otherwise_are_odd() {
        let is_odd = |text: &[u8]| {
            let mut chunked = Chunked::default();
            let mut rest = text;
            while !rest.is_empty() {
                let (piece, after) = chunked.take(rest);
                assert_ne!(piece, Piece::Malformed, "{text:?}");
                rest = after;
            }
            chunked.is_odd()
        };
        for text in ["3\r\nabc\r\n0\r\n\r\n", "3;x=\"y\"\r\na\nb\r\n0 ;z\r\nT: x\r\n\r\n"] {
            assert!(!is_odd(text.as_bytes()), "{text:?}");
        }
        for text in [
            "3\nabc\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "3;a\rb\r\nabc\r\n0\r\n\r\n",
            "0\r\n\n",
        ] {
            assert!(is_odd(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_malformed() {
        let texts: [&[u8]; 6] = [
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"3x\r\nabc\r\n",
            b"10000000000000000\r\n",
            b"3\r\nabcd\r\n",
        ];
        for text in texts {
            assert_eq!(decode(text, text.len()), None, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_line_that_never_ends_is_malformed() {
        let endless = vec![b'a'; 20_000];
        let extension = [b"1;", &endless[..]].concat();
        assert_eq!(decode(&extension, 1_000), None);
        let trailers = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(12_000)].concat();
        assert_eq!(decode(&trailers, 1_000), None);
    }

    #[test]
    fn a_whole_chunk_tells_that_a_loss_ended_before_it() {
        let text = b"1f\r\n0123456789abcdef0123456789abcde\r\n";
        for len in 0..text.len() {
            assert_eq!(begins_with_chunk(&text[..len]), None, "{len}");
        }
        assert_eq!(begins_with_chunk(text), Some(true));
        assert_eq!(begins_with_chunk(b"0\r\n\r\n"), Some(true));
        for text in ["HTTP/1.1", "1f;x\r\n", "1f\n", "2\r\nabc", "fffff\r\n", "ffff\r\n", "1f\rx"] {
            assert_eq!(begins_with_chunk(text.as_bytes()), Some(false), "{text:?}");
        }
    }

    #[test]
    fn a_hole_inside_a_chunk_can_be_passed_over() {
        let mut chunked = Chunked::default();
        assert_eq!(chunked.take(b"a\r\n"), (Piece::Framing, &b""[..]));
        assert_eq!(chunked.take(b"abc"), (Piece::Data(b"abc"), &b""[..]));
        assert!(!chunked.clone().skip(8));
        assert!(chunked.skip(7));
        assert_eq!(chunked.take(b"\r\n0\r\n\r\n"), (Piece::Framing, &b"\r\n"[..]));
        assert_eq!(chunked.take(b"\r\n"), (Piece::End(b"\r\n"), &b""[..]));
    }
}
