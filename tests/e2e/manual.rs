//! What shells and man(1) are told of the arguments, by shells and man(1) themselves.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::live::AGENT;
use crate::support::process::run;

/// What a program says on standard output, with the agent in reach.
fn said(program: &str, arguments: &[&str]) -> String {
    let target = Path::new(AGENT).parent().unwrap().display();
    let path = format!("{target}:{}", std::env::var("PATH").unwrap());
    run(Command::new(program).args(arguments).env("PATH", path).env("TERM", "dumb"))
}

#[test]
fn man_pages_are_right_and_shown() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man8");
    said(AGENT, &["man", pages.to_str().unwrap()]);
    let pages: Vec<_> = pages.read_dir().unwrap().map(|page| page.unwrap().path()).collect();
    assert!(pages.len() >= 8, "{pages:?}");
    for page in &pages {
        let page = page.to_str().unwrap();
        let lint = Command::new("mandoc").args(["-Tlint", "-Wwarning", page]).output().unwrap();
        let lint = String::from_utf8(lint.stdout).unwrap();
        // Pages have no date, so that the same agent has the same pages; the library puts a break
        // beside a space.
        let known = ["missing date", "skipping paragraph macro: br"];
        let wrong = lint.lines().filter(|line| !known.iter().any(|known| line.contains(known)));
        assert_eq!(wrong.collect::<Vec<_>>(), [""; 0]);
        let mut groff = Command::new("man");
        groff.args(["--warnings", "-l", page]).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
        let groff = groff.output().unwrap();
        assert!(groff.status.success() && groff.stderr.is_empty(), "{groff:?}");
    }
    let run = pages.iter().find(|page| page.ends_with("capture-agent-run.8")).unwrap();
    let shown = said("man", &["-l", run.to_str().unwrap()]);
    for part in
        ["NAME\n", "SYNOPSIS\n       capture-agent run [OPTIONS]\n", "--flow-timeout", "EXAMPLES\n"]
    {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
}

#[test]
fn fish_completes_commands_options_and_values() {
    let offered = |line: &str| {
        let script = format!("capture-agent completions fish | source; complete -C '{line}'");
        let offered = said("fish", &["--no-config", "-c", &script]);
        let words = offered.lines().map(|line| line.split('\t').next().unwrap().to_owned());
        words.collect::<Vec<_>>()
    };
    assert!(offered("capture-agent ").contains(&"doctor".to_owned()));
    assert_eq!(offered("capture-agent run --flow-t"), ["--flow-timeout"]);
    assert_eq!(offered("capture-agent run --format js"), ["jsonl"]);
}

#[test]
fn zsh_takes_the_completions() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("_capture-agent");
    let script = said(AGENT, &["completions", "zsh"]);
    std::fs::write(&file, script).unwrap();
    let folder = folder.path().display();
    // By the folder, as they are installed, and with the function read in.
    let load = format!(
        "fpath=({folder} $fpath); autoload -Uz compinit; compinit -D -u
         print ${{_comps[capture-agent]}}
         autoload +X _capture-agent && print ${{+functions[_capture-agent]}}"
    );
    assert_eq!(said("zsh", &["-f", "-c", &load]), "_capture-agent\n1\n");
}
