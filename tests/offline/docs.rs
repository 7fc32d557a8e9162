//! The documentation holds together: links lead somewhere, blocks say what is in them, and what is no
//! command is valid all the same. Commands are run by the end-to-end tests.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::pages::{Block, DATA, Page, root};

/// Says where something is wrong with a page.
macro_rules! check {
    ($is_well:expr, $page:expr, $line:expr, $($why:tt)*) => {
        assert!($is_well, "{}, line {}: {}", $page.name, $line, format_args!($($why)*))
    };
}

fn blocks(kind: &str) -> Vec<(Page, Block)> {
    let blocks = Page::all().into_iter().flat_map(|page| {
        let blocks = page.blocks();
        blocks.into_iter().map(move |block| (Page::find(&page.name).unwrap(), block))
    });
    blocks.filter(|(_, block)| block.kind == kind).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut pages = Page::all();
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    pages.extend(others.map(|name| Page::find(name).unwrap()));
    for page in pages {
        let folder = root().join(&page.name).parent().unwrap().to_owned();
        for (line, link) in page.links() {
            if link.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { root().join(&page.name) } else { folder.join(path) };
            check!(target.exists(), page, line, "'{link}' is not there");
            if !anchor.is_empty() {
                let target = Page::read(&target).unwrap();
                let is_there = target.anchors().iter().any(|it| it == anchor);
                check!(is_there, page, line, "'{link}' has no such heading");
            }
        }
    }
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let (pages, mut reached) = (Page::all(), vec!["README.md".to_owned()]);
    for n in 0.. {
        let Some(page) = reached.get(n).and_then(|name| Page::find(name)) else { break };
        for (_, link) in page.links() {
            let path = link.split('#').next().unwrap();
            let folder = if page.name.starts_with("docs/") { "docs/" } else { "" };
            let name = format!("{folder}{path}").replace("docs/../", "");
            if pages.iter().any(|page| page.name == name) && !reached.contains(&name) {
                reached.push(name);
            }
        }
    }
    for page in &pages {
        assert!(reached.contains(&page.name), "nothing leads to {}", page.name);
    }
}

#[test]
fn every_block_says_what_is_in_it_and_none_hides_a_command() {
    for page in Page::all() {
        for block in page.blocks() {
            let kind = block.kind.as_str();
            let known = ["sh", "console"].contains(&kind) || DATA.contains(&kind);
            check!(known, page, block.line, "'{kind}' is none of sh, console, {DATA:?}");
            if !DATA.contains(&kind) {
                check!(!block.commands().is_empty(), page, block.line, "there is no command");
                continue;
            }
            let starts = ["capture-agent ", "sudo ", "cargo ", "curl ", "$ "];
            let hidden =
                block.text.lines().find(|line| starts.iter().any(|it| line.starts_with(it)));
            check!(
                hidden.is_none(),
                page,
                block.line,
                "a command in a block of {kind}: {hidden:?}"
            );
        }
    }
}

/// Objects with a `type` have the fields that the schema of JSON Lines says, no more and no fewer. `…`
/// stands for any text, `[…]` and `{…}` for any list and any object.
#[test]
fn json_has_the_fields_of_the_schema() {
    let schema = fs::read_to_string(root().join("docs/output.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    for (page, block) in blocks("json") {
        let text = block.text.replace("[…]", "[]").replace("{…}", "{}");
        for object in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let object = object.unwrap_or_else(|error| {
                panic!("{}, line {}: {error}: {text}", page.name, block.line)
            });
            let Some(kind) = object.get("type") else { continue };
            let kinds = schema["oneOf"].as_array().unwrap();
            let of_kind = kinds.iter().find(|it| it["properties"]["type"]["const"] == *kind);
            check!(of_kind.is_some(), page, block.line, "there is no type {kind}");
            let wrong = wrong_fields(&object, of_kind.unwrap(), &schema);
            check!(wrong.is_empty(), page, block.line, "not of the schema: {wrong:?}");
        }
    }
}

