//! What `-h` and `--help` show: `-h` what most calls need, on one screen; `--help` everything, under
//! headings, with examples.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::{Arg, Command};

/// The options that `-h` shows, in this order, a line each.
const SHORT: [(&str, &str); 18] = [
    ("iface", "Interface [default: the default route's]"),
    ("stream", "The flow of this number, as 'flows' counts"),
    ("flow", "The flow between these ends"),
    ("port", "TCP ports: 80,8000-8999 or any"),
    ("host", "Only from or to these addresses or networks"),
    ("where", "Only exchanges of which this is true"),
    ("count", "Stop after N exchanges"),
    ("bodies", "Keep bodies, up to LIMIT [default: 64KiB]"),
    ("side", "Whose bytes to write"),
    ("raw", "Write the bytes themselves"),
    ("hex", "Write the bytes in hexadecimal"),
    ("format", "Format of standard output"),
    ("output", "Write to a file, in the format of its name"),
    ("metrics", "Serve metrics for Prometheus there"),
    ("verbose", "Show heads in text; twice: bodies too"),
    ("quiet", "No summary, nothing said at the start"),
    ("config", "Take options from this TOML file too"),
    ("help", "Print help; --help has all, with examples"),
];

/// The headings of `--help` for options that have none of their own.
const HEADINGS: [(&str, &[&str]); 4] = [
    ("Which flow", &["stream", "flow"]),
    (
        "What is captured",
        &[
            "iface",
            "netns",
            "port",
            "host",
            "sample",
            "hook",
            "tc-attach",
            "kernel-log",
            "no-owner",
            "threads",
            "verify-checksums",
        ],
    ),
    ("Mirror ports", &["sensor", "consume", "force"]),
    (
        "What is written",
        &[
            "format",
            "output",
            "rotate",
            "keep",
            "record",
            "events",
            "count",
            "stats-interval",
            "quiet",
            "verbose",
            "save-bodies",
            "side",
            "raw",
            "hex",
            "color",
            "metrics",
        ],
    ),
];

/// How each command is called, and what for.
const EXAMPLES: [(&str, &[(&str, &str)]); 9] = [
    (
        "",
        &[
            ("What goes on at the default route's interface, port 80", "capture-agent run"),
            ("What a capture file holds", "capture-agent read capture.pcap"),
            ("Everything about a command", "capture-agent run --help"),
        ],
    ),
    (
        "run",
        &[
            (
                "Two interfaces, and other ports",
                "capture-agent run --iface eth0 --iface lo --port 80,8000-8999",
            ),
            (
                "What failed or was slow",
                "capture-agent run --where 'response.status >= 500 || timing.total_us > 200000'",
            ),
            ("With heads, and with bodies", "capture-agent run -v\ncapture-agent run -vv"),
            (
                "Ten exchanges into a file, with their bodies",
                "capture-agent run --count 10 --bodies=1MiB --output ten.jsonl",
            ),
            (
                "For other programs",
                "capture-agent run --format jsonl | jq -c 'select(.response.status >= 500)'",
            ),
            (
                "For days: compressed, a file an hour, two days of them",
                "capture-agent run --output all.jsonl.zst --rotate 1h --keep 48",
            ),
            ("With metrics for Prometheus", "capture-agent run --quiet --metrics 9100"),
            (
                "Inside of a container, by a process of it",
                "capture-agent run --netns 4711 --iface eth0",
            ),
            ("By a file of settings", "capture-agent run --config /etc/capture-agent.toml"),
        ],
    ),
    (
        "read",
        &[
            ("Several files, as one capture", "capture-agent read 1.pcapng 2.pcapng.gz"),
            ("From a program that captures", "tcpdump -w - port 80 | capture-agent read -"),
            (
                "What was slow, with its heads",
                "capture-agent read capture.pcap -v --where 'timing.total_us > 200000'",
            ),
            (
                "For a browser's network panel",
                "capture-agent read capture.pcap --bodies=8MiB --output page.har",
            ),
            (
                "The pictures in it, as files",
                "capture-agent read capture.pcap --content-type 'image/*' --save-bodies pictures",
            ),
        ],
    ),
    (
        "flows",
        &[
            ("All flows, with their numbers", "capture-agent flows capture.pcap"),
            ("Those of one client", "capture-agent flows capture.pcap --host 10.0.0.5"),
        ],
    ),
    (
        "follow",
        &[
            ("As text", "capture-agent follow capture.pcap --stream 1"),
            (
                "In hexadecimal, by its ends",
                "capture-agent follow capture.pcap --flow 10.0.0.5:51234-10.0.0.1:80 --hex",
            ),
            (
                "What the server sent, as it was",
                "capture-agent follow capture.pcap --stream 1 --side server --raw > response",
            ),
        ],
    ),
    (
        "doctor",
        &[
            ("Before a capture, and where one does not work", "capture-agent doctor"),
            (
                "What stands against XDP on an interface",
                "capture-agent doctor --iface eth0 --hook xdp",
            ),
            (
                "What has to be done, for other programs",
                "capture-agent doctor --format jsonl | jq -c .",
            ),
        ],
    ),
    (
        "config",
        &[
            ("What holds for a call", "capture-agent config run --iface eth0 --port 8080"),
            ("What a file comes to", "capture-agent config run --config /etc/capture-agent.toml"),
            ("A file to begin with", "capture-agent config --format toml run > capture-agent.toml"),
        ],
    ),
    (
        "completions",
        &[
            ("For this bash", "source <(capture-agent completions bash)"),
            (
                "For every bash",
                "capture-agent completions bash > /etc/bash_completion.d/capture-agent",
            ),
        ],
    ),
    (
        "man",
        &[
            ("To read at once", "capture-agent man | man -l -"),
            ("Where man(1) finds them", "capture-agent man /usr/local/share/man/man8"),
        ],
    ),
];

