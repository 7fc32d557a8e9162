//! The call: what of it was given as arguments, and the whole of it put together anew.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, OsStringValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::help;

use super::catalogue::{Kind, commands, options};
use super::{CONFIG, Setting, Source, UNSET};

/// The call as it was given: nothing need be there that a file may bring, and what may be given
/// without a value may be turned off, as in `--quiet=false`, for a file may have turned it on.
pub(super) fn parse(command: &Command, call: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let relaxed = command.clone().mut_subcommands(relaxed);
    match relaxed.clone().try_get_matches_from(call) {
        // What is missing may come from elsewhere; if not, the whole call is refused.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            let relaxed = relaxed.mut_subcommands(|command| command.ignore_errors(true));
            relaxed.ignore_errors(true).try_get_matches_from(call)
        }
        // In the words for the call as it is described.
        Err(error) => {
            let exact = help::for_screen(command, call).try_get_matches_from(call).err();
            Err(exact.filter(|exact| exact.kind() == error.kind()).unwrap_or(error))
        }
        matches => matches,
    }
}

/// The same with nothing required, for a call that is looked at and not made.
pub(super) fn optional(command: &Command) -> Command {
    command.clone().mut_subcommands(|command| {
        if UNSET.contains(&command.get_name()) {
            return command;
        }
        unrequired(command).mut_args(|arg| arg.required(false))
    })
}

/// The file that the arguments name.
pub(super) fn config(matches: &ArgMatches) -> Option<&Path> {
    matches.try_get_one::<PathBuf>(CONFIG).ok().flatten().map(PathBuf::as_path)
}

fn relaxed(command: Command) -> Command {
    if UNSET.contains(&command.get_name()) {
        return command;
    }
    unrequired(command).mut_args(|arg| match Kind::of(&arg) {
        Kind::Flag if matches!(arg.get_action(), ArgAction::SetTrue) => flag(arg),
        // Any value: the parser that is asked in the end knows what is one.
        Kind::Optional => arg.value_parser(OsStringValueParser::new()),
        _ => arg.required(false),
    })
}

fn unrequired(command: Command) -> Command {
    let groups: Vec<_> = command.get_groups().map(|group| group.get_id().clone()).collect();
    groups
        .into_iter()
        .fold(command, |command, id| command.mut_group(id, |group| group.required(false)))
}

fn flag(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("BOOL")
        .default_value("false")
        .default_missing_value("true")
        .value_parser(BoolishValueParser::new())
}

/// What the arguments set. `command` is the one that was called, as it is described.
pub(super) fn settings(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    let given = |(_, arg): &(&str, &Arg)| {
        matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let setting = |(name, arg): (&str, &Arg)| {
        let id = arg.get_id().as_str();
        let raw = || matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned).collect();
        let values = match Kind::of(arg) {
            Kind::Flag => vec![matches.get_flag(id).to_string().into()],
            Kind::Count => vec![matches.get_count(id).to_string().into()],
            _ => raw(),
        };
        Setting { name: name.to_owned(), values, source: Source::Argument }
    };
    options(command).filter(given).map(setting).collect()
}

/// A setting as arguments.
pub(super) fn spelt(kind: &Kind, setting: &Setting) -> Vec<OsString> {
    let option: OsString = format!("--{}", setting.name).into();
    let of = |value: &OsString| {
        let mut option = option.clone();
        option.push("=");
        option.push(value);
        option
    };
    let first = setting.values.first();
    let is = |text: &str| first.is_some_and(|value| value == text);
    match kind {
        Kind::Flag | Kind::Optional if is("true") => vec![option],
        Kind::Flag | Kind::Optional if is("false") => Vec::new(),
        Kind::Count => {
            let times = first.and_then(|value| value.to_str()?.parse::<u8>().ok());
            vec![option; times.unwrap_or_default().into()]
        }
        _ => setting.values.iter().map(of).collect(),
    }
}

/// Whether the option of a command takes these values, by itself.
pub(super) fn check(
    command: &Command,
    name: &str,
    kind: &Kind,
    values: &[OsString],
) -> Result<(), String> {
    if *kind == Kind::Count {
        let number = values.first().and_then(|value| value.to_str()?.parse::<u8>().ok());
        return number.map(drop).ok_or_else(|| format!("--{name} takes a number from 0 to 255"));
    }
    let setting =
        Setting { name: name.to_owned(), values: values.to_vec(), source: Source::Default };
    let call = [OsString::from("capture-agent")].into_iter().chain(spelt(kind, &setting));
    let error = command.clone().try_get_matches_from(call).err();
    match error {
        Some(error) if is_of_value(error.kind()) => Err(said(&error)),
        _ => Ok(()),
    }
}

/// Whether an error is one of a value by itself, not of what goes with what.
const fn is_of_value(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
            | ErrorKind::InvalidUtf8
            | ErrorKind::TooManyValues
            | ErrorKind::TooFewValues
            | ErrorKind::WrongNumberOfValues
            | ErrorKind::NoEquals
    )
}

/// What an error says, without its frame.
fn said(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    text.split("\n\nUsage:").next().unwrap_or(text).trim_end().to_owned()
}

/// The command of this name among those whose options can be set.
pub(super) fn called<'a>(command: &'a Command, name: &str) -> Option<&'a Command> {
    commands(command).find(|command| command.get_name() == name)
}
