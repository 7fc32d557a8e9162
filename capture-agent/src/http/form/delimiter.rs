//! The lines between the parts of a multipart body.
//!
//! Follows RFC 2046 section 5.1.1: a line that is `--boundary`, or `--boundary--` after the last
//! part, and white space; the line end before it belongs to it. A bare LF is a line end, as it is
//! to lenient servers. A line that only begins like this is content. Invariant: what is held back
//! is never more than such a line may be long.

/// Most white space after a boundary: stops a line that never ends.
const MAX_PADDING_BYTES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    InLine,
    /// After a CR, which is held.
    Return,
    /// In what may be a delimiter. It is held, with the line end before it of so many bytes.
    Delimiter {
        line_end: usize,
    },
}

/// What the next bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// A part follows.
    Open,
    /// There are no more parts.
    Close,
}

/// Finds delimiters in what comes.
#[derive(Debug)]
pub(super) struct Delimiters {
    dash_boundary: Box<[u8]>,
    at: At,
    held: Vec<u8>,
}

enum Verdict {
    Maybe,
    Delimiter(Delimiter),
    Content,
}

impl Delimiters {
    /// The body begins, so a line does.
    pub(super) fn new(boundary: &[u8]) -> Self {
        let dash_boundary = [b"--", boundary].concat().into();
        Self { dash_boundary, at: At::Delimiter { line_end: 0 }, held: Vec::new() }
    }

    /// Takes bytes up to the next delimiter; gives what of them is content, and returns the
    /// delimiter, which is then in [`Delimiters::held`], and what is left.
    pub(super) fn take<'a>(
        &mut self,
        mut bytes: &'a [u8],
        mut content: impl FnMut(&[u8]),
    ) -> Option<(Delimiter, &'a [u8])> {
        while let Some((byte, rest)) = bytes.split_first() {
            match self.at {
                At::InLine => bytes = self.take_line(bytes, &mut content),
                At::Return if *byte == b'\n' => {
                    self.held.push(*byte);
                    self.at = At::Delimiter { line_end: 2 };
                    bytes = rest;
                }
                At::Return => self.give_up(&mut content),
                At::Delimiter { line_end } => {
                    self.held.push(*byte);
                    match self.verdict(self.held.get(line_end..).unwrap_or_default()) {
                        Verdict::Maybe => bytes = rest,
                        Verdict::Delimiter(delimiter) => {
                            self.at = At::Delimiter { line_end: 0 };
                            return Some((delimiter, rest));
                        }
                        Verdict::Content => {
                            self.held.pop();
                            self.give_up(&mut content);
                        }
                    }
                }
            }
        }
        None
    }

    /// Takes the rest of a line, and holds its end.
    fn take_line<'a>(&mut self, bytes: &'a [u8], content: &mut impl FnMut(&[u8])) -> &'a [u8] {
        let (line, rest, at) = match memchr::memchr(b'\n', bytes) {
            Some(newline) => {
                let (line, rest) = bytes.split_at(newline + 1);
                let line_end = if line.ends_with(b"\r\n") { 2 } else { 1 };
                (line, rest, At::Delimiter { line_end })
            }
            None if bytes.ends_with(b"\r") => (bytes, &[][..], At::Return),
            None => (bytes, &[][..], At::InLine),
        };
        let held = match at {
            At::InLine => 0,
            At::Return => 1,
            At::Delimiter { line_end } => line_end,
        };
        let (text, end) = line.split_at(line.len() - held);
        content(text);
        self.held.extend_from_slice(end);
        self.at = at;
        rest
    }

    /// What is held is content.
    pub(super) fn give_up(&mut self, mut content: impl FnMut(&[u8])) {
        content(&self.held);
        self.held.clear();
        self.at = At::InLine;
    }

    /// A line begins that is not known to follow a line end.
    pub(super) fn begin_line(&mut self) {
        self.held.clear();
        self.at = At::Delimiter { line_end: 0 };
    }

    /// Nothing more comes: the delimiter that is held, if it is one but for its line end.
    pub(super) fn finish(&mut self) -> Option<Delimiter> {
        let At::Delimiter { line_end } = self.at else { return None };
        let line = [self.held.get(line_end..)?, b"\n"].concat();
        self.of_line(&line)
    }

    /// The bytes that are held back, or those of the delimiter that was just found.
    pub(super) fn held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// The delimiter that a whole line is.
    pub(super) fn of_line(&self, line: &[u8]) -> Option<Delimiter> {
        match self.verdict(line) {
            Verdict::Delimiter(delimiter) => Some(delimiter),
            Verdict::Maybe | Verdict::Content => None,
        }
    }

    fn verdict(&self, line: &[u8]) -> Verdict {
        let Some(tail) = line.strip_prefix(&*self.dash_boundary) else {
            let may_be = self.dash_boundary.starts_with(line);
            return if may_be { Verdict::Maybe } else { Verdict::Content };
        };
        let (delimiter, padding) = match tail {
            b"-" => return Verdict::Maybe,
            [b'-', b'-', padding @ ..] => (Delimiter::Close, padding),
            padding => (Delimiter::Open, padding),
        };
        let unended = padding.strip_suffix(b"\n").unwrap_or(padding);
        let space = unended.strip_suffix(b"\r").unwrap_or(unended);
        let is_space = space.iter().all(|byte| matches!(byte, b' ' | b'\t'));
        if !is_space || padding.len() > MAX_PADDING_BYTES {
            Verdict::Content
        } else if unended.len() < padding.len() {
            Verdict::Delimiter(delimiter)
        } else {
            Verdict::Maybe
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.dash_boundary.len() + self.held.capacity()
    }
}
