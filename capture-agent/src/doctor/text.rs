//! What was found, for people.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::report::{Finding, HookRecord, InterfaceRecord, Report, Severity};

/// How it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal; `None` where it is none, and lines are as long as they get.
    pub width: Option<usize>,
    /// Whether in colour.
    pub colour: bool,
}

/// Columns that the words for severities take.
const SEVERITY: usize = 7;
/// Columns that the names of checks take.
const CHECK: usize = 16;
/// Narrower than this, text is put below the names instead of beside them.
const NARROW: usize = 60;

/// Writes a report.
///
/// # Errors
/// Those of `to`.
pub fn write(report: &Report, look: Look, to: &mut impl Write) -> io::Result<()> {
    let host = &report.host;
    let cpus = if host.cpus == 1 { "CPU" } else { "CPUs" };
    let head = format!(
        "capture-agent {} on Linux {} ({}), {} {cpus}",
        host.agent, host.kernel, host.machine, host.cpus
    );
    let page = &mut Page { look, to };
    page.wrapped("", "", &head)?;
    page.line("")?;
    page.heading("host", None)?;
    page.findings(report, None)?;
    for record in &report.interfaces {
        page.line("")?;
        page.heading(&place(record), Some(&facts(record)))?;
        page.findings(report, Some(record))?;
    }
    page.line("")?;
    page.verdict(report)
}

fn place(record: &InterfaceRecord) -> String {
    let name = record.iface.escape_debug();
    record
        .netns
        .as_ref()
        .map_or_else(|| name.to_string(), |netns| format!("{name} in namespace {netns}"))
}

/// An interface in some words.
fn facts(record: &InterfaceRecord) -> String {
    let mut facts = record.kind.clone().unwrap_or_else(|| record.frames.to_owned());
    if let Some(driver) = record.driver.as_deref().filter(|driver| *driver != facts) {
        let _ = write!(facts, ", driver {}", driver.escape_debug());
    }
    facts.push_str(if record.up { ", up" } else { ", down" });
    if let Some(mtu) = record.mtu {
        let _ = write!(facts, ", MTU {mtu}");
    }
    if let (Some(rx), Some(tx)) = (record.rx_queues, record.tx_queues) {
        let _ = write!(facts, ", queues {rx} in and {tx} out");
    }
    let others =
        [("port of", &record.master), ("upon", &record.lower), ("other end", &record.peer)];
    for (what, other) in others {
        if let Some(other) = other {
            let _ = write!(facts, ", {what} {}", other.escape_debug());
        }
    }
    if record.peer_elsewhere {
        facts.push_str(", other end in another namespace");
    }
    if !record.chosen {
        for program in &record.programs {
            let name = program.name.as_deref().or(program.filter.as_deref()).unwrap_or("a program");
            let _ = write!(facts, ", {} on {}", name.escape_debug(), program.hook);
        }
    }
    facts
}

struct Page<'a, W> {
    look: Look,
    to: &'a mut W,
}

impl<W: Write> Page<'_, W> {
    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{}", text.trim_end())
    }

    fn heading(&mut self, name: &str, facts: Option<&str>) -> io::Result<()> {
        let name = self.styled("1", name);
        match facts {
            None => self.line(&name),
            Some(facts) => self.wrapped(&format!("{name}  "), "  ", facts),
        }
    }

    /// What there is to say of an interface, or of the host.
    fn findings(&mut self, report: &Report, of: Option<&InterfaceRecord>) -> io::Result<()> {
        let of = of.map(|record| (record.netns.as_deref(), &*record.iface));
        let is_of = |finding: &&Finding| match &finding.iface {
            Some(iface) => of == Some((finding.netns.as_deref(), iface)),
            None => of.is_none(),
        };
        report.findings.iter().filter(is_of).try_for_each(|finding| self.finding(finding))
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let (word, style) = match finding.severity {
            Severity::Ok => ("ok", "32"),
            Severity::Note => ("note", "36"),
            Severity::Unseen => ("unseen", "35"),
            Severity::Warning => ("warning", "33"),
            Severity::Fault => ("fault", "31"),
        };
        let word = self.styled(style, &format!("{word:SEVERITY$}"));
        let check = finding.check;
        let is_narrow = self.look.width.is_some_and(|width| width < NARROW);
        let indent = if is_narrow {
            self.line(&format!("{word} {check}"))?;
            "  ".to_owned()
        } else {
            " ".repeat(2 + SEVERITY + 1 + CHECK + 1)
        };
        let first = if is_narrow { indent.clone() } else { format!("  {word} {check:CHECK$} ") };
        self.wrapped(&first, &indent, &finding.found)?;
        if let Some(means) = &finding.means {
            self.wrapped(&indent, &indent, means)?;
        }
        if let Some(advice) = &finding.advice {
            self.wrapped(&format!("{indent}-> "), &format!("{indent}   "), advice)?;
        }
        Ok(())
    }

    fn verdict(&mut self, report: &Report) -> io::Result<()> {
        let verdict = &report.verdict;
        if !verdict.works {
            let word = self.styled("1;31", "`run` would not work:");
            for reason in &verdict.reasons {
                self.wrapped(&format!("{word} "), "  ", reason)?;
            }
            return Ok(());
        }
        let word = self.styled("1;32", "`run` would work");
        if verdict.attached.is_empty() {
            return self.line(&format!("{word}, and wait for an interface to come"));
        }
        self.line(&format!("{word}:"))?;
        for attached in &verdict.attached {
            let name = attached.iface.escape_debug();
            let of = attached.netns.as_ref().map(|netns| format!(" in namespace {netns}"));
            self.line(&format!("  {name}{}", of.unwrap_or_default()))?;
            for hook in &attached.hooks {
                self.wrapped("    ", "      ", &told(hook))?;
            }
        }
        Ok(())
    }

    /// Text after a beginning, broken between words where the terminal ends. What the beginning has
    /// of colour takes no room.
    fn wrapped(&mut self, first: &str, indent: &str, text: &str) -> io::Result<()> {
        let Some(width) = self.look.width else {
            return self.line(&format!("{first}{text}"));
        };
        let mut line = first.to_owned();
        let mut used = columns(first);
        let mut is_empty = true;
        for word in text.split(' ') {
            let len = columns(word);
            if !is_empty && used + 1 + len > width {
                self.line(&line)?;
                (line, used, is_empty) = (indent.to_owned(), columns(indent), true);
            }
            if !is_empty {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            (used, is_empty) = (used + len, false);
        }
        self.line(&line)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.look.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn told(hook: &HookRecord) -> String {
    let what = match hook.hook {
        "xdp_ingress" => "XDP on ingress",
        "tc_egress" => "TC on egress",
        _ => "TC on ingress",
    };
    format!("{what} ({}): {}", hook.way, hook.why)
}

/// Columns that a text takes, without its colours.
fn columns(text: &str) -> usize {
    let mut columns = 0;
    let mut is_colour = false;
    for char in text.chars() {
        match char {
            '\x1b' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            _ => columns += 1,
        }
    }
    columns
}
