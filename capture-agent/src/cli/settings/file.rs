//! The file: TOML, whose keys are the long names of options; a table named as a command is for that
//! command alone.
//!
//! All of it is checked, whichever command is called: a service shall not find out on the day that
//! it is started anew.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use clap::Command;
use clap::error::ErrorKind;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::catalogue::{Kind, Type, commands, option, options};
use super::{Place, Setting, Source, arguments, meant, refused};

/// Largest file: none that a person wrote comes near it, and the wrong one is not read to its end.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What the file sets for the command of this name.
pub(super) fn settings(
    path: &Path,
    command: &Command,
    called: &str,
) -> Result<Vec<Setting>, clap::Error> {
    let text = text(path)?;
    let mut reading = Reading {
        file: path.into(),
        text: &text,
        command,
        called,
        settings: Vec::new(),
        problems: Vec::new(),
    };
    match DeTable::parse(&text) {
        Ok(table) => reading.top(table.get_ref()),
        Err(error) => {
            let span = error.span().unwrap_or_default();
            reading.problem(&span, error.message());
        }
    }
    if reading.problems.is_empty() { Ok(reading.settings) } else { Err(refused(&reading.problems)) }
}

fn text(path: &Path) -> Result<String, clap::Error> {
    let wrong = |why: String| {
        let message = format!("{}: {why}\n", path.display());
        clap::Error::raw(ErrorKind::Io, message)
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!("can't read this file of settings: {error}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(wrong("too large for a file of settings (1 MiB)".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let whole = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = whole.unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("line {line} is not UTF-8, as TOML has to be"))
    })
}

/// A file that is being read.
struct Reading<'a> {
    file: Arc<Path>,
    text: &'a str,
    command: &'a Command,
    called: &'a str,
    settings: Vec<Setting>,
    problems: Vec<String>,
}

impl Reading<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
        Place { file: Arc::clone(&self.file), line, column }
    }

    fn problem(&mut self, span: &Range<usize>, what: &str) {
        let place = self.place(span);
        self.problems.push(format!("{place}:{}: {what}", place.column));
    }

    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            let section = commands(self.command).find(|command| command.get_name() == name);
            match (section, value.get_ref()) {
                (Some(section), DeValue::Table(table)) => self.section(section, table),
                (Some(_), other) => {
                    let message = format!(
                        "[{name}] is a table, for the options of '{name}' alone; this is {}",
                        type_name(other)
                    );
                    self.problem(&value.span(), &message);
                }
                (None, _) => self.common(key, value),
            }
        }
    }

    fn section(&mut self, section: &Command, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            let Some(kind) = option(section, name).map(Kind::of) else {
                let message = self.unknown(name, Some(section));
                self.problem(&key.span(), &message);
                continue;
            };
            let read = values(&kind, value)
                .map_err(|(span, why)| (span, format!("{name}: {why}")))
                .and_then(|values| {
                    arguments::check(section, name, &kind, &values)
                        .map_err(|why| (value.span(), why))?;
                    Ok(values)
                });
            match read {
                Err((span, why)) => self.problem(&span, &why),
                Ok(values) if section.get_name() == self.called => {
                    let source = Source::Section(self.place(&key.span()));
                    self.settings.push(Setting { name: name.to_owned(), values, source });
                }
                Ok(_) => {}
            }
        }
    }

    /// What stands at the top is for each command that has the option: it has to be right for one
    /// of them at least, and for the one that is called.
    fn common(&mut self, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        let mut right = Vec::new();
        let mut wrong = Vec::new();
        for command in commands(self.command) {
            let Some(kind) = option(command, name).map(Kind::of) else { continue };
            let read = values(&kind, value)
                .map_err(|(span, why)| (span, format!("{name}: {why}")))
                .and_then(|values| {
                    arguments::check(command, name, &kind, &values)
                        .map_err(|why| (value.span(), why))?;
                    Ok(values)
                });
            match read {
                Ok(values) => right.push((command.get_name(), values)),
                Err(why) => wrong.push((command.get_name(), why)),
            }
        }
        if let Some((_, values)) = right.iter().find(|(name, _)| *name == self.called) {
            let source = Source::File(self.place(&key.span()));
            let values = values.clone();
            self.settings.push(Setting { name: name.to_owned(), values, source });
            return;
        }
        let refusal = wrong.iter().find(|(name, _)| *name == self.called);
        let of_others: Vec<_> = right.iter().map(|(name, _)| format!("[{name}]")).collect();
        match (refusal, right.is_empty()) {
            (Some((_, (span, why))), false) => {
                let message = format!(
                    "'{}' does not take this, so put it into {}: {why}",
                    self.called,
                    of_others.join(" or ")
                );
                self.problem(&span.clone(), &message);
            }
            (None, false) => {}
            (refusal, true) => match refusal.or_else(|| wrong.first()) {
                Some((_, (span, why))) => self.problem(&span.clone(), &why.clone()),
                None => {
                    let message = self.unknown(name, None);
                    self.problem(&key.span(), &message);
                }
            },
        }
    }

    /// What is said of a key that is no option, of this command or at all.
    fn unknown(&self, name: &str, section: Option<&Command>) -> String {
        let shown = name.escape_debug();
        if name == super::CONFIG {
            return format!("'{shown}' has no place here: a file names no other file of settings");
        }
        let of_others: Vec<_> = commands(self.command)
            .filter(|command| option(command, name).is_some())
            .map(|command| format!("[{}]", command.get_name()))
            .collect();
        if let Some(section) = section
            && !of_others.is_empty()
        {
            let section = section.get_name();
            return format!(
                "unknown key '{shown}': '{section}' has no such option; it belongs into {}",
                of_others.join(" or ")
            );
        }
        let all = commands(self.command)
            .filter(|command| section.is_none_or(|only| only.get_name() == command.get_name()))
            .flat_map(|command| {
                let own = section.is_none().then_some(command.get_name());
                options(command).map(|(name, _)| name).chain(own)
            });
        match meant(name, all) {
            Some(meant) => format!("unknown key '{shown}': did you mean '{meant}'?"),
            None => format!("unknown key '{shown}': keys are the long names of options"),
        }
    }
}

