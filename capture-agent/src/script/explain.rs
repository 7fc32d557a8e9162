//! Errors of Lua in a line for people: file, line, and what is wrong there.

use std::path::Path;

use mlua::Error;

use crate::notation::escape::visible_lines;

/// What lines of the prelude are told by; users shall not see them.
pub(super) const PRELUDE: &str = "agent";
/// Longest name that Lua shows whole.
const MAX_NAME_BYTES: usize = 59;

/// What a script's own lines are told by: its path, or as much of its end as Lua shows.
pub(super) fn chunk_name(path: &Path) -> String {
    let shown = path.display().to_string();
    if shown.len() <= MAX_NAME_BYTES {
        return shown;
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or(shown);
    name.chars().take(MAX_NAME_BYTES / 4).collect()
}

/// What is wrong, and where in the script of this name.
pub(super) fn explain(error: &Error, chunk: &str) -> String {
    let (text, traceback) = parts(error);
    let text = without_prelude(&text);
    let place =
        if text.starts_with(&format!("{chunk}:")) { None } else { place(&traceback, chunk) };
    let whole = match place {
        Some(place) => format!("{place}: {text}"),
        None if text.contains(chunk) => text.to_owned(),
        None => format!("{chunk}: {text}"),
    };
    // The script may have put into it what came from the network.
    visible_lines(whole.trim_end().as_bytes()).into_owned()
}

/// What is wrong, and the calls that led there.
fn parts(error: &Error) -> (String, String) {
    match error {
        Error::CallbackError { traceback, cause } => {
            let (text, inner) = parts(cause);
            (text, inner + traceback)
        }
        Error::RuntimeError(text) => match text.split_once("\nstack traceback:") {
            Some((text, traceback)) => (text.to_owned(), traceback.to_owned()),
            None => (text.clone(), String::new()),
        },
        Error::SyntaxError { message, .. } => (message.clone(), String::new()),
        Error::MemoryError(_) => {
            ("it takes more memory than it may have (--script-memory)".to_owned(), String::new())
        }
        other => (other.to_string(), String::new()),
    }
}

/// A message without the line of the prelude that it begins with.
fn without_prelude(text: &str) -> &str {
    let rest = text.strip_prefix(PRELUDE).and_then(|rest| rest.strip_prefix(':'));
    let rest = rest.map(|rest| rest.trim_start_matches(|char: char| char.is_ascii_digit()));
    rest.and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text)
}

/// The first line of the script among the calls.
fn place(traceback: &str, chunk: &str) -> Option<String> {
    traceback.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(chunk)?.strip_prefix(':')?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then(|| format!("{chunk}:{digits}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_script_s_own_line() {
        let own = Error::RuntimeError("x.lua:3: no\nstack traceback:\n\t[C]: in ?".to_owned());
        assert_eq!(explain(&own, "x.lua"), "x.lua:3: no");
        let called = "agent:7: bad argument #1 to 'rep'\nstack traceback:\n\t[C]: in function 'rep'\n\
                      \tagent:7: in function <agent:5>\n\tx.lua:12: in function 'exchange'";
        let called = Error::RuntimeError(called.to_owned());
        assert_eq!(explain(&called, "x.lua"), "x.lua:12: bad argument #1 to 'rep'");
        let nowhere = Error::RuntimeError("no \x1b[31m".to_owned());
        assert_eq!(explain(&nowhere, "x.lua"), "x.lua: no \\x1b[31m");
    }
}
