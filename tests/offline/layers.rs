//! Data enters at the source and leaves at the outputs: no module imports one that comes later,
//! and those in between do no I/O.

use std::fs;
use std::path::{Path, PathBuf};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The modules of the library in the order in which data passes through them. Those of one row
/// know nothing of each other.
const ROWS: [&[&str]; 12] = [
    &["segment", "guardian"],
    &["selection", "flow", "stream"],
    &["source", "http"],
    &["event", "notation"],
    &["listener"],
    &["engine", "owner", "filter"],
    &["output"],
    &["script", "metrics"],
    &["doctor"],
    &["cli"],
    &["capture"],
    &["main", "lib"],
];

/// Modules without I/O, clocks, threads or chance.
const SANS_IO: [&str; 8] =
    ["segment", "selection", "flow", "stream", "http", "event", "listener", "engine"];

/// What would be I/O, a clock or a thread. The flow table's `RandomState` is the one exception
/// to chance.
const IO: [&str; 13] = [
    "tokio",
    "aya",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::io",
    "std::thread",
    "std::process",
    "std::env",
    "Instant",
    "SystemTime",
    "rustix",
    "println!",
];

fn row_of(module: &str) -> usize {
    ROWS.iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| panic!("{module} is in no row: give it its place"))
}

/// The files of the library and the top module of each.
fn files() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(SRC)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(SRC).unwrap();
            let top = inside.components().next().unwrap().as_os_str();
            let module = Path::new(top).file_stem().unwrap().to_str().unwrap().to_owned();
            files.push((module, path));
        }
    }
    assert!(files.len() > 20, "{files:?}");
    files
}

/// The code of a file without its unit tests, which may use what they like.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
}

#[test]
fn no_module_imports_one_that_comes_later() {
    for (module, path) in files() {
        let row = row_of(&module);
        for (n, _) in code(&path).match_indices("crate::") {
            let rest = &code(&path)[n + "crate::".len()..];
            let imported: String =
                rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
            if !ROWS.iter().any(|row| row.contains(&imported.as_str())) {
                continue;
            }
            assert!(
                imported == module || row_of(&imported) < row,
                "{}: {module} imports {imported}",
                path.display()
            );
        }
    }
}

#[test]
fn what_lies_between_source_and_output_does_no_io() {
    for (module, path) in files() {
        if !SANS_IO.contains(&module.as_str()) {
            continue;
        }
        let code = code(&path);
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            for io in IO {
                assert!(!line.contains(io), "{}: {line}", path.display());
            }
        }
    }
}