/// The keys of a table as they stand in the file.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> impl Iterator<Item = (&'t Spanned<toml::de::DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    keys.into_iter()
}

type Wrong = (Range<usize>, String);

/// The values that an option of this kind takes from a value of the file.
fn values(kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<Vec<std::ffi::OsString>, Wrong> {
    let wrong = |wants: &str| {
        let message = format!("takes {wants}; this is {}", type_name(value.get_ref()));
        Err((value.span(), message))
    };
    let text = match (kind, value.get_ref()) {
        (Kind::Flag | Kind::Optional, DeValue::Boolean(is_set)) => is_set.to_string(),
        (Kind::Flag, _) => return wrong("true or false"),
        (Kind::Count, DeValue::Integer(_)) => one(Type::Number, value)?,
        (Kind::Count, _) => return wrong("a number: how often the option would be given"),
        (Kind::Optional, DeValue::Array(_)) => return wrong("a value, true or false"),
        (Kind::Optional, _) => one(Type::Either, value)?,
        (Kind::Many(of), DeValue::Array(array)) => {
            return array.iter().map(|value| Ok(one(*of, value)?.into())).collect();
        }
        (Kind::One(Type::List), DeValue::Array(array)) => {
            let items = array.iter().map(|value| one(Type::Either, value));
            items.collect::<Result<Vec<_>, _>>()?.join(",")
        }
        (Kind::One(_), DeValue::Array(_)) => return wrong("one value"),
        (Kind::One(of) | Kind::Many(of), _) => one(*of, value)?,
    };
    Ok(vec![text.into()])
}

/// One value as it would be given as an argument.
fn one(of: Type, value: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
    let text = match (of, value.get_ref()) {
        (Type::Text | Type::List | Type::Either, DeValue::String(text)) => Some(text.to_string()),
        (Type::Number | Type::List | Type::Either, DeValue::Integer(number)) => {
            // In decimal, as arguments are; what does not fit here is too large for any option, which
            // says so of the digits as they stand.
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            Some(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()))
        }
        (Type::Either, DeValue::Float(number)) => Some(number.as_str().to_owned()),
        _ => None,
    };
    text.ok_or_else(|| {
        let wants = match of {
            Type::Number => "a number",
            Type::Text => "text in quotes",
            Type::List => "text in quotes, a number, or a list of these",
            Type::Either => "text in quotes or a number",
        };
        (value.span(), format!("takes {wants}; this is {}", type_name(value.get_ref())))
    })
}

const fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
