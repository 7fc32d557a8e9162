//! What came of a capture, for people: the ledger in a line, and at the end what it says at a glance.

mod losses;
mod nothing;
mod table;

use std::fmt::Write as _;

use self::losses::{Loss, losses};
use super::style;
use super::terminal::Screen;
use crate::event::{Dropped, Endpoints, Stats, StatusClass};

/// What stands before what belongs to the line above.
const INDENT: &str = "  ";
/// A space at which no line ends.
const TIE: &str = "\u{a0}";

/// The ledger in one line: what was captured, and what was lost and why.
#[must_use]
pub fn line(stats: &Stats) -> String {
    let mut line = counts(stats);
    for loss in losses(stats) {
        let _ = write!(line, ", {} {}", loss.count, loss.what);
    }
    line
}

/// What was captured, in one line.
fn counts(stats: &Stats) -> String {
    let engine = &stats.engine;
    let packets: u64 = stats.packets.iter().map(|packets| packets.packets.seen).sum();
    let mut line = format!(
        "{} on {}, {} seen",
        counted(engine.exchanges, "exchange"),
        counted(engine.flows_opened, "flow"),
        counted(packets, "packet"),
    );
    if engine.messages > 0 {
        let _ = write!(line, ", {}", counted(engine.messages, "WebSocket message"));
    }
    let Dropped { filtered, undecided, .. } = stats.dropped;
    if filtered > 0 {
        let _ = write!(line, ", {} filtered out", counted(filtered, "exchange"));
    }
    if undecided > 0 {
        let _ = write!(line, " ({undecided} without what --where asks for)");
    }
    let files = || stats.written.iter().filter_map(|written| written.files);
    let saved: u64 = files().map(|files| files.whole).sum();
    let partial: u64 = files().map(|files| files.partial).sum();
    if saved + partial > 0 {
        let _ = write!(line, ", {} saved", counted(saved, "payload file"));
    }
    if partial > 0 {
        let _ = write!(line, " and {partial} in part");
    }
    line
}

/// What came of a capture at a glance: lines that fit what they are shown on.
#[must_use]
pub fn at_a_glance(stats: &Stats, endpoints: Option<&Endpoints>, screen: Screen) -> Vec<String> {
    let mut lines = wrapped(&counts(stats), "", screen);
    if let Some(why) = nothing::why(stats) {
        lines.extend(wrapped(&why, INDENT, screen));
    }
    if let Some(classes) = classes(stats) {
        lines.extend(wrapped(&classes, INDENT, screen));
    }
    if let Some(endpoints) = endpoints {
        lines.extend(table::lines(endpoints, screen));
        lines.extend(missed(endpoints).iter().flat_map(|it| wrapped(it, INDENT, screen)));
    }
    for Loss { count, what, advice } in losses(stats) {
        let lost = wrapped(&format!("{count} {what}"), "", screen);
        lines.extend(lost.iter().map(|line| screen.styled(style::YELLOW, line)));
        lines.extend(wrapped(advice, INDENT, screen));
    }
    if let Some(elided) = elided(stats) {
        lines.extend(wrapped(&elided, "", screen));
    }
    lines
}

/// How many exchanges were answered with which class of status.
fn classes(stats: &Stats) -> Option<String> {
    let sum = stats.http.sum();
    let classes = StatusClass::ALL.into_iter().filter_map(|class| {
        let count = stats.http.of_class(class);
        let name = match class {
            StatusClass::None => "no response seen",
            StatusClass::Other => "other status",
            class => class.name(),
        };
        let told = || format!("{name}: {count} ({})", share(count, sum)).replace(' ', TIE);
        (count > 0).then(told)
    });
    let classes: Vec<_> = classes.collect();
    (!classes.is_empty()).then(|| classes.join(", "))
}

/// A part in percent, which is neither 0 nor 100 unless it is.
fn share(part: u64, whole: u64) -> String {
    match part.saturating_mul(100) / whole.max(1) {
        0 => "<1%".to_owned(),
        100.. => "100%".to_owned(),
        percent => format!("{percent}%"),
    }
}

/// What is said where endpoints are too many to be told apart.
fn missed(endpoints: &Endpoints) -> Option<String> {
    let missed = endpoints.missed();
    let told_apart = endpoints.len();
    (missed > 0).then(|| {
        if told_apart == 0 {
            return format!(
                "There were too many endpoints to tell any apart: none has more than {}.",
                counted(missed, "exchange")
            );
        }
        format!(
            "There were too many endpoints to tell all apart: each of these may have had up to \
             {missed} exchanges more, and of those with fewer some are not among the {told_apart} \
             that were looked at."
        )
    })
}

/// What was left out because that was asked for.
fn elided(stats: &Stats) -> Option<String> {
    let elided = stats.engine.elided_bytes;
    (elided > 0).then(|| {
        format!(
            "{elided} bytes of long bodies stayed in the kernel, as --budget has it; \
             `--budget off` takes them too"
        )
    })
}

/// Text in lines that fit.
fn wrapped(text: &str, indent: &str, screen: Screen) -> Vec<String> {
    let Some(columns) = screen.columns() else {
        return vec![format!("{indent}{text}").replace(TIE, " ")];
    };
    let options = textwrap::Options::new(columns).initial_indent(indent).subsequent_indent(indent);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(|line| line.replace(TIE, " ")).collect()
}

/// So many of something.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests;
