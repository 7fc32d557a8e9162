//! All settings of a call, and the call that they come to.

use std::ffi::OsString;
use std::path::Path;

use capture_agent::output::aside;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command};

use super::catalogue::{Kind, option, options};
use super::{Setting, Source, arguments, environment, file, named_file};

/// A call with all that adds to it.
pub(crate) struct Resolved {
    /// What the parser makes of it.
    pub(crate) matches: ArgMatches,
    /// What is set, by something else than its default.
    pub(super) settings: Vec<Setting>,
}

/// Adds to a call what a file and the environment say.
pub(crate) fn resolve(command: &Command, call: &[OsString]) -> Result<Resolved, clap::Error> {
    resolve_by(command, command, call, None)
}

/// The same for a call that is not made: it need not name what it would work on. `outer` is a file
/// that was named outside of the call.
pub(super) fn resolve_shown(
    command: &Command,
    call: &[OsString],
    outer: Option<&Path>,
) -> Result<Resolved, clap::Error> {
    resolve_by(command, &arguments::optional(command), call, outer)
}

fn resolve_by(
    command: &Command,
    parser: &Command,
    call: &[OsString],
    outer: Option<&Path>,
) -> Result<Resolved, clap::Error> {
    let given = arguments::parse(command, call)?;
    let called = given.subcommand();
    let called = called.and_then(|(name, of)| Some((arguments::called(command, name)?, of)));
    let Some((called, of_called)) = called else {
        let matches = command.clone().try_get_matches_from(call)?;
        return Ok(Resolved { matches, settings: Vec::new() });
    };
    let file = named_file(of_called, outer);
    let mut settings = match &file {
        Some(file) => file::settings(file, command, called.get_name())?,
        None => Vec::new(),
    };
    settings.extend(environment::settings(called)?);
    settings.extend(arguments::settings(called, of_called));
    let settings = strongest(called, settings);

    let mut whole: Vec<OsString> = call.iter().take(1).cloned().collect();
    whole.push(called.get_name().into());
    for setting in &settings {
        if let Some(arg) = option(called, &setting.name) {
            whole.extend(arguments::spelt(&Kind::of(arg), setting));
        }
    }
    whole.push("--".into());
    for arg in called.get_positionals() {
        whole
            .extend(of_called.get_raw(arg.get_id().as_str()).into_iter().flatten().map(Into::into));
    }
    for unknown in environment::unknown(command) {
        aside::say(format_args!("capture-agent: {unknown}"));
    }
    let matches =
        parser.clone().try_get_matches_from(&whole).map_err(|error| explained(error, &settings))?;
    Ok(Resolved { matches, settings })
}

/// For each option what the strongest source says, and nothing that goes against what a stronger one
/// says of another option.
fn strongest(command: &Command, settings: Vec<Setting>) -> Vec<Setting> {
    let mut kept: Vec<Setting> = Vec::new();
    for (name, arg) in options(command) {
        let of_name = settings.iter().filter(|setting| setting.name == name);
        let Some(setting) = of_name.max_by_key(|setting| setting.source.strength()) else {
            continue;
        };
        let yields = settings.iter().any(|other| {
            other.source.strength() > setting.source.strength()
                && is_set(other)
                && option(command, &other.name).is_some_and(|other| conflict(command, arg, other))
        });
        if !yields {
            kept.push(setting.clone());
        }
    }
    kept
}

/// Whether a setting is more than the word that there is none.
fn is_set(setting: &Setting) -> bool {
    !matches!(setting.values.as_slice(), [] | [_]) || {
        setting.values.first().is_some_and(|value| value != "false" && value != "0")
    }
}

/// Whether two options can't be given together.
fn conflict(command: &Command, one: &Arg, other: &Arg) -> bool {
    let names = |one: &Arg, other: &Arg| {
        let against = command.get_arg_conflicts_with(one);
        against.iter().any(|against| against.get_id() == other.get_id())
    };
    let excludes = command.get_groups().cloned().any(|mut group| {
        let has = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
        has(one) && has(other) && !group.is_multiple()
    });
    one.get_id() != other.get_id() && (names(one, other) || names(other, one) || excludes)
}

impl Resolved {
    /// An error about the call, with what the arguments don't show of it.
    pub(crate) fn explain(&self, error: clap::Error) -> clap::Error {
        explained(error, &self.settings)
    }
}

fn explained(error: clap::Error, settings: &[Setting]) -> clap::Error {
    let text = error.render().to_string();
    // Where an option is missing that another one takes, only the usage names that one.
    let what = text.split("\n\nUsage:").next().unwrap_or_default();
    let misses_option = error.kind() == ErrorKind::MissingRequiredArgument && what.contains("--");
    let what = if misses_option { &text } else { what };
    let places: Vec<_> = settings
        .iter()
        .filter(|setting| setting.source < Source::Argument)
        .filter(|setting| names(what, &setting.name))
        .map(|setting| format!("  --{} is set by {}\n", setting.name, setting.source))
        .collect();
    if places.is_empty() || !error.use_stderr() {
        return error;
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    clap::Error::raw(error.kind(), format!("{text}\n\n{}", places.concat()))
}

/// Whether a message speaks of this option.
fn names(message: &str, option: &str) -> bool {
    let option = format!("--{option}");
    message.match_indices(&option).any(|(at, _)| {
        let rest = message.get(at + option.len()..).unwrap_or_default();
        !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-')
    })
}
