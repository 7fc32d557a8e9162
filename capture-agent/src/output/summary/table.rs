//! Endpoints as a table that fits the terminal: columns that find no room are left out, and names
//! are cut in their middle, for what tells them apart is at their ends.

use std::fmt::Write as _;

use super::INDENT;
use crate::event::Endpoints;
use crate::event::endpoints::{Endpoint, Named};
use crate::output::style::{self, Style};
use crate::output::terminal::{Screen, width};

/// Rows of each list.
const ROWS: usize = 5;
/// Names keep that much, as long as there are columns to leave out.
const NAME_WIDTH: usize = 20;

/// A column of figures.
struct Column {
    heading: &'static str,
    /// How soon it is left out: the least goes last.
    spares: u8,
    style: Option<Style>,
    /// The figure, and whether there is anything to be told.
    figure: fn(&Endpoint) -> Option<String>,
}

const COLUMNS: [Column; 6] = [
    Column {
        heading: "count",
        spares: 0,
        style: None,
        figure: |it| Some(it.exchanges.to_string()),
    },
    Column {
        heading: "4xx",
        spares: 4,
        style: Some(style::YELLOW),
        figure: |it| count(it.client_errors),
    },
    Column {
        heading: "5xx",
        spares: 2,
        style: Some(style::RED),
        figure: |it| count(it.server_errors),
    },
    Column { heading: "median", spares: 5, style: None, figure: |it| percentile(it, 50) },
    Column { heading: "95%", spares: 1, style: None, figure: |it| percentile(it, 95) },
    Column {
        heading: "longest",
        spares: 3,
        style: None,
        figure: |it| it.times.longest_ns().map(span),
    },
];

fn count(count: u64) -> Option<String> {
    (count > 0).then(|| count.to_string())
}

fn percentile(endpoint: &Endpoint, percent: u64) -> Option<String> {
    endpoint.times.percentile_ns(percent).map(span)
}

/// A span of time in three digits.
fn span(nanos: u64) -> String {
    let (whole, thousandths, unit) = if nanos < 1_000_000_000 {
        (nanos / 1_000_000, nanos / 1_000 % 1_000, "ms")
    } else {
        (nanos / 1_000_000_000, nanos / 1_000_000 % 1_000, "s")
    };
    match whole {
        0..10 => format!("{whole}.{:02} {unit}", thousandths / 10),
        10..100 => format!("{whole}.{} {unit}", thousandths / 100),
        _ => format!("{whole} {unit}"),
    }
}

/// The lists of endpoints, a line each.
pub(super) fn lines(endpoints: &Endpoints, screen: Screen) -> Vec<String> {
    let all = endpoints.all();
    // The line above says all there is to say of one.
    if all.exchanges < 2 {
        return Vec::new();
    }
    let (frequent, slowest) = (endpoints.most_frequent(ROWS), endpoints.slowest(ROWS));
    let mut rows = Vec::new();
    // Where all are in the first list, a second one says nothing new.
    let is_all = endpoints.len() <= ROWS && endpoints.missed() == 0;
    let has_all = endpoints.len() <= ROWS || slowest.is_empty();
    rows.push(Row::title(if is_all || endpoints.is_empty() {
        "endpoints"
    } else {
        "most frequent endpoints"
    }));
    rows.extend(frequent.into_iter().map(|it| Row::endpoint(it, screen)));
    if !has_all {
        rows.push(Row::title("slowest endpoints, by 95%"));
        rows.extend(slowest.into_iter().map(|it| Row::endpoint(it, screen)));
    }
    if !is_all || endpoints.len() > 1 {
        rows.push(Row { name: "all".to_owned(), endpoint: Some(&all) });
    }
    let grid = Grid::fitted(&rows, screen);
    let mut headings = true;
    let lines = rows.iter().map(|row| {
        let is_first = std::mem::take(&mut headings);
        grid.line(row, is_first)
    });
    lines.collect()
}

/// A list's title, or an endpoint and its figures.
struct Row<'a> {
    name: String,
    endpoint: Option<&'a Endpoint>,
}

impl<'a> Row<'a> {
    fn title(title: &str) -> Self {
        Self { name: title.to_owned(), endpoint: None }
    }

    fn endpoint((name, endpoint): Named<'a>, screen: Screen) -> Self {
        let name = screen.visible(name);
        Self { name: format!("{INDENT}{name}"), endpoint: Some(endpoint) }
    }

