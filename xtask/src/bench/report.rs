//! What a benchmark says: Markdown, printed and kept as `docs/bench/NAME.md`.
//!
//! What somebody wrote about the figures, from the heading below on, stays when they are taken anew.

use std::fmt::Display;
use std::fs;

use anyhow::{Context as _, Result};

use super::{Facts, interrupt};
use crate::tool::workspace;

/// What stands under this heading is not the benchmark's.
const REMARKS: &str = "\n## What it means\n";

pub(super) struct Report {
    name: &'static str,
    text: String,
}

impl Report {
    /// Opens with what is measured and under which conditions.
    pub(super) fn new(name: &'static str, title: &str, facts: &Facts) -> Self {
        let mut text = format!("# {title}\n\n");
        for (fact, value) in facts {
            text.push_str(&format!("- {fact}: {}\n", value.trim()));
        }
        Self { name, text }
    }

    pub(super) fn paragraph(&mut self, words: impl Display) {
        self.text.push_str(&format!("\n{words}\n"));
    }

    pub(super) fn heading(&mut self, title: &str) {
        self.text.push_str(&format!("\n## {title}\n"));
    }

    pub(super) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let head: Vec<String> = head.iter().map(ToString::to_string).collect();
        self.text.push('\n');
        self.text.push_str(&line(&head));
        self.text.push_str(&format!("|{}\n", "---|".repeat(head.len())));
        for row in rows {
            self.text.push_str(&line(row));
        }
    }

    /// Figures beside what they must be.
    pub(super) fn bars(&mut self, bars: &[Bar]) {
        let rows: Vec<_> = bars.iter().map(Bar::row).collect();
        self.table(&["promised", "figure", "bar", "met"], &rows);
    }

    /// Prints it; keeps it where it belongs if `keep`.
    pub(super) fn end(self, keep: bool) -> Result<()> {
        interrupt::check()?;
        print!("{}", self.text);
        if !keep {
            return Ok(());
        }
        let path = workspace().join("docs/bench").join(self.name).with_extension("md");
        let old = fs::read_to_string(&path).unwrap_or_default();
        let remarks = old.find(REMARKS).and_then(|at| old.get(at..)).unwrap_or_default();
        fs::write(&path, self.text + remarks)
            .with_context(|| format!("can't write {}", path.display()))?;
        println!("\nkept as {}", path.display());
        Ok(())
    }
}

/// A figure and its bar.
pub(super) struct Bar {
    what: String,
    figure: String,
    bar: String,
    met: bool,
}

impl Bar {
    pub(super) fn at_most(what: impl Into<String>, figure: f64, most: f64, unit: &str) -> Self {
        Self::new(what.into(), figure, format!("at most {most}{unit}"), figure <= most, unit)
    }

    pub(super) fn at_least(what: impl Into<String>, figure: f64, least: f64, unit: &str) -> Self {
        Self::new(what.into(), figure, format!("at least {least}{unit}"), figure >= least, unit)
    }

    fn new(what: String, figure: f64, bar: String, met: bool, unit: &str) -> Self {
        Self { what, figure: format!("**{}{unit}**", digits(figure)), bar, met }
    }

    fn row(&self) -> Vec<String> {
        let met = if self.met { "yes" } else { "**no**" };
        vec![self.what.clone(), self.figure.clone(), self.bar.clone(), met.to_owned()]
    }
}

/// Three digits that say something.
pub(super) fn digits(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}
