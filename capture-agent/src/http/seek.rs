//! Looks for the next head amid bytes of which nothing is known: after a loss, after malformed
//! bytes, or in a flow that was picked up midway.
//!
//! A head is taken for one only if it is by the grammar to its last line, since anything may stand
//! there. Invariants: what is found does not depend on how the bytes were cut; the work is linear
//! in the bytes, and what is kept of them is no more than a head may be long.

use super::head::{HeadRules, Parse};
use super::parser::{Arrival, Start};
use super::recognise::{Found, Lines, header_lines};
use crate::segment::Timestamp;

/// Most segments whose times are kept for the bytes that are held: stops many tiny ones.
const MAX_MARKS: usize = 64;

/// The search for a head.
#[derive(Debug, Default)]
pub(super) struct Seek {
    /// The bytes from where on a head may begin.
    text: Vec<u8>,
    /// Bytes of `text` that have been given up; none between calls.
    given_up: usize,
    /// How long what is held becomes before it is looked at, unless a line ends in it.
    look_at_bytes: usize,
    /// Stream offset of the first of them that has not.
    offset: u64,
    /// Whether `text` begins in the middle of a line.
    mid_line: bool,
    /// `text` begins with a start line, and the lines until there can follow it.
    looked_at: Option<usize>,
    /// The segments that bytes came in, by the stream offset of their first one.
    marks: Vec<(u64, Arrival)>,
    /// What was looked at, where somebody wants to know.
    passed: Option<Passed>,
}

/// Bytes that were looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    bytes: u64,
    /// Where the first of them was, and when the last one came.
    span: Option<(Start, Timestamp)>,
}

/// A head that was found.
pub(super) struct FoundHead<H> {
    pub(super) head: H,
    pub(super) start: Start,
    /// Bytes after it, of those that were given last.
    pub(super) left: usize,
}

impl Seek {
    /// A search that counts what it passes over.
    pub(super) fn counting() -> Self {
        Self { passed: Some(Passed::default()), ..Self::default() }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.passed.is_none_or(|passed| passed.span.is_none())
    }

    /// Bytes of memory that the search takes.
    pub(super) const fn memory(&self) -> usize {
        let marks = self.marks.capacity() * size_of::<(u64, Arrival)>();
        size_of::<Self>() + self.text.capacity() + marks
    }

    /// Bytes were lost: a head may begin after them.
    pub(super) fn gap(&mut self) {
        *self = Self { passed: self.passed, ..Self::default() };
    }

    /// Bytes that were looked at, if they were counted.
    pub(super) fn passed(&self) -> u64 {
        self.passed.map_or(0, |passed| passed.bytes)
    }

    /// Bytes before the head that was found, since when, and until when.
    pub(super) fn midstream(&self) -> Option<(u64, Start, Timestamp)> {
        let Passed { bytes, span } = self.passed?;
        let (start, last) = span?;
        let passed = bytes - self.text.len() as u64;
        (passed > 0).then_some((passed, start, last))
    }

    /// Takes bytes that came at `offset` of the stream, until a head is there.
    pub(super) fn take<H: Parse>(
        &mut self,
        offset: u64,
        bytes: &[u8],
        arrival: Arrival,
        rules: &HeadRules,
    ) -> Option<FoundHead<H>> {
        if let Some(passed) = &mut self.passed {
            let time = arrival.mark.time;
            let (start, _) = passed.span.unwrap_or((Start { offset, arrival }, time));
            passed.span = Some((start, time));
            passed.bytes += bytes.len() as u64;
        }
        if self.text.is_empty() {
            // Most of what is passed over need not be kept.
            let from = match H::find(bytes, !self.mid_line) {
                Found::At(at) => {
                    self.looked_at = Some(0);
                    at
                }
                Found::NotBefore(at) => at,
            };
            self.mid_line = is_mid_line(bytes, from, self.mid_line);
            self.offset = offset + from as u64;
            self.marks.clear();
            self.text.extend_from_slice(bytes.get(from..).unwrap_or_default());
            self.look_at_bytes = 0;
        } else {
            self.text.extend_from_slice(bytes);
        }
        self.mark(offset, arrival);
        // Lines that grow by a byte at a time are not looked at each time.
        if self.text.len() < self.look_at_bytes && memchr::memchr(b'\n', bytes).is_none() {
            return None;
        }
        let found = self.look::<H>(rules);
        self.text.drain(..std::mem::take(&mut self.given_up));
        self.look_at_bytes = match self.looked_at {
            Some(_) => rules.max_bytes + 1,
            None => 2 * self.text.len(),
        };
        if self.text.is_empty() {
            self.text = Vec::new();
        }
        found
    }

    /// The bytes that are held and have not been given up.
    fn held(&self) -> &[u8] {
        self.text.get(self.given_up..).unwrap_or_default()
    }

    fn mark(&mut self, offset: u64, arrival: Arrival) {
        if self.marks.last().is_some_and(|(_, last)| *last == arrival) {
            return;
        }
        if self.marks.len() >= MAX_MARKS {
            self.marks.remove(0);
        }
        self.marks.push((offset, arrival));
    }