    fn figure(&self, column: &Column) -> Option<String> {
        self.endpoint.and_then(column.figure)
    }
}

/// How wide what is.
struct Grid {
    screen: Screen,
    name_width: usize,
    columns: Vec<(&'static Column, usize)>,
}

impl Grid {
    /// The columns that there is something in, and room for.
    fn fitted(rows: &[Row<'_>], screen: Screen) -> Self {
        let columns = COLUMNS.iter().filter_map(|column| {
            let widths = rows.iter().filter_map(|row| row.figure(column)).map(|it| it.len());
            Some((column, widths.max()?.max(column.heading.len())))
        });
        let mut columns: Vec<_> = columns.collect();
        let longest = rows.iter().map(|row| width(&row.name)).max().unwrap_or_default();
        let width = screen.columns().unwrap_or(usize::MAX);
        let room = |columns: &[(&Column, usize)]| {
            let taken: usize = columns.iter().map(|(_, width)| INDENT.len() + width).sum();
            width.saturating_sub(taken)
        };
        while columns.len() > 1 && room(&columns) < longest.min(NAME_WIDTH) {
            let spared = columns.iter().max_by_key(|(column, _)| column.spares);
            let spared = spared.map(|(column, _)| column.heading);
            columns.retain(|(column, _)| Some(column.heading) != spared);
        }
        let name_width = longest.min(room(&columns));
        Self { screen, name_width, columns }
    }

    fn line(&self, row: &Row<'_>, with_headings: bool) -> String {
        let is_title = row.endpoint.is_none();
        if is_title && !with_headings {
            let whole = self.screen.columns().unwrap_or(usize::MAX);
            return self.screen.styled(style::BOLD, self.screen.cut(&row.name, whole));
        }
        let name = if is_title {
            self.screen.cut(&row.name, self.name_width).into_owned()
        } else {
            cut(&row.name, self.name_width, self.screen)
        };
        let padding = self.name_width.saturating_sub(width(&name));
        let mut line = if is_title { self.screen.styled(style::BOLD, &name) } else { name };
        let _ = write!(line, "{:padding$}", "");
        for (column, width) in &self.columns {
            let (text, style) = if is_title {
                (column.heading.to_owned(), Some(style::DIM))
            } else {
                (row.figure(column).unwrap_or_else(|| "-".to_owned()), column.style)
            };
            let _ = write!(line, "{INDENT}{:1$}", "", width - text.len());
            let style = style.filter(|_| text != "-");
            line += &style.map_or(text.clone(), |style| self.screen.styled(style, &text));
        }
        line
    }
}

/// As much of a text as finds room, without its middle where that is not all.
fn cut(text: &str, columns: usize, screen: Screen) -> String {
    let Some(room) = columns.checked_sub(width(screen.ellipsis())) else {
        return screen.cut(text, columns).into_owned();
    };
    if width(text) <= columns {
        return text.to_owned();
    }
    let start = within(text.chars(), room / 2);
    let mut end: Vec<_> = within(text.chars().rev(), room - room / 2).chars().collect();
    end.reverse();
    format!("{start}{}{}", screen.ellipsis(), String::from_iter(end))
}

/// As many characters, from the first on, as find room.
fn within(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut text = String::new();
    let mut taken = 0;
    let fits = |char: &char| {
        taken += width(char.encode_utf8(&mut [0; 4]));
        taken <= columns
    };
    text.extend(chars.take_while(fits));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_digits() {
        let spans = [0, 412_000, 9_999_999, 12_345_678, 999_999_999, 1_000_000_000, 83_400_000_000];
        let shown = spans.map(span);
        assert_eq!(
            shown,
            ["0.00 ms", "0.41 ms", "9.99 ms", "12.3 ms", "999 ms", "1.00 s", "83.4 s"]
        );
        assert_eq!(span(7_200_000_000_000), "7200 s");
    }

    #[test]
    fn names_lose_their_middle() {
        let screen = Screen::fixed(80, false, true);
        assert_eq!(cut("GET example.com/api/users", 25, screen), "GET example.com/api/users");
        assert_eq!(cut("GET example.com/api/users", 15, screen), "GET exa…i/users");
        assert_eq!(cut("GET 日本語日本語/users", 13, screen), "GET 日…/users");
        assert_eq!(cut("GET /a", 1, Screen::fixed(80, false, false)), ".");
    }
}