/// The commands as they are described to people.
pub(super) fn dressed(command: Command) -> Command {
    dress(command, "").mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        dress(command, &name)
    })
}

fn dress(command: Command, name: &str) -> Command {
    let header = *command.get_styles().get_header();
    let more = match name {
        "" => "'capture-agent COMMAND --help' has all about a command.".to_owned(),
        _ => format!("'capture-agent {name} --help' has all options, and examples."),
    };
    let command = match examples(name) {
        [] => command,
        examples => {
            let mut text = format!("{header}Examples:{header:#}");
            for (what, call) in examples {
                text.push_str(&format!("\n  # {what}\n  {}", call.replace('\n', "\n  ")));
            }
            command.after_long_help(StyledStr::from(text)).after_help(more)
        }
    };
    command.mut_args(|arg| if name.is_empty() { brief(arg) } else { headed(brief(arg)) })
}

/// How a command is called, by its name, or the agent itself: what for, and the lines.
pub(super) fn examples(name: &str) -> &'static [(&'static str, &'static str)] {
    EXAMPLES.iter().find(|(of, _)| *of == name).map(|(_, examples)| *examples).unwrap_or_default()
}

/// In `-h` an option says the least, or nothing.
fn brief(arg: Arg) -> Arg {
    let Some(name) = arg.get_long() else { return arg };
    // Man pages have the long help alone of what `-h` leaves out.
    let long = arg.get_long_help().or(arg.get_help()).cloned().unwrap_or_default();
    let brief = SHORT.iter().find(|(short, _)| *short == name).map(|(_, brief)| *brief);
    match brief {
        Some(brief) => arg.help(brief).long_help(long),
        None => arg.hide_short_help(true).long_help(long),
    }
}

fn headed(arg: Arg) -> Arg {
    let name = arg.get_long().unwrap_or_default();
    let heading = HEADINGS.iter().find(|(_, names)| names.contains(&name));
    match heading {
        Some((heading, _)) if arg.get_help_heading().is_none() => arg.help_heading(*heading),
        _ => arg,
    }
}

/// The commands for a call of `-h`: one list, what matters most first.
pub(super) fn for_screen(command: &Command, call: &[OsString]) -> Command {
    let is_long = call.iter().any(|arg| arg == "--help" || arg == "help");
    if is_long {
        return command.clone();
    }
    let listed = |arg: Arg| {
        let name = arg.get_long().unwrap_or_default();
        let place = SHORT.iter().position(|(short, _)| *short == name);
        arg.help_heading(None::<&'static str>).display_order(place.unwrap_or(SHORT.len()))
    };
    command.clone().mut_args(listed).mut_subcommands(|command| command.mut_args(listed))
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    #[test]
    fn what_is_named_here_is_there() {
        let command = Cli::described();
        let names: Vec<_> = command
            .get_subcommands()
            .flat_map(Command::get_opts)
            .filter_map(Arg::get_long)
            .chain(["help"])
            .collect();
        let headed = HEADINGS.iter().flat_map(|(_, names)| names.iter());
        for name in SHORT.iter().map(|(name, _)| name).chain(headed) {
            assert!(names.contains(name), "{name}");
        }
        for (name, _) in EXAMPLES.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
        for command in command.get_subcommands() {
            assert!(
                command.get_after_long_help().is_some(),
                "{} has no example",
                command.get_name()
            );
        }
    }
}