    fn look<H: Parse>(&mut self, rules: &HeadRules) -> Option<FoundHead<H>> {
        loop {
            let Some(looked_at) = self.looked_at else {
                match H::find(self.held(), !self.mid_line) {
                    Found::At(at) => {
                        self.drop_front(at);
                        self.looked_at = Some(0);
                    }
                    Found::NotBefore(at) => {
                        self.drop_front(at);
                        return None;
                    }
                }
                continue;
            };
            let held = self.held();
            let too_long = held.len() > rules.max_bytes;
            let text = held.get(..=rules.max_bytes).unwrap_or(held);
            match header_lines(text, looked_at) {
                Lines::Whole(len) if len <= rules.max_bytes => {
                    let head = H::parse_strictly(text.get(..len).unwrap_or_default(), rules);
                    let start = self.start();
                    if let (Ok(head), Some(start)) = (head, start) {
                        let left = held.len() - len;
                        return Some(FoundHead { head, start, left });
                    }
                    self.give_up(len);
                }
                Lines::BrokenAt(at) => self.give_up(at),
                Lines::Until(_) | Lines::Whole(_) if too_long => self.give_up(rules.max_bytes + 1),
                Lines::Until(at) => {
                    self.looked_at = Some(at);
                    return None;
                }
                Lines::Whole(len) => self.give_up(len),
            }
        }
    }

    /// It was no head that began here; the next one may begin `at` bytes on.
    fn give_up(&mut self, at: usize) {
        self.looked_at = None;
        self.drop_front(at);
    }

    fn drop_front(&mut self, len: usize) {
        self.mid_line = is_mid_line(self.held(), len, self.mid_line);
        // All at once in the end: moving the rest each time would take the square of it.
        self.given_up += len;
        self.offset += len as u64;
        let later = self.marks.iter().rposition(|(offset, _)| *offset <= self.offset);
        self.marks.drain(..later.unwrap_or(0));
    }

    fn start(&self) -> Option<Start> {
        let (_, arrival) = self.marks.first()?;
        Some(Start { offset: self.offset, arrival: *arrival })
    }
}

/// Whether the text from `at` on begins in the middle of a line.
fn is_mid_line(text: &[u8], at: usize, was: bool) -> bool {
    match at.checked_sub(1) {
        None => was,
        Some(before) => text.get(before) != Some(&b'\n'),
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{RequestHead, ResponseHead};
    use super::*;
    use crate::http::exchange::Network;
    use crate::stream::Mark;

    fn arrival(time: u64) -> Arrival {
        Arrival {
            mark: Mark { time: Timestamp(time), ..Mark::default() },
            network: Network::default(),
        }
    }

    /// The start lines found in `text`, where they are, and when their first byte came; each byte
    /// comes at the time that its offset says.
    fn find<H: Parse>(text: &[u8], step: usize) -> Vec<(u64, u64)> {
        let mut seek = Seek::default();
        let mut found = Vec::new();
        let rules = HeadRules { max_bytes: 1_000, ..HeadRules::default() };
        for (n, part) in text.chunks(step).enumerate() {
            let mut rest = part;
            while !rest.is_empty() {
                let offset = n * step + part.len() - rest.len();
                let head = seek.take::<H>(offset as u64, rest, arrival((n * step) as u64), &rules);
                let Some(head) = head else { break };
                found.push((head.start.offset, head.start.arrival.mark.time.0));
                rest = &rest[rest.len() - head.left..];
                seek = Seek::default();
            }
        }
        found
    }

    #[test]
    fn heads_are_found_wherever_the_bytes_are_cut() {
        let body = "no head: GET / HTTP/1.1\r\nnor this: HTTP/1.1 200 OK\r\n";
        let text = format!(
            "{body}xGET /a HTTP/1.1\r\nHost: a\r\n\r\n{body}BREW /b HTTP/1.1\r\nHost: b\r\n\r\n"
        );
        let expected = [text.find("GET /a").unwrap(), text.find("BREW").unwrap()];
        for step in 1..=text.len() {
            let found = find::<RequestHead>(text.as_bytes(), step);
            let offsets: Vec<_> = found.iter().map(|(offset, _)| *offset as usize).collect();
            assert_eq!(offsets, expected, "{step}");
            for (offset, time) in found {
                assert_eq!(time, offset / step as u64 * step as u64, "{step}");
            }
        }
    }

    #[test]
    fn a_status_line_without_a_head_is_none() {
        let text = b"HTTP/1.1 200 OK\r\nnot a field\r\n\r\nHTTP/1.1 404 Not Found\r\nA: b\r\n\r\n";
        for step in 1..=text.len() {
            let found = find::<ResponseHead>(text, step);
            assert_eq!(found.len(), 1, "{step}");
            assert_eq!(found[0].0, 32, "{step}");
        }
    }

    #[test]
    fn heads_that_never_end_are_given_up_in_linear_time() {
        let lines = "x: HTTP/1.1 200 OK\r\n".repeat(200_000);
        assert_eq!(find::<ResponseHead>(lines.as_bytes(), 1_448), []);
        let lines = "HTTP/1.1 200 OK\r\n".repeat(200_000);
        assert_eq!(find::<ResponseHead>(lines.as_bytes(), 1_448), []);
    }
}
