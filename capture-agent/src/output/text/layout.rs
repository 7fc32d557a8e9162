//! Which columns a line on a terminal has, and how wide they are.
//!
//! Invariants: this follows from the width of the terminal alone, so that lines stand in columns
//! without any waiting for the next; a line is never wider than the terminal.

use crate::output::terminal::{Screen, width};

/// What stands between columns.
pub(super) const BETWEEN: &str = "  ";
/// Status, size, time taken and media type.
const STATUS: usize = 3;
const SIZE: usize = 8;
const TOTAL: usize = 7;
const MEDIA_TYPE: usize = 16;
/// Both ends over IPv4, as long as they are most of the time.
const BOTH_ENDS: usize = 36;
/// The longest client and the longest address over IPv4.
const CLIENT: usize = 21;
const ADDRESS: usize = 15;
/// What is longer takes so many columns more at a time, so that lines alike stand alike.
const STEP: usize = 4;

/// How much of a time of day there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Millis,
    Seconds,
    Nothing,
}

/// How much of who talks to whom there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Both,
    Client,
    Address,
    Nobody,
}

/// The columns that there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) columns: usize,
    pub(super) clock: Clock,
    pub(super) ends: Ends,
    pub(super) media_type: bool,
    pub(super) size: bool,
    pub(super) total: bool,
}

impl Layout {
    /// For a terminal of so many columns: those go first that a line is best understood without,
    /// until there is room for what was asked for.
    pub(super) fn of(columns: usize) -> Self {
        use {Clock::Millis, Clock::Nothing, Clock::Seconds, Ends::Nobody};
        let all = Self {
            columns,
            clock: Millis,
            ends: Ends::Both,
            media_type: true,
            size: true,
            total: true,
        };
        let less: [fn(Self) -> Self; 8] = [
            |it| Self { media_type: false, ..it },
            |it| Self { ends: Ends::Client, ..it },
            |it| Self { clock: Seconds, ..it },
            |it| Self { ends: Ends::Address, ..it },
            |it| Self { ends: Nobody, ..it },
            |it| Self { size: false, ..it },
            |it| Self { clock: Nothing, ..it },
            |it| Self { total: false, ..it },
        ];
        let wanted = columns * 7 / 20;
        less.iter().fold(all, |layout, less| {
            let room = columns.checked_sub(layout.taken());
            if room.is_some_and(|room| room >= wanted) { layout } else { less(layout) }
        })
    }

    /// What all columns but that of the request take.
    fn taken(self) -> usize {
        self.left(self.ends_width("")) + self.right()
    }

    /// What stands left of the request takes, where the ends take so much.
    pub(super) fn left(self, ends: usize) -> usize {
        let clock = match self.clock {
            Clock::Millis => "00:00:00.000  ".len(),
            Clock::Seconds => "00:00:00  ".len(),
            Clock::Nothing => 0,
        };
        clock + if ends > 0 { ends + BETWEEN.len() } else { 0 }
    }

    /// What stands right of the request takes.
    pub(super) fn right(self) -> usize {
        let column = |is_there, width| if is_there { width + BETWEEN.len() } else { 0 };
        STATUS
            + BETWEEN.len()
            + column(self.media_type, MEDIA_TYPE)
            + column(self.size, SIZE)
            + column(self.total, TOTAL)
    }

    /// How many columns these ends take: more than usual where they are longer, as far as a third
    /// of the line goes, or a quarter where there are not both.
    pub(super) fn ends_width(self, ends: &str) -> usize {
        let (usual, most) = match self.ends {
            Ends::Both => (BOTH_ENDS, self.columns / 3),
            Ends::Client => (CLIENT, self.columns / 4),
            Ends::Address => (ADDRESS, self.columns / 4),
            Ends::Nobody => return 0,
        };
        let longer = width(ends).saturating_sub(usual).next_multiple_of(STEP);
        (usual + longer).min(most.max(usual))
    }

    /// The columns right of the request: status in its style, media type, size, time taken.
    pub(super) fn results(self, screen: Screen, results: Results<'_>) -> String {
        let Results { status, media_type, size, total } = results;
        let (text, style) = status;
        let mut line = format!("{BETWEEN}{:1$}", "", STATUS.saturating_sub(width(text)));
        line += &screen.styled(style, text);
        if self.media_type {
            line += BETWEEN;
            line += &padded(screen, media_type, MEDIA_TYPE);
        }
        for (text, is_there, width) in [(size, self.size, SIZE), (total, self.total, TOTAL)] {
            if is_there {
                line += &format!("{BETWEEN}{:>width$}", screen.cut(text, width));
            }
        }
        line
    }
}

/// What stands right of a request.
#[derive(Clone, Copy)]
pub(super) struct Results<'a> {
    pub(super) status: (&'a str, anstyle::Style),
    pub(super) media_type: &'a str,
    pub(super) size: &'a str,
    pub(super) total: &'a str,
}

/// A text in so many columns: cut, or with spaces after it.
pub(super) fn padded(screen: Screen, text: &str, columns: usize) -> String {
    let cut = screen.cut(text, columns);
    let spaces = columns.saturating_sub(width(&cut));
    format!("{cut}{:spaces$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_is_best_understood_without_goes_first() {
        let names = |columns| {
            let Layout { clock, ends, media_type, size, total, .. } = Layout::of(columns);
            (clock, ends, media_type, size, total)
        };
        assert_eq!(names(200), (Clock::Millis, Ends::Both, true, true, true));
        assert_eq!(names(120), (Clock::Millis, Ends::Both, false, true, true));
        assert_eq!(names(100), (Clock::Millis, Ends::Client, false, true, true));
        assert_eq!(names(80), (Clock::Seconds, Ends::Address, false, true, true));
        assert_eq!(names(60), (Clock::Seconds, Ends::Nobody, false, true, true));
        assert_eq!(names(40), (Clock::Seconds, Ends::Nobody, false, false, true));
        assert_eq!(names(20), (Clock::Nothing, Ends::Nobody, false, false, false));
        assert_eq!(names(0), (Clock::Nothing, Ends::Nobody, false, false, false));
    }
}
