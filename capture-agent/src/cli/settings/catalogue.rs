//! Which options there are to set, and what each takes, told by clap's own description of them.

use std::any::TypeId;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

use super::{CONFIG, UNSET};

/// What an option takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// How often it would be given.
    Count,
    /// A value, or `true` where it may be given without one, or `false`.
    Optional,
    /// A value of this type.
    One(Type),
    /// Any number of values.
    Many(Type),
}

/// What kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A number and nothing else.
    Number,
    /// Text: paths and the like.
    Text,
    /// Values between commas.
    List,
    /// What is written as text or as a number: sizes, times.
    Either,
}

/// The commands whose options can be set, built.
pub(super) fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !UNSET.contains(&command.get_name()))
}

/// The options of a command that can be set, with their long names.
pub(super) fn options(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command.get_opts().filter_map(|arg| {
        let is_settable = !matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        let name = arg.get_long().filter(|name| is_settable && *name != CONFIG)?;
        Some((name, arg))
    })
}

/// The option of this name.
pub(super) fn option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    options(command).find(|(known, _)| *known == name).map(|(_, arg)| arg)
}

impl Kind {
    /// What an option takes.
    pub(super) fn of(arg: &Arg) -> Self {
        match arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse => return Self::Flag,
            ArgAction::Count => return Self::Count,
            _ => {}
        }
        if arg.get_num_args().is_some_and(|range| range.min_values() == 0) {
            return Self::Optional;
        }
        match arg.get_action() {
            ArgAction::Append => Self::Many(Type::of(arg)),
            _ => Self::One(Type::of(arg)),
        }
    }
}

impl Type {
    fn of(arg: &Arg) -> Self {
        let parsed = arg.get_value_parser().type_id();
        let numbers = [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
        ];
        let names = arg.get_value_names().unwrap_or_default();
        if numbers.iter().any(|number| parsed == *number) {
            Self::Number
        } else if parsed == TypeId::of::<PathBuf>() || parsed == TypeId::of::<String>() {
            Self::Text
        } else if names.first().is_some_and(|name| name.as_str() == "LIST") {
            Self::List
        } else {
            Self::Either
        }
    }
}