/// The fields that are too many or missing in `value`, by `schema`, which is a part of `whole`.
fn wrong_fields(value: &Value, schema: &Value, whole: &Value) -> Vec<String> {
    if let Some(items) = value.as_array() {
        return items.iter().flat_map(|item| wrong_fields(item, &schema["items"], whole)).collect();
    }
    let Some(object) = value.as_object().filter(|object| !object.is_empty()) else {
        return Vec::new();
    };
    // Something that may be null, and something that is described elsewhere.
    let some = schema["anyOf"].as_array().and_then(|any| any.first()).unwrap_or(schema);
    let place = some["$ref"].as_str().map(|place| place.trim_start_matches('#'));
    let referred = place.and_then(|place| whole.pointer(place)).unwrap_or(some);
    let field =
        |name: &str| [referred, some].into_iter().find_map(|schema| schema["properties"].get(name));
    let required = referred["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = required.filter(|name| !object.contains_key(*name)).map(str::to_owned);
    let others = object.iter().flat_map(|(name, value)| match field(name) {
        Some(schema) => wrong_fields(value, schema, whole),
        None => vec![name.clone()],
    });
    missing.chain(others).collect()
}

#[test]
fn expressions_are_taken() {
    let capture = root().join("examples/capture.pcap");
    for (page, block) in blocks("cel") {
        for line in block.text.lines() {
            let expression = line.trim_start_matches("--where ").trim_matches('\'');
            let output = Agent::read(&capture).args(["--quiet", "--where", expression]).run();
            check!(output.status == Some(0), page, block.line, "{line}: {}", output.stderr);
        }
    }
}

#[test]
fn scripts_run() {
    let capture = root().join("examples/capture.pcap");
    for (page, block) in blocks("lua") {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("x.lua");
        fs::write(&script, &block.text).unwrap();
        let agent = Agent::read(&capture).args(["--bodies", "--show-secrets", "--script-dir"]);
        let output =
            agent.args([folder.path().as_os_str(), "--script".as_ref(), script.as_ref()]).run();
        check!(output.status == Some(0), page, block.line, "{}", output.stderr);
    }
}

#[test]
fn settings_are_taken() {
    for (page, block) in blocks("toml") {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        fs::write(&file, &block.text).unwrap();
        for command in ["run", "read x.pcap"] {
            let agent =
                Agent::new().args(["--config".as_ref(), file.as_os_str(), "config".as_ref()]);
            let output = agent.args(command.split(' ')).run();
            check!(output.status == Some(0), page, block.line, "{}", output.stderr);
        }
    }
}

#[test]
fn every_option_is_on_a_page_and_no_page_has_others() {
    let commands = ["run", "read", "flows", "follow", "doctor", "config"];
    let option = regex::Regex::new(r"(?m)^ +(?:-\w, )?(--[a-z][a-z-]*)").unwrap();
    let helps = commands.map(|command| Agent::new().args([command, "--help"]).run().stdout);
    let options: BTreeSet<_> = helps
        .iter()
        .flat_map(|help| option.captures_iter(help))
        .map(|it| it[1].to_owned())
        .collect();
    assert!(options.contains("--iface") && options.contains("--verbose"), "{options:?}");
    let (mut named, mut unknown) = (BTreeSet::new(), Vec::new());
    for page in Page::all() {
        for (line, span) in page.spans() {
            let words = span.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
            named.extend(words.filter(|word| word.starts_with("--")).map(str::to_owned));
            let Some(first) = span.split([' ', '=', '[']).next().filter(|it| it.starts_with("--"))
            else {
                continue;
            };
            if !options.contains(first) {
                unknown.push(format!("{}, line {line}: {first}", page.name));
            }
        }
        for block in page.blocks() {
            let words = block.text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
            named.extend(words.filter(|word| word.starts_with("--")).map(str::to_owned));
        }
    }
    let missing: Vec<_> = options.difference(&named).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "on no page: {missing:?}; no option: {unknown:?}"
    );
}
