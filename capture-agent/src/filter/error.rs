//! What is wrong with an expression, and where.

use std::fmt;
use std::ops::Range;

use super::syntax;

/// Characters that are shown before a place, of it, and after it.
const SHOWN_AROUND: usize = 80;

/// What is wrong with an expression: in words, and the place marked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    what: String,
    /// The line of the expression where it is.
    line: String,
    /// Characters before the place, and those that are marked.
    column: usize,
    width: usize,
}

impl FilterError {
    /// An error at these bytes of the expression.
    pub(super) fn new(text: &str, at: Range<usize>, what: impl Into<String>) -> Self {
        let start = text.floor_char_boundary(at.start);
        let (before, after) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = after.find('\n').map_or(text.len(), |at| start + at);
        let end = text.floor_char_boundary(at.end.clamp(start, line_end));
        let chars = |range: Range<usize>| text.get(range).unwrap_or_default().chars().count();
        Self {
            what: what.into(),
            // What moves the cursor would move the mark away from its place.
            line: text
                .get(line_start..line_end)
                .unwrap_or_default()
                .replace(|char: char| char.is_control(), " "),
            column: chars(line_start..start),
            width: chars(start..end).max(1),
        }
    }

    /// The same for all that stands at a place: a name or a number, or one character.
    pub(super) fn at(text: &str, at: usize, what: impl Into<String>) -> Self {
        Self::new(text, at..at + syntax::word_len(text, at), what)
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, line, column, width } = self;
        let from = column.saturating_sub(SHOWN_AROUND);
        let (before, marked) = (column - from, (*width).min(SHOWN_AROUND));
        let shown: String = line.chars().skip(from).take(before + marked + SHOWN_AROUND).collect();
        write!(f, "{what}\n  {shown}\n  {}{}", " ".repeat(before), "^".repeat(marked))
    }
}
