//! Whether what a page shows is of the shape of what is printed: the same words in the same order, with
//! numbers, times and names of flows being what they happen to be.

use std::sync::LazyLock;

use regex::Regex;

static FLOW: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{16}\b").unwrap());
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[0-9]+([.,][0-9]+)*").unwrap());
static UNIT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"# ?(ns|µs|us|ms|s|min|h|[kKMGT]i?B|B|%)\b").unwrap());
static PLURAL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"# (\p{L}{3,}?)s?\b").unwrap());
static SPACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s+").unwrap());

/// The lines shown that nothing printed is like.
pub(super) fn missing<'a>(shown: &'a [String], printed: &str) -> Vec<&'a str> {
    let printed: Vec<_> = printed.lines().map(shape).collect();
    let is_missing = |line: &&str| {
        let pieces: Vec<_> = line.split('…').map(|piece| regex::escape(&shape(piece))).collect();
        let pattern = Regex::new(&format!("^{}$", pieces.join(".*"))).unwrap();
        !printed.iter().any(|printed| pattern.is_match(printed))
    };
    let told = |line: &&str| !line.trim().is_empty() && !["…", "^C"].contains(&line.trim());
    shown.iter().map(String::as_str).filter(told).filter(is_missing).collect()
}

fn shape(line: &str) -> String {
    let line = FLOW.replace_all(line, "ID");
    let line = NUMBER.replace_all(&line, "#");
    let line = UNIT.replace_all(&line, "# U");
    let line = PLURAL.replace_all(&line, "# ${1}");
    SPACE.replace_all(&line, " ").trim().to_owned()
}

#[test]
fn shapes_are_those_of_words_and_not_of_numbers() {
    let printed = "06:57:56.773  10.77.0.2:39204 → 10.77.0.1:80  GET x/a  200  4.05 ms\n2 exchanges on 1 flow";
    let is_there = |line: &str| missing(&[line.to_owned()], printed).is_empty();
    assert!(is_there("07:00:00.000  10.0.0.1:1 → 10.0.0.2:80    GET x/a  404  1.00 s"));
    assert!(is_there("07:00:00.000  … → 10.0.0.2:80    GET …"));
    assert!(is_there("1 exchange on 7 flows"));
    assert!(is_there("…"));
    assert!(!is_there("07:00:00.000  10.0.0.1:1 → 10.0.0.2:80    PUT x/a  404  1.00 s"));
    assert!(!is_there("1 exchange"));
}
