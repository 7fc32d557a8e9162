//! The table of cases by section of the RFCs: each file of `tests/cases` has dialogues and what is
//! to come of them, in the words of `support/show.rs`.
//!
//! `UPDATE_CASES=1` writes what does come of them; read the difference before it is kept.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

use crate::support::events::events_of;
use crate::support::script::{Case, cases_in, play, said};
use crate::support::show::show;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases");
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// Every file of cases, by name.
pub(crate) fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(CASES).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn outcome(case: &Case) -> String {
    let lines = |bytes: Vec<u8>| Some(String::from_utf8(bytes).ok()?.trim_end().to_owned());
    let said: HashSet<_> = said(&case.dialogue).filter_map(lines).collect();
    show(&events_of(&play(&case.dialogue)), &said)
}

#[test]
fn dialogues_come_out_as_the_table_says() {
    let mut differences = String::new();
    let mut count = [0, 0];
    for file in files() {
        let name = file.file_name().unwrap().to_string_lossy();
        let (opening, cases) = cases_in(&fs::read_to_string(&file).unwrap());
        let mut rewritten = opening;
        for case in cases {
            let found = outcome(&case);
            let Case { title, dialogue, expected } = case;
            let _ = write!(rewritten, "\n\n== {title}\n{dialogue}\n--\n{found}");
            count[0] += 1;
            if found != expected {
                count[1] += 1;
                let _ = write!(differences, "\n{name}: {title}\n{dialogue}\n");
                differences += &difference(&expected, &found);
            }
        }
        if env::var_os("UPDATE_CASES").is_some() {
            fs::write(file, rewritten + "\n").unwrap();
            differences.clear();
        }
    }
    let [all, wrong] = count;
    assert!(
        differences.is_empty(),
        "{wrong} of {all} cases differ (- expected, + found); UPDATE_CASES=1 rewrites them\n{differences}"
    );
}

/// Both, line by line, by their longest common subsequence.
fn difference(expected: &str, found: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut text = String::new();
    while i < old.len() || j < new.len() {
        let (sign, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            (' ', old[i - 1])
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', old[i - 1])
        } else {
            j += 1;
            ('+', new[j - 1])
        };
        let _ = writeln!(text, "  {sign} {line}");
    }
    text
}

/// The names of the JSON Schema's enums of anomalies.
fn anomalies() -> BTreeSet<String> {
    let schema = fs::read_to_string(Path::new(DOCS).join("output.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let kinds = schema["$defs"].as_object().unwrap().iter();
    let variants = kinds.filter(|(name, _)| name.contains("Anomaly")).flat_map(|(_, kind)| {
        kind["oneOf"].as_array().into_iter().chain(kind["enum"].as_array()).flatten()
    });
    let name = |variant: &Value| variant["const"].as_str().or(variant.as_str()).map(str::to_owned);
    variants.filter_map(name).collect()
}

#[test]
fn every_anomaly_has_a_case_and_a_line_of_documentation() {
    let all = anomalies();
    assert!(all.len() >= 5, "{all:?}");
    let cases: String = files().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let of_exchanges = cases.lines().filter_map(|line| line.strip_prefix("anomalies "));
    let of_messages = cases.lines().filter_map(|line| line.strip_prefix("websocket "));
    let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
    let seen: HashSet<_> =
        of_exchanges.chain(of_messages).flat_map(|line| line.split(word)).collect();
    let documentation = fs::read_to_string(Path::new(DOCS).join("anomalies.md")).unwrap();
    let missing = |known: &dyn Fn(&str) -> bool| -> Vec<_> {
        all.iter().filter(|name| !known(name)).collect()
    };
    let without_case = missing(&|name| seen.contains(name));
    let without_line = missing(&|name| documentation.contains(&format!("`{name}`")));
    assert!(without_case.is_empty(), "no case: {without_case:?}");
    assert!(without_line.is_empty(), "no documentation: {without_line:?}");
}
