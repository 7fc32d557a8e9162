//! The pages of the documentation, and what of them is code, as CommonMark reads them.
//!
//! Each fenced block says what is in it: `sh` has commands, a line each; `console` has commands after
//! `$ ` and under each what it prints, of which `…` stands for anything; others are [`DATA`].
#![allow(dead_code, reason = "each test target uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What a block can be that has no commands.
pub(crate) const DATA: [&str; 9] =
    ["cel", "ini", "js", "json", "lua", "promql", "text", "toml", "yaml"];

/// A page of the documentation.
pub(crate) struct Page {
    /// From the root of the repository.
    pub(crate) name: String,
    text: String,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Where its content begins.
    pub(crate) line: usize,
    /// What it says that it is.
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// A command as it is written, and what is shown of what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) shown: Vec<String>,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Page {
    /// The page of this name, if there is one.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Some(Self { name: name.to_owned(), ..Self::read(&root().join(name))? })
    }

    /// The page in this file.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        Some(Self { name: file.display().to_string(), text })
    }

    /// README and all that lies in `docs`.
    pub(crate) fn all() -> Vec<Self> {
        let docs = fs::read_dir(root().join("docs")).unwrap();
        let mut names: Vec<_> = docs
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter(|name| name.ends_with(".md"))
            .map(|name| format!("docs/{name}"))
            .collect();
        names.sort();
        names.insert(0, "README.md".to_owned());
        names.iter().map(|name| Self::find(name).unwrap()).collect()
    }

    /// The fenced blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        self.code().into_iter().filter_map(Result::ok).collect()
    }

    /// Spans of code in the text, with the line each stands in.
    pub(crate) fn spans(&self) -> Vec<(usize, String)> {
        let spans = self.code().into_iter().filter_map(Result::err);
        spans.map(|span| (span.line, span.command)).collect()
    }

    /// The commands, in their order: those of blocks, and calls of the agent with arguments in the text.
    /// One that has `…` in it is a form, and none to be run.
    pub(crate) fn commands(&self) -> Vec<Line> {
        let mut commands: Vec<Line> = Vec::new();
        for code in self.code() {
            match code {
                Ok(block) => commands.extend(block.commands()),
                Err(span) if span.calls_agent() => commands.push(span),
                Err(_) => {}
            }
        }
        commands.retain(|line| !line.command.contains('…'));
        commands
    }

    /// Where links lead, with the line each stands in.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let links = self.events().filter_map(|(event, line)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some((line, dest_url.into_string()))
            }
            _ => None,
        });
        links.collect()
    }

    /// The names by which links reach the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let (mut anchors, mut heading) = (Vec::new(), None::<String>);
        for (event, _) in self.events() {
            match (event, &mut heading) {
                (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
                (Event::Text(text) | Event::Code(text), Some(heading)) => heading.push_str(&text),
                (Event::End(TagEnd::Heading(_)), _) => anchors.extend(heading.take()),
                _ => {}
            }
        }
        let anchor = |heading: String| -> String {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
        };
        anchors.into_iter().map(anchor).collect()
    }

    /// Blocks, and spans of code as lines.
    fn code(&self) -> Vec<Result<Block, Line>> {
        let (mut code, mut block) = (Vec::new(), None::<Block>);
        for (event, line) in self.events() {
            match (event, &mut block) {
                (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))), _) => {
                    let kind = kind.into_string();
                    block = Some(Block { line: line + 1, kind, text: String::new() });
                }
                (Event::Text(text), Some(block)) => block.text.push_str(&text),
                (Event::End(TagEnd::CodeBlock), _) => code.extend(block.take().map(Ok)),
                (Event::Code(text), _) => {
                    let command = text.into_string();
                    code.push(Err(Line { line, command, shown: Vec::new() }));
                }
                _ => {}
            }
        }
        code
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, usize)> {
        let parser = Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter();
        parser.map(|(event, range)| {
            let before = &self.text.as_bytes()[..range.start];
            (event, 1 + before.iter().filter(|byte| **byte == b'\n').count())
        })
    }
}

impl Line {
    fn calls_agent(&self) -> bool {
        self.command.starts_with("capture-agent ") && self.command.split_whitespace().count() > 2
    }
}

impl Block {
    /// Its commands, if it has any.
    pub(crate) fn commands(&self) -> Vec<Line> {
        let mut commands: Vec<Line> = Vec::new();
        let mut begun: Option<Line> = None;
        for (line, text) in (self.line..).zip(self.text.lines()) {
            let goes_on = begun.take();
            match (self.kind.as_str(), goes_on) {
                (_, Some(mut before)) => {
                    before.command.push('\n');
                    before.command.push_str(text.strip_prefix("> ").unwrap_or(text));
                    begun = Some(before);
                }
                ("sh", None) if text.trim().is_empty() || text.starts_with('#') => {}
                ("sh", None) => {
                    begun = Some(Line { line, command: text.to_owned(), shown: Vec::new() });
                }
                ("console", None) => match (text.strip_prefix("$ "), commands.last_mut()) {
                    (Some(command), _) => {
                        begun = Some(Line { line, command: command.to_owned(), shown: Vec::new() });
                    }
                    (None, Some(last)) => last.shown.push(text.to_owned()),
                    (None, None) => panic!("line {line}: nothing prints this: {text}"),
                },
                _ => return Vec::new(),
            }
            if begun.as_ref().is_some_and(|line| is_whole(&line.command)) {
                commands.extend(begun.take());
            }
        }
        assert!(begun.is_none(), "a command without an end: {begun:?}");
        commands
    }
}

/// Whether a command ends here: not in quotes, after a backslash, or before the end of a text.
fn is_whole(command: &str) -> bool {
    let here = command.lines().find_map(|line| line.split_once("<<").map(|(_, word)| word));
    if let Some(word) = here {
        let word = word.split_whitespace().next().unwrap_or_default().trim_matches(['\'', '"']);
        return command.lines().last() == Some(word);
    }
    let (mut quote, mut escaped, mut last) = (None, false, ' ');
    for c in command.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') if last == ' ' => return true,
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        last = c;
    }
    quote.is_none() && !escaped
}
