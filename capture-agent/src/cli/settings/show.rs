//! `capture-agent config`: what holds for a call, and where each value comes from.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::catalogue::{Kind, Type, options};
use super::merge::{Resolved, resolve_shown};
use super::{Place, Source, arguments, environment, visible};

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ConfigFormat,
    /// The command to show it for, with its arguments, as it would be called [default: run]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    call: Vec<OsString>,
}

/// How settings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConfigFormat {
    /// A line an option, for people
    Text,
    /// An object a line, for programs
    Jsonl,
    /// A file for --config that says the same, with what each option is for
    Toml,
}

/// An option with what holds.
struct Row<'a> {
    name: &'a str,
    arg: &'a Arg,
    kind: Kind,
    values: Vec<OsString>,
    source: Source,
}

impl ConfigArgs {
    /// What holds. `outer` is a file that was named outside of the call.
    pub(crate) fn resolve(
        &self,
        command: &Command,
        outer: Option<&Path>,
    ) -> Result<Resolved, clap::Error> {
        let mut call = vec![OsString::from(command.get_name())];
        match self.call.as_slice() {
            [] => call.push("run".into()),
            given => call.extend(given.iter().cloned()),
        }
        resolve_shown(command, &call, outer)
    }

    /// Writes what holds to standard output.
    pub(crate) fn show(&self, command: &Command, resolved: &Resolved) -> io::Result<()> {
        let Some((name, matches)) = resolved.matches.subcommand() else { return Ok(()) };
        let Some(called) = arguments::called(command, name) else {
            let message = format!("'{name}' has no options that files or variables set\n");
            clap::Error::raw(ErrorKind::InvalidSubcommand, message).exit();
        };
        let rows = rows(called, matches, resolved);
        let shown = match self.format {
            ConfigFormat::Text => text(&rows),
            ConfigFormat::Jsonl => jsonl(name, &rows)?,
            ConfigFormat::Toml => toml(name, &rows),
        };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

fn rows<'a>(called: &'a Command, matches: &ArgMatches, resolved: &Resolved) -> Vec<Row<'a>> {
    let row = |(name, arg): (&'a str, &'a Arg)| {
        let kind = Kind::of(arg);
        let id = arg.get_id().as_str();
        let raw = || matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned).collect();
        let values = match kind {
            Kind::Flag => vec![matches.get_flag(id).to_string().into()],
            Kind::Count => vec![matches.get_count(id).to_string().into()],
            _ => raw(),
        };
        let setting = resolved.settings.iter().find(|setting| setting.name == name);
        let source = match setting {
            Some(setting) => setting.source.clone(),
            None => Source::Default,
        };
        Row { name, arg, kind, values, source }
    };
    options(called).map(row).collect()
}

fn text(rows: &[Row<'_>]) -> String {
    let shown = |row: &Row<'_>| match joined(&row.values) {
        unset if unset.is_empty() => "-".to_owned(),
        shown => visible(&shown),
    };
    let width = |text: &str| text.chars().count();
    let names = rows.iter().map(|row| width(row.name)).max().unwrap_or_default();
    let values = rows.iter().map(|row| width(&shown(row)).min(MAX_VALUE)).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let source = visible(&row.source.to_string());
        let _ = writeln!(text, "{:names$}  {:values$}  {source}", row.name, shown(row));
    }
    text
}

/// Widest value that others are lined up with.
const MAX_VALUE: usize = 30;

fn joined(values: &[OsString]) -> String {
    values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",")
}

/// A line of `--format jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    command: &'a str,
    name: &'a str,
    value: Value,
    source: &'static str,
    file: Option<String>,
    line: Option<usize>,
    variable: Option<&'a str>,
}

fn jsonl(command: &str, rows: &[Row<'_>]) -> io::Result<String> {
    let mut text = String::new();
    for row in rows {
        let (source, place, variable): (_, Option<&Place>, _) = match &row.source {
            Source::Default => ("default", None, None),
            Source::File(place) | Source::Section(place) => ("file", Some(place), None),
            Source::Environment(variable) => ("environment", None, Some(variable.as_str())),
            Source::Argument => ("argument", None, None),
        };
        let line = Line {
            r#type: "setting",
            command,
            name: row.name,
            value: value(row),
            source,
            file: place.map(|place| place.file.display().to_string()),
            line: place.map(|place| place.line),
            variable,
        };
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    Ok(text)
}

fn value(row: &Row<'_>) -> Value {
    let texts = row.values.iter().map(|value| value.to_string_lossy());
    let number = |text: &str| text.parse::<u64>().map_or_else(|_| text.into(), Value::from);
    let first = texts.clone().next();
    match (&row.kind, first) {
        (Kind::Many(_), _) => texts.map(|text| Value::from(text.as_ref())).collect(),
        (_, None) => Value::Null,
        (Kind::Flag, Some(text)) => (text == "true").into(),
        (Kind::Count | Kind::One(Type::Number), Some(text)) => number(&text),
        (Kind::One(Type::List), _) => joined(&row.values).into(),
        (_, Some(text)) => text.into(),
    }
}

/// A file that sets what something else than its default sets, and names the rest in comments.
fn toml(command: &str, rows: &[Row<'_>]) -> String {
    let mut text = format!(
        "# Settings of 'capture-agent {command}': for --config FILE, or {} in the environment.\n\
         # Lines that begin with '#' say what holds without them.\n\n[{command}]\n",
        environment::name(super::CONFIG)
    );
    for row in rows {
        let help = row.arg.get_help().map(ToString::to_string).unwrap_or_default();
        text.push('\n');
        for line in help.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let names: Vec<_> = row
            .arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set() && row.kind != Kind::Flag)
            .map(|value| value.get_name().to_owned())
            .collect();
        if !names.is_empty() {
            let _ = writeln!(text, "# One of: {}", names.join(", "));
        }
        let hash = if row.source == Source::Default { "#" } else { "" };
        let _ = writeln!(text, "{hash}{} = {}", row.name, written(row));
    }
    text
}

/// A value in TOML; for an option that is not set, what it would take.
fn written(row: &Row<'_>) -> String {
    use toml::Value;
    let of = |text: &OsString| {
        let text = text.to_string_lossy();
        match (&row.kind, text.parse::<u64>()) {
            // As it stands: what the library calls a number has a bit less.
            (Kind::Count | Kind::One(Type::Number) | Kind::Many(Type::Number), Ok(number)) => {
                number.to_string()
            }
            (Kind::Flag, _) => (text == "true").to_string(),
            (Kind::One(Type::List), _) => Value::from(joined(&row.values)).to_string(),
            _ => Value::from(text.as_ref()).to_string(),
        }
    };
    match (&row.kind, row.values.first()) {
        (Kind::Many(_), _) => {
            format!("[{}]", row.values.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        (Kind::Optional, None) => "false".to_owned(),
        (kind, None) => {
            let names = row.arg.get_value_names().unwrap_or_default();
            let name = names.first().map_or("VALUE", |name| name.as_str());
            if *kind == Kind::One(Type::Number) { name.to_owned() } else { format!("\"{name}\"") }
        }
        (_, Some(first)) => of(first),
    }
}
