//! What a stream can show: whether it is a terminal, how wide it is, colour, and characters beyond
//! ASCII. Everything that is printed for people asks here.
//!
//! Invariant: what is not a terminal gets the lines of the contract, whatever terminal or locale
//! happens to be around: in UTF-8, with nothing cut, and without colour unless that is asked for.

use std::borrow::Cow;
use std::env;
use std::ffi::OsString;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _};
use std::os::fd::BorrowedFd;

use anstream::{AutoStream, ColorChoice};
use unicode_width::UnicodeWidthChar as _;

use super::style::Style;
use crate::notation::escape;

/// How wide a terminal is that does not tell.
const USUAL_COLUMNS: usize = 80;

/// A stream that people may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// When there is colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// On terminals that have it, unless the environment says otherwise: `NO_COLOR`, `CLICOLOR`,
    /// `CLICOLOR_FORCE`, `TERM=dumb`.
    #[default]
    Auto,
    /// On standard output and standard error, terminals or not.
    Always,
    /// Nowhere.
    Never,
}

impl Colour {
    /// Has every [`Screen`] that is asked for from now on follow this choice.
    pub fn choose(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// What can be shown somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    columns: Columns,
    has_colour: bool,
    has_utf8: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// As many as a line has characters: not a terminal.
    Any,
    /// As many as this terminal has just now.
    Of(Stream),
    Fixed(usize),
}

impl Screen {
    /// A file: the lines of the contract.
    pub const FILE: Self = Self { columns: Columns::Any, has_colour: false, has_utf8: true };

    /// Of a stream.
    #[must_use]
    pub fn of(stream: Stream) -> Self {
        let (is_terminal, colour) = match stream {
            Stream::Stdout => (io::stdout().is_terminal(), AutoStream::choice(&io::stdout())),
            Stream::Stderr => (io::stderr().is_terminal(), AutoStream::choice(&io::stderr())),
        };
        let has_colour = colour != ColorChoice::Never;
        if is_terminal {
            Self { columns: Columns::Of(stream), has_colour, has_utf8: locale_has_utf8() }
        } else {
            Self { has_colour, ..Self::FILE }
        }
    }

    /// A terminal of this width.
    #[must_use]
    pub const fn fixed(columns: usize, has_colour: bool, has_utf8: bool) -> Self {
        Self { columns: Columns::Fixed(columns), has_colour, has_utf8 }
    }

    /// Whether it is a terminal.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self.columns, Columns::Any)
    }

    /// How many columns it has, if it is a terminal; its window may have changed since it was last
    /// asked. At least one.
    #[must_use]
    pub fn columns(self) -> Option<usize> {
        match self.columns {
            Columns::Any => None,
            Columns::Fixed(columns) => Some(columns.max(1)),
            Columns::Of(stream) => Some(columns_of(stream).unwrap_or(USUAL_COLUMNS)),
        }
    }

    /// Whether there is colour.
    #[must_use]
    pub const fn has_colour(self) -> bool {
        self.has_colour
    }

    /// Whether it shows characters beyond ASCII.
    #[must_use]
    pub const fn has_utf8(self) -> bool {
        self.has_utf8
    }

    /// The first of these where it can be shown, or else the second, which is ASCII.
    #[must_use]
    pub const fn pick<'a>(self, text: &'a str, ascii: &'a str) -> &'a str {
        if self.has_utf8 { text } else { ascii }
    }

    /// From one end to the other.
    #[must_use]
    pub const fn arrow(self) -> &'static str {
        self.pick("→", "->")
    }

    /// The other way round.
    #[must_use]
    pub const fn arrow_back(self) -> &'static str {
        self.pick("←", "<-")
    }

    /// What stands for what was cut away.
    #[must_use]
    pub const fn ellipsis(self) -> &'static str {
        self.pick("…", "...")
    }

    /// A text in this style, where there is colour.
    #[must_use]
    pub fn styled(self, style: Style, text: impl Display) -> String {
        let text = text.to_string();
        let is_styled = self.has_colour && !text.is_empty();
        if is_styled { format!("{style}{text}{style:#}") } else { text }
    }

    /// Bytes that nobody vouches for, with what could steer the terminal or can't be shown spelt out.
    #[must_use]
    pub fn visible(self, bytes: &[u8]) -> String {
        self.shown(escape::visible(bytes)).into_owned()
    }

    /// A text with what can't be shown spelt out as `\u{NNNN}`. Control characters are left alone: what
    /// came from the network goes through `notation::escape` first.
    #[must_use]
    pub fn shown<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        if self.has_utf8 || text.is_ascii() {
            return text;
        }
        let mut spelt = String::with_capacity(text.len() + 16);
        for char in text.chars() {
            if char.is_ascii() {
                spelt.push(char);
            } else {
                let _ = write!(spelt, "\\u{{{:x}}}", char as u32);
            }
        }
        Cow::Owned(spelt)
    }

    /// As much of a text without styles as finds room in so many columns; where some of it does not,
    /// its end says so.
    #[must_use]
    pub fn cut(self, text: &str, columns: usize) -> Cow<'_, str> {
        if width(text) <= columns {
            return Cow::Borrowed(text);
        }
        let ellipsis = self.ellipsis();
        let Some(room) = columns.checked_sub(width(ellipsis)) else {
            return Cow::Owned(".".repeat(columns));
        };
        Cow::Owned(format!("{}{ellipsis}", start(text, room)))
    }
}

