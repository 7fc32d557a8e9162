//! Help that fits a screen, examples that are right, and completions that a shell takes.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::agent::Agent;

const AGENT: &str = env!("CARGO_BIN_EXE_capture-agent");

/// The commands that help names.
fn commands() -> Vec<String> {
    let help = help(80, &["-h"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    // What is said of a command may go on further to the right.
    let lines = list.lines().filter(|line| !line.starts_with("   "));
    let names = lines.map(|line| line.split_whitespace().next().unwrap().to_owned());
    let names: Vec<_> = names.filter(|name| name != "help").collect();
    assert!(names.len() >= 7, "{names:?}");
    names
}

fn help(columns: usize, args: &[&str]) -> String {
    let columns = columns.to_string();
    let output = Agent::new().variables([("COLUMNS", columns.as_str())]).args(args).run();
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""), "{args:?}");
    output.stdout
}

#[test]
fn short_help_fits_a_screen_and_leads_to_the_long_one() {
    for name in commands().iter().map(String::as_str).chain([""]) {
        let call = |flag: &'static str| if name.is_empty() { vec![flag] } else { vec![name, flag] };
        let short = help(80, &call("-h"));
        assert!(short.lines().count() <= 24, "{name}:\n{short}");
        assert!(short.lines().all(|line| line.chars().count() <= 80), "{name}:\n{short}");
        assert!(short.contains("--help' has all"), "{name}:\n{short}");
        let long = help(80, &call("--help"));
        assert!(long.contains("\nExamples:\n  # "), "{name}:\n{long}");
        if !name.is_empty() {
            assert_eq!(help(80, &["help", name]), long);
        }
    }
}

#[test]
fn long_help_has_every_option_under_a_heading_with_what_it_is_for() {
    let long = help(100, &["run", "--help"]);
    let mut heading = "";
    let mut found = 0;
    let lines: Vec<_> = long.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        if !line.starts_with(' ') && line.ends_with(':') {
            heading = line;
        }
        // "  -v, --verbose" or "      --format"; what an option is for is further to the right.
        if line.get(..8).is_some_and(|start| start.contains('-')) {
            found += 1;
            assert!(lines[n + 1].starts_with("          "), "{line}");
            let is_general = ["--help", "--config"].iter().any(|name| line.contains(name));
            assert_eq!(heading == "Options:", is_general, "{heading} {line}");
        }
    }
    assert!(found > 45, "{found} options in {long}");
}

/// Each line of an example is run in bash, where the agent only checks its call and other programs
/// do nothing.
#[test]
fn every_example_of_the_help_is_a_call_that_is_taken() {
    let mut run = 0;
    for name in commands().iter().map(String::as_str).chain([""]) {
        let args = if name.is_empty() { vec!["--help"] } else { vec![name, "--help"] };
        let help = help(200, &args);
        let (_, examples) = help.split_once("\nExamples:\n").unwrap();
        for line in examples.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            run += 1;
            check(line);
        }
    }
    assert!(run > 20, "{run}");
}

fn check(line: &str) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    std::fs::create_dir_all(folder.path().join("etc/bash_completion.d")).unwrap();
    std::fs::write(folder.path().join("etc/capture-agent.toml"), "").unwrap();
    // What names a place of the system is put into the folder.
    let line = line.replace(" /etc/", &format!(" {root}/etc/"));
    let line = line.replace(" /usr/", &format!(" {root}/usr/"));
    let script = format!(
        "set -eo pipefail
         capture-agent() {{
             case $1 in
                 completions|man|config|*-h*) \"$AGENT\" \"$@\";;
                 doctor) \"$AGENT\" doctor --help;;
                 *) case \" $* \" in
                     *' --help '*) \"$AGENT\" \"$@\";;
                     *) \"$AGENT\" config --format jsonl \"$@\";;
                 esac;;
             esac
         }}
         for other in jq tcpdump man sudo; do eval \"$other() {{ :; }}\"; done
         {line}"
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .env("AGENT", AGENT)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{line}: {stderr}");
}

/// What bash offers after these words, as the completions tell it.
fn offered(words: &[&str]) -> Vec<String> {
    let script = "source <(\"$AGENT\" completions bash)
        COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        function=$(complete -p capture-agent | sed -E 's/.*-F ([^ ]+).*/\\1/')
        \"$function\" capture-agent \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash"])
        .args(words)
        .env("AGENT", AGENT)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    let of_start = offered(&["capture-agent", ""]);
    for command in commands() {
        assert!(of_start.contains(&command), "{command} in {of_start:?}");
    }
    assert_eq!(offered(&["capture-agent", "run", "--flow-t"]), ["--flow-timeout"]);
    assert_eq!(offered(&["capture-agent", "run", "--format", "j"]), ["jsonl"]);
    assert_eq!(offered(&["capture-agent", "read", "--config", "Cargo"]), ["Cargo.toml"]);
    // With nothing of its own to offer bash offers files.
    assert_eq!(offered(&["capture-agent", "read", "Cargo"]), [""]);
    assert!(!offered(&["capture-agent", "read", ""]).iter().any(|word| word.contains("FILE")));
    assert_eq!(offered(&["capture-agent", "completions", "f"]), ["fish"]);
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = Agent::new().args(["completions", shell]).run();
        assert_eq!(output.status, Some(0), "{}", output.stderr);
        assert!(output.stdout.contains("flow-timeout"), "{shell}");
    }
    Agent::new().args(["completions", "csh"]).run().assert_fails(2, "invalid value 'csh'");
}

#[test]
fn man_pages_have_every_option_and_what_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man8");
    let output = Agent::new().args(["man"]).args([&pages]).run();
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), ""), "{}", output.stderr);
    for command in commands() {
        let page =
            std::fs::read_to_string(pages.join(format!("capture-agent-{command}.8"))).unwrap();
        let long = help(200, &[&command, "--help"]);
        let names = long.split("--").skip(1).filter_map(|text| {
            let name = text.split(|char: char| !char.is_ascii_lowercase() && char != '-').next()?;
            (name.len() > 1).then(|| name.replace('-', "\\-"))
        });
        for name in names {
            assert!(page.contains(&format!("\\-\\-{name}")), "{name} in {command}");
        }
        assert!(page.contains("\n.SH EXAMPLES\n"), "{command}");
        // An option is followed by its help, and not by the next one.
        assert!(!page.contains("\n.TP\n\n.TP\n"), "{command}");
    }
    let one = Agent::new().args(["man"]).run();
    assert_eq!(one.stdout, std::fs::read_to_string(pages.join("capture-agent.8")).unwrap());
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    Agent::new().args(["man"]).args([&file]).run().assert_fails(1, "can't make");
}
