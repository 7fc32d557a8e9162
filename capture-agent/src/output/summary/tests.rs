use super::*;
use crate::event::EngineCounters;
use crate::output::terminal::width;

fn lossy() -> Stats {
    let engine = EngineCounters {
        exchanges: 7,
        flows_opened: 2,
        gap_bytes: 1_500,
        dropped_bytes: 500,
        elided_bytes: 1_000_000,
        flows_closed: [0, 0, 0, 3, 0, 0],
        ..EngineCounters::default()
    };
    Stats { engine, ..Stats::default() }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    // The longest word that is never broken; what is narrower is hardly a terminal.
    for columns in 20..200 {
        for has_utf8 in [false, true] {
            let screen = Screen::fixed(columns, false, has_utf8);
            for line in at_a_glance(&lossy(), None, screen) {
                assert!(width(&line) <= columns, "{columns}: {line:?}");
                assert!(has_utf8 || line.is_ascii(), "{line:?}");
            }
        }
    }
}

#[test]
fn each_loss_is_told_with_its_count_and_what_to_do() {
    let lines = at_a_glance(&lossy(), None, Screen::FILE);
    assert_eq!(lines[0], "7 exchanges on 2 flows, 0 packets seen");
    for lost in [
        "1000 bytes sent but not seen",
        "500 bytes seen but lost by the agent itself",
        "3 flows pushed out of the table",
    ] {
        let at = lines.iter().position(|line| line == lost);
        let advice = at.and_then(|at| lines.get(at + 1));
        assert!(advice.is_some_and(|advice| advice.starts_with("  ")), "{lost}: {lines:#?}");
        assert!(line(&lossy()).contains(lost), "{}", line(&lossy()));
    }
    assert!(lines.last().unwrap().starts_with("1000000 bytes of long bodies stayed in the kernel"));
}

#[test]
fn shares_are_neither_nothing_nor_all_unless_they_are() {
    let shares = [(1, 1_000), (999, 1_000), (1, 1), (1, 3)].map(|(part, whole)| share(part, whole));
    assert_eq!(shares, ["<1%", "99%", "100%", "33%"]);
}
