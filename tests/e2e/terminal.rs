//! A live capture on a terminal.

use rustix::process::{Pid, Signal, kill_process};

use crate::support::fetch::fetch;
use crate::support::lab::Lab;
use crate::support::live;
use crate::support::nginx::Nginx;
use crate::support::terminal::{Terminal, columns, plain};
use crate::support::wait;

#[test]
fn a_line_is_there_when_its_exchange_is_over_and_fits_the_terminal() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page.html", &[b'x'; 212]);
    let terminal = Terminal { has_colour: true, ..Terminal::of(60) };
    let agent = terminal.start(live::command(&lab.server, "run --iface eth0"));
    wait::until("the agent captures", || agent.shown().contains("capturing on "));

    let query = "x".repeat(100);
    for (page, status) in [("page.html", "\x1b[32m200"), ("missing", "\x1b[33m404")] {
        fetch(&lab.client, &format!("http://10.77.0.1/{page}?{query}"), "");
        wait::until("the line is there", || agent.shown().contains(status));
    }

    let pid = Pid::from_raw(agent.pid().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let shown = plain(&agent.wait());
    // The summary names endpoints, at no time.
    let begins_with_time = |line: &str| line.starts_with(|char: char| char.is_ascii_digit());
    let is_exchange = |line: &&str| begins_with_time(line) && line.contains("  GET ");
    let lines: Vec<_> = shown.lines().filter(is_exchange).collect();
    assert_eq!(lines.len(), 2, "{shown}");
    for line in lines {
        assert!(columns(line) <= 60 && line.contains('…'), "{shown}");
    }
}
