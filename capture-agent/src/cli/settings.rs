//! Options from a file and from the environment, as if they had been given as arguments.
//!
//! What the arguments don't set, variables do; what they don't set, the section of the command in
//! the file does, then the top of the file; the rest stands as the option itself has it. All that is
//! put together to one call, which goes through the parser like any other: so an option is held to
//! the same rules wherever it comes from.

mod arguments;
mod catalogue;
mod environment;
mod file;
mod merge;
mod show;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use clap::error::ErrorKind;

pub(super) use merge::resolve;
pub(crate) use show::ConfigArgs;

/// Begins the name of each variable.
const PREFIX: &str = "CAPTURE_AGENT_";
/// The option that names the file; a file names no other.
const CONFIG: &str = "config";
/// Commands that take nothing from files and variables.
const UNSET: [&str; 4] = ["config", "completions", "man", "help"];

/// Where a value comes from, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The option itself.
    Default,
    /// The top of the file.
    File(Place),
    /// The section of the command.
    Section(Place),
    /// A variable, by name.
    Environment(String),
    /// An argument.
    Argument,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: Arc<Path>,
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) | Self::Section(place) => place.fmt(f),
            Self::Environment(variable) => f.write_str(variable),
            Self::Argument => f.write_str("argument"),
        }
    }
}

impl Source {
    /// Which of two strengths it has; of one strength are what one person wrote at one time.
    const fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Section(_) => 2,
            Self::Environment(_) => 3,
            Self::Argument => 4,
        }
    }
}

/// An option that something other than its default sets.
#[derive(Clone, Debug)]
struct Setting {
    /// Its long name.
    name: String,
    /// What `catalogue::Kind` says: none to leave it unset.
    values: Vec<OsString>,
    source: Source,
}

/// What is wrong with files and variables, all of it at once.
fn refused(problems: &[String]) -> clap::Error {
    let lines = problems.iter().map(|problem| problem.split('\n').map(visible).collect::<Vec<_>>());
    let message = lines.map(|lines| lines.join("\n")).collect::<Vec<_>>().join("\n       ");
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n"))
}

/// Text that neither steers a terminal nor turns its writing round.
fn visible(text: &str) -> String {
    let is_steering = |char: char| {
        char.is_control()
            || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}')
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let escaped = |char: char| match is_steering(char) {
        true => char.escape_default().to_string(),
        false => char.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// The file that holds settings, if one is named.
fn named_file(matches: &ArgMatches, outer: Option<&Path>) -> Option<PathBuf> {
    let variable = || environment::variable(CONFIG).map(PathBuf::from);
    arguments::config(matches).or(outer).map(Path::to_owned).or_else(variable)
}

/// The name that was meant, of those that there are.
fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |known: &str| strsim::jaro_winkler(name, known);
    let (alike, nearest) = known
        .into_iter()
        .map(|known| (alike(known), known))
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (alike > 0.8).then_some(nearest)
}
