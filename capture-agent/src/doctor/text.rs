//! What was found, for people.

use std::fmt::Write as _;
use std::io::{self, Write};

use textwrap::{Options, WordSplitter};

use super::report::{AttachedRecord, Finding, HookRecord, InterfaceRecord, Report, Severity};
use crate::notation::escape::visible;
use crate::output::Screen;
use crate::output::style::{BOLD, CYAN, DIM, GREEN, RED, Style, YELLOW};
use crate::output::terminal::width;

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
pub fn write(report: &Report, screen: Screen, to: &mut impl Write) -> io::Result<()> {
    let host = &report.host;
    let cpus = if host.cpus == 1 { "CPU" } else { "CPUs" };
    let head = format!(
        "capture-agent {} on Linux {} ({}), {} {cpus}",
        host.agent, host.kernel, host.machine, host.cpus
    );
    let page = &mut Page { screen, to };
    page.wrapped(&[], "  ", &head)?;
    writeln!(page.to)?;
    page.heading("host", None)?;
    page.findings(report, None)?;
    for record in &report.interfaces {
        writeln!(page.to)?;
        page.heading(&place(&record.iface, record.netns.as_deref()), Some(&facts(record)))?;
        page.findings(report, Some(record))?;
    }
    writeln!(page.to)?;
    page.verdict(report)
}

fn place(iface: &str, netns: Option<&str>) -> String {
    netns.map_or_else(|| iface.to_owned(), |netns| format!("{iface} in namespace {netns}"))
}

/// An interface in some words.
fn facts(record: &InterfaceRecord) -> String {
    let mut facts = record.kind.clone().unwrap_or_else(|| record.frames.to_owned());
    if let Some(driver) = record.driver.as_deref().filter(|driver| *driver != facts) {
        let _ = write!(facts, ", driver {}", driver);
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
            let _ = write!(facts, ", {what} {}", other);
        }
    }
    if record.peer_elsewhere {
        facts.push_str(", other end in another namespace");
    }
    if !record.chosen {
        for program in &record.programs {
            let name = program.name.as_deref().or(program.filter.as_deref()).unwrap_or("a program");
            let _ = write!(facts, ", {} on {}", name, program.hook);
        }
    }
    facts
}

struct Page<'a, W> {
    screen: Screen,
    to: &'a mut W,
}

impl<W: Write> Page<'_, W> {
    fn heading(&mut self, name: &str, facts: Option<&str>) -> io::Result<()> {
        let first = (&*format!("{name}  "), Some(BOLD));
        self.wrapped(&[first], "  ", facts.unwrap_or_default())
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
            Severity::Ok => ("ok", GREEN),
            Severity::Note => ("note", CYAN),
            Severity::Unseen => ("unseen", DIM),
            Severity::Warning => ("warning", YELLOW),
            Severity::Fault => ("fault", RED),
        };
        let (word, check) = (format!("{word:SEVERITY$}"), finding.check);
        let is_narrow = self.screen.columns().is_some_and(|columns| columns < NARROW);
        let indent = if is_narrow { 2 } else { 2 + SEVERITY + 1 + CHECK + 1 };
        let indent = " ".repeat(indent);
        let styled = (&*word, Some(style));
        if is_narrow {
            self.wrapped(&[styled, (" ", None)], "  ", check)?;
            self.wrapped(&[(&indent, None)], &indent, &finding.found)?;
        } else {
            let check = format!(" {check:CHECK$} ");
            self.wrapped(&[("  ", None), styled, (&check, None)], &indent, &finding.found)?;
        }
        if let Some(means) = &finding.means {
            self.wrapped(&[(&indent, None)], &indent, means)?;
        }
        if let Some(advice) = &finding.advice {
            self.wrapped(&[(&indent, None), ("-> ", None)], &format!("{indent}   "), advice)?;
        }
        Ok(())
    }

    fn verdict(&mut self, report: &Report) -> io::Result<()> {
        let verdict = &report.verdict;
        if !verdict.works {
            for reason in &verdict.reasons {
                let first = [("`run` would not work:", Some(RED)), (" ", None)];
                self.wrapped(&first, "  ", reason)?;
            }
            return Ok(());
        }
        let first = ("`run` would work", Some(GREEN));
        if verdict.attached.is_empty() {
            return self.wrapped(&[first, (", ", None)], "  ", "and wait for an interface to come");
        }
        let warnings = report.findings.iter().filter(|it| it.severity == Severity::Warning).count();
        let beside = match warnings {
            0 => ":".to_owned(),
            1 => "; see the warning above:".to_owned(),
            _ => format!("; see the {warnings} warnings above:"),
        };
        self.wrapped(&[first], "", &beside)?;
        // Most often all are attached to in the same way.
        let mut rest: Vec<_> = verdict.attached.iter().collect();
        while let Some(first) = rest.first().copied() {
            let (alike, others) = rest.into_iter().partition(|it| it.hooks == first.hooks);
            rest = others;
            let alike: Vec<&AttachedRecord> = alike;
            let names: Vec<_> =
                alike.iter().map(|it| place(&it.iface, it.netns.as_deref())).collect();
            self.wrapped(&[("  ", None)], "  ", &names.join(", "))?;
            for hook in &first.hooks {
                self.wrapped(&[("    ", None)], "      ", &told(hook))?;
            }
        }
        Ok(())
    }

    /// Text after a beginning, broken between words where the terminal ends. Names of interfaces and
    /// what else others may choose can neither steer the terminal nor be more than it can show.
    fn wrapped(
        &mut self,
        first: &[(&str, Option<Style>)],
        indent: &str,
        text: &str,
    ) -> io::Result<()> {
        let visible = |text: &str| self.screen.shown(visible(text.as_bytes())).into_owned();
        let text = visible(text);
        let mut taken = 0;
        let shown = first.iter().map(|(text, style)| {
            let text = visible(text);
            taken += width(&text);
            style.map_or(text.clone(), |style| self.screen.styled(style, &text))
        });
        let mut shown: String = shown.collect();
        let Some(columns) = self.screen.columns() else {
            return writeln!(self.to, "{}", format!("{shown}{text}").trim_end());
        };
        let word = text.split(' ').next().map_or(0, width);
        if taken > indent.len() && taken + word > columns {
            writeln!(self.to, "{}", shown.trim_end())?;
            (shown, taken) = (indent.to_owned(), indent.len());
        }
        let room = " ".repeat(taken);
        let options = Options::new(columns.max(indent.len() + 4))
            .initial_indent(&room)
            .subsequent_indent(indent)
            .word_splitter(WordSplitter::NoHyphenation);
        for (n, line) in textwrap::wrap(&text, options).iter().enumerate() {
            let line = line.trim_end();
            match (n, line.get(room.len()..)) {
                (0, rest) => writeln!(
                    self.to,
                    "{}",
                    format!("{shown}{}", rest.unwrap_or_default()).trim_end()
                )?,
                _ => writeln!(self.to, "{line}")?,
            }
        }
        Ok(())
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
