//! Programs that read a capture file, and what that takes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::measure::{Cost, Stdout, cost, median};

pub(super) const WALL: fn(&Cost) -> Duration = |cost| cost.wall;
pub(super) const CPU: fn(&Cost) -> Duration = |cost| cost.cpu;
/// The agent that is measured, in the words of a reader.
pub(super) const OURS: &str = "capture-agent";
const MIB: f64 = 1_048_576.0;

/// One that reads the capture. In its words, `FILE` is the capture, `OUT` the beginning of the name
/// of a file to write, and `DIR` a folder.
pub(super) struct Reader {
    pub(super) name: &'static str,
    pub(super) words: Vec<&'static str>,
    /// Whether what it has to say goes to standard output.
    pub(super) speaks: bool,
    pub(super) rounds: u32,
    pub(super) costs: Vec<Cost>,
}

impl Reader {
    pub(super) fn is_ours(&self) -> bool {
        self.words.first() == Some(&OURS)
    }

    pub(super) fn run(&self, agent: &Path, capture: &Path, folder: &Path) -> Result<Cost> {
        let said = folder.join("said");
        let (capture, out) = (capture.display().to_string(), folder.join("out"));
        let mut words = self.words.iter().map(|word| match *word {
            OURS => agent.display().to_string(),
            "DIR" => folder.join("bodies").display().to_string(),
            word => word.replace("FILE", &capture).replace("OUT", &out.display().to_string()),
        });
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        cost(&mut command, &if self.speaks { Stdout::File(said) } else { Stdout::Nowhere })
    }

    pub(super) fn line(&self) -> String {
        let redirect = if self.speaks { " > SAID" } else { "" };
        let quoted = |word: &&str| match word.contains([' ', '(']) {
            true => format!("'{}'", word.replace('|', "\\|")),
            false => word.to_string(),
        };
        let words: Vec<_> = self.words.iter().map(quoted).collect();
        format!("`{}{redirect}`", words.join(" "))
    }

    pub(super) fn wall(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.wall.as_secs_f64()))
    }

    pub(super) fn cpu(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.cpu.as_secs_f64()))
    }

    pub(super) fn resident_mib(&self) -> f64 {
        self.costs.iter().map(|cost| cost.resident_bytes as f64 / MIB).fold(0.0, f64::max)
    }

    /// How many times as much it took as another, in the rounds of both.
    pub(super) fn times(&self, other: &Self, what: fn(&Cost) -> Duration) -> f64 {
        let pairs = self.costs.iter().zip(&other.costs);
        median(pairs.map(|(own, other)| what(own).as_secs_f64() / what(other).as_secs_f64()))
    }
}

/// Nothing is in it then, so that nobody pays for the room of another's.
pub(super) fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir(folder)?)
}
