//! Variables: `CAPTURE_AGENT_FLOW_TIMEOUT` is `--flow-timeout`. One that is empty counts as not set.
//! Lists are between commas, for options too that are given several times as arguments.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::Command;

use super::catalogue::{Kind, commands, options};
use super::{CONFIG, PREFIX, Setting, Source, arguments, meant, refused};

/// The variable of an option.
pub(super) fn name(option: &str) -> String {
    format!("{PREFIX}{}", option.to_ascii_uppercase().replace('-', "_"))
}

/// What the variable of an option says.
pub(super) fn variable(option: &str) -> Option<OsString> {
    std::env::var_os(name(option)).filter(|value| !value.is_empty())
}

/// What variables set for a command.
pub(super) fn settings(command: &Command) -> Result<Vec<Setting>, clap::Error> {
    let mut settings = Vec::new();
    let mut problems = Vec::new();
    for (option, arg) in options(command) {
        let Some(value) = variable(option) else { continue };
        let kind = Kind::of(arg);
        let read = values(&kind, value).and_then(|values| {
            arguments::check(command, option, &kind, &values)?;
            Ok(values)
        });
        let variable = name(option);
        match read {
            Ok(values) => {
                let source = Source::Environment(variable);
                settings.push(Setting { name: option.to_owned(), values, source });
            }
            Err(why) => problems.push(format!("{variable}: {why}")),
        }
    }
    if problems.is_empty() { Ok(settings) } else { Err(refused(&problems)) }
}

/// The values that an option of this kind takes from a variable.
fn values(kind: &Kind, value: OsString) -> Result<Vec<OsString>, String> {
    match kind {
        Kind::Flag => match truth(&value) {
            Some(is_set) => Ok(vec![is_set.to_string().into()]),
            None => Err(format!("takes true or false, not '{}'", value.display())),
        },
        Kind::Optional => Ok(vec![word(&value).map_or(value, |is_set| is_set.to_string().into())]),
        Kind::Count | Kind::One(_) => Ok(vec![value]),
        Kind::Many(_) => {
            let items = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let items = items.filter(|item| !item.is_empty());
            Ok(items.map(|item| OsString::from_vec(item.to_vec())).collect())
        }
    }
}

/// The words for yes and no; numbers aside, which may be values.
fn word(value: &OsStr) -> Option<bool> {
    match value.to_ascii_lowercase().to_str()? {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn truth(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "1" => Some(true),
        "0" => Some(false),
        _ => word(value),
    }
}

/// What is said of variables whose names are all but those of options. Others may be anything: an
/// orchestrator makes some of the name of a service.
pub(super) fn unknown(command: &Command) -> Vec<String> {
    let mut known: Vec<_> = commands(command)
        .flat_map(|command| options(command).map(|(option, _)| name(option)))
        .collect();
    known.push(name(CONFIG));
    let mut unknown: Vec<_> = std::env::vars_os()
        .filter_map(|(variable, _)| {
            let variable = variable.into_string().ok()?;
            let option = variable.strip_prefix(PREFIX)?;
            if known.contains(&variable) {
                return None;
            }
            let known = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            let meant =
                meant(option, known).filter(|meant| strsim::levenshtein(meant, option) <= 2);
            let shown = variable.escape_debug();
            Some(format!("{shown} is not known and changes nothing: {PREFIX}{} is", meant?))
        })
        .collect();
    unknown.sort();
    unknown
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::Type;
    use super::*;

    #[test]
    fn a_variable_is_named_as_its_option() {
        assert_eq!(name("flow-timeout"), "CAPTURE_AGENT_FLOW_TIMEOUT");
    }

    #[test]
    fn values_are_read_as_the_option_takes_them() {
        let values = |kind: Kind, text: &str| {
            let values = values(&kind, text.into())?;
            Ok(values.into_iter().map(|value| value.into_string().unwrap()).collect())
        };
        let is = |values: &[&str]| Ok(values.iter().map(|text| text.to_string()).collect());
        let many = || Kind::Many(Type::Either);
        let cases = [
            (Kind::Flag, "1", is(&["true"])),
            (Kind::Flag, "OFF", is(&["false"])),
            (Kind::Optional, "yes", is(&["true"])),
            (Kind::Optional, "1", is(&["1"])),
            (Kind::Count, "2", is(&["2"])),
            (Kind::One(Type::Either), "a,b", is(&["a,b"])),
            (many(), "eth0, lo,", is(&["eth0", "lo"])),
        ];
        for (kind, text, expected) in cases {
            let read: Result<Vec<String>, String> = values(kind.clone(), text);
            assert_eq!(read, expected, "{kind:?} {text}");
        }
        let read: Result<Vec<String>, String> = values(Kind::Flag, "maybe");
        assert!(read.unwrap_err().contains("true or false, not 'maybe'"));
    }
}