/// How many columns a text without styles and control characters takes.
///
/// Characters are counted one by one, as terminals do that join none of them to an emoji: where one
/// does, a line is shorter than this, and never longer.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().map(|char| char.width().unwrap_or(0)).sum()
}

/// As much of the start of a text as finds room in so many columns.
pub(super) fn start(text: &str, columns: usize) -> &str {
    let mut room = columns;
    let end = text.char_indices().find_map(|(at, char)| {
        let left = room.checked_sub(char.width().unwrap_or(0));
        room = left.unwrap_or_default();
        left.is_none().then_some(at)
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn columns_of(stream: Stream) -> Option<usize> {
    let size = |fd: BorrowedFd<'_>| terminal_size::terminal_size_of(fd);
    let (columns, _) = match stream {
        Stream::Stdout => size(rustix::stdio::stdout())?,
        Stream::Stderr => size(rustix::stdio::stderr())?,
    };
    Some(columns.0.into())
}

/// Whether the locale's characters are UTF-8, by the variables that decide it, the strongest first
/// (POSIX.1-2024, 8.2).
fn locale_has_utf8() -> bool {
    has_utf8(["LC_ALL", "LC_CTYPE", "LANG"].map(env::var_os))
}

/// The first that is set and not empty decides; a locale without a code set is not taken for one
/// with UTF-8, and nor is `C`, which holds where none is set.
fn has_utf8(variables: [Option<OsString>; 3]) -> bool {
    let decides = variables.into_iter().flatten().find(|value| !value.is_empty());
    let locale = decides.and_then(|value| value.into_string().ok()).unwrap_or_default();
    let (_, code_set) = locale.split_once('.').unwrap_or_default();
    let code_set = code_set.split('@').next().unwrap_or_default();
    code_set.eq_ignore_ascii_case("UTF-8") || code_set.eq_ignore_ascii_case("UTF8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_variable_that_is_set_decides_on_the_characters() {
        let of = |values: [&str; 3]| {
            has_utf8(values.map(|value| (value != "unset").then(|| value.into())))
        };
        assert!(of(["unset", "unset", "C.UTF-8"]));
        assert!(of(["", "", "de_DE.utf8@euro"]));
        assert!(of(["en_US.UTF-8", "C", "C"]));
        assert!(of(["unset", "en_US.UTF-8", "C"]));
        assert!(!of(["C", "en_US.UTF-8", "en_US.UTF-8"]));
        assert!(!of(["unset", "POSIX", "en_US.UTF-8"]));
        assert!(!of(["unset", "unset", "de_DE.ISO-8859-1"]));
        assert!(!of(["unset", "unset", "de_DE@UTF-8"]));
        assert!(!of(["unset", "unset", "unset"]));
    }

    #[test]
    fn what_is_cut_finds_room_and_says_so() {
        let utf8 = Screen::fixed(80, false, true);
        let ascii = Screen::fixed(80, false, false);
        assert_eq!(utf8.cut("/api/users", 10), "/api/users");
        assert_eq!(utf8.cut("/api/users", 9), "/api/use…");
        assert_eq!(ascii.cut("/api/users", 9), "/api/u...");
        assert_eq!(ascii.cut("/api/users", 2), "..");
        assert_eq!(utf8.cut("/api/users", 0), "");
        // A wide character is there or not: a column may stay empty.
        assert_eq!(utf8.cut("日本語", 6), "日本語");
        assert_eq!(utf8.cut("日本語", 5), "日本…");
        assert_eq!(utf8.cut("日本語", 4), "日…");
        // A combining mark stays with what it marks.
        assert_eq!(utf8.cut("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
    }

    #[test]
    fn what_a_locale_cannot_show_is_spelt_out() {
        assert_eq!(Screen::fixed(80, false, false).shown("grün"), "gr\\u{fc}n");
        assert_eq!(Screen::fixed(80, false, true).shown("grün"), "grün");
        assert_eq!(Screen::FILE.shown("grün"), "grün");
    }

    #[test]
    fn colour_is_there_where_the_screen_has_it() {
        use super::super::style::GREEN;
        assert_eq!(Screen::fixed(80, true, true).styled(GREEN, 200), "\x1b[32m200\x1b[0m");
        assert_eq!(Screen::FILE.styled(GREEN, 200), "200");
    }
}
