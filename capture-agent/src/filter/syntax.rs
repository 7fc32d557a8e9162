//! From text to a tree, by the parser of crate `cel`; what it refuses, in plain words.
//!
//! Invariant: the parser is given nothing that it runs out of stack on. It takes some hundred KiB
//! for each bracket inside another one, and what is out of stack ends the process.

use std::thread;

use cel::{Env, ParseError, Program};

use super::error::FilterError;

/// Longest expression: no one writes more by hand, and with it all that is linear in it is bounded.
const LONGEST: usize = 4 << 10;
/// Most brackets inside each other.
const MOST_BRACKETS: usize = 32;
/// Stack that takes these, also in a build that is not optimised.
const PARSER_STACK: usize = 32 << 20;

/// The tree of an expression.
pub(super) fn parse(text: &str) -> Result<Program, FilterError> {
    if text.trim().is_empty() {
        return Err(FilterError::at(text, 0, "there is no expression"));
    }
    if text.len() > LONGEST {
        let what = format!("the expression is longer than {LONGEST} bytes");
        return Err(FilterError::at(text, LONGEST, what));
    }
    check_brackets(text)?;
    thread::scope(|scope| {
        let parse = || Env::stdlib_without_options().compile(text);
        let parser = thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, parse);
        let parser = parser.map_err(|error| {
            FilterError::at(text, 0, format!("there can be no thread to read it: {error}"))
        })?;
        // A panic of the parser is an expression that it can't read.
        let Ok(parsed) = parser.join() else {
            return Err(FilterError::at(text, 0, "this can't be read as an expression"));
        };
        parsed.map_err(|errors| explain(text, &errors.errors))
    })
}

/// An environment for parsing.
trait Parsing {
    fn stdlib_without_options() -> Env;
}

impl Parsing for Env {
    /// The usual macros, without the syntax of optional values: what is not known is null here.
    fn stdlib_without_options() -> Env {
        Env::stdlib().with_optional_support(false)
    }
}

/// Refuses what has too many brackets inside each other, whatever they are; text in quotes is
/// passed over.
fn check_brackets(text: &str) -> Result<(), FilterError> {
    let (mut open, mut at) = (0_usize, 0);
    while let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match char {
            '"' | '\'' => {
                at += quoted_len(text, at);
                continue;
            }
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MOST_BRACKETS {
            let what = format!("more than {MOST_BRACKETS} brackets inside each other");
            return Err(FilterError::at(text, at, what));
        }
        at += char.len_utf8();
    }
    Ok(())
}

/// Bytes of the text in quotes that begins there, its quotes included.
fn quoted_len(text: &str, at: usize) -> usize {
    let (before, rest) = text.split_at(at);
    let quote = rest.get(..1).unwrap_or_default();
    let triple = quote.repeat(3);
    let quote = if rest.starts_with(&triple) { &triple } else { quote };
    let is_raw = before.ends_with(['r', 'R']);
    let mut inside = quote.len();
    while let Some(char) = rest.get(inside..).and_then(|rest| rest.chars().next()) {
        if rest.get(inside..).is_some_and(|rest| rest.starts_with(quote)) {
            return inside + quote.len();
        }
        let escaped = (char == '\\' && !is_raw).then(|| rest.get(inside + 1..)?.chars().next());
        inside += char.len_utf8() + escaped.flatten().map_or(0, char::len_utf8);
    }
    rest.len()
}

/// The first error of the parser, in words for those who do not know its grammar.
fn explain(text: &str, errors: &[ParseError]) -> FilterError {
    let is_syntax = |error: &&ParseError| error.msg.starts_with("Syntax error");
    let first = errors.iter().find(is_syntax).or(errors.first());
    let Some(error) = first else { return FilterError::at(text, 0, "this is no expression") };
    let at = offset(text, error.pos);
    let found = text.get(at..at + word_len(text, at)).unwrap_or_default();
    let rest = text.get(at..).unwrap_or_default();
    let what = if error.msg.starts_with("invalid argument to has()") {
        "has() asks for a field, as in has(response.status)".to_owned()
    } else if error.msg.starts_with("invalid int literal") {
        format!("{found} is not a whole number of 64 bits")
    } else if let Some(bracket) = missing(&error.msg) {
        format!("a '{bracket}' is missing here")
    } else if rest.trim().is_empty() {
        "the expression ends too early: something is missing here".to_owned()
    } else if rest.starts_with(['"', '\'']) && error.msg.contains("token recognition error") {
        "this text has no end: a quote is missing, or a '\\' stands before what needs none; in \
         r\"...\" it stands for itself"
            .to_owned()
    } else if rest.starts_with('=') && !rest.starts_with("==") {
        "'=' does not compare: write '=='".to_owned()
    } else {
        match found {
            "and" | "AND" => "'and' is written '&&'".to_owned(),
            "or" | "OR" => "'or' is written '||'".to_owned(),
            "not" | "NOT" => "'not' is written '!'".to_owned(),
            _ => format!("'{found}' can't stand here"),
        }
    };
    FilterError::at(text, at, what)
}

/// The bracket that the parser misses.
fn missing(message: &str) -> Option<&str> {
    let after = message.strip_prefix("Syntax error: missing '")?;
    after.split('\'').next().filter(|missing| [")", "]", "}"].contains(missing))
}

/// The byte where a line and a column are, which the parser counts from 1.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text.get(line_start..).unwrap_or_default();
    line_start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
}

/// Bytes of the name or number that stands there, or of one character where there is none.
pub(super) fn word_len(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    let word = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
    if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) }
}
