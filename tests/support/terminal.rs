//! The agent on a terminal of its own: a pseudoterminal of a given width.
#![allow(dead_code, reason = "each test target uses a part")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use unicode_width::UnicodeWidthChar as _;

use super::agent::Agent;

/// A terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub(crate) columns: u16,
    pub(crate) has_colour: bool,
    pub(crate) locale: &'static str,
}

impl Terminal {
    /// Without colour, in UTF-8.
    pub(crate) const fn of(columns: u16) -> Self {
        Self { columns, has_colour: false, locale: "C.UTF-8" }
    }

    /// What a call of the agent writes to standard output and standard error, both on this terminal.
    pub(crate) fn shows(self, agent: Agent) -> String {
        let mut command = agent.into_command();
        for name in ["LC_ALL", "LC_CTYPE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(name);
        }
        command.env("LANG", self.locale);
        command.env("TERM", if self.has_colour { "xterm" } else { "dumb" });
        self.run(command)
    }

    fn run(self, mut command: Command) -> String {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&theirs, size).unwrap();
        let mut modes = tcgetattr(&theirs).unwrap();
        modes.output_modes -= OutputModes::OPOST;
        tcsetattr(&theirs, OptionalActions::Now, &modes).unwrap();
        let stderr = theirs.try_clone().unwrap();
        command.stdout(Stdio::from(theirs)).stderr(Stdio::from(stderr));
        let mut child = command.spawn().unwrap();
        // It alone has the other end now, so that ours ends with it.
        drop(command);
        let shown = read_to_hangup(ours);
        child.wait().unwrap();
        String::from_utf8(shown).unwrap()
    }
}

fn read_to_hangup(ours: OwnedFd) -> Vec<u8> {
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    let mut ours = File::from(ours);
    while let Ok(count @ 1..) = ours.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
    }
    shown
}

/// A text without what sets colours, which is all that may steer a terminal in it.
pub(crate) fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (style, rest) = part.split_once('m').expect("a style");
        assert!(style.chars().all(|char| char.is_ascii_digit() || char == ';'), "{style:?}");
        plain += rest;
    }
    assert!(!plain.chars().any(|char| char.is_control() && char != '\n'), "{plain:?}");
    plain
}

/// How many columns a line takes.
pub(crate) fn columns(line: &str) -> usize {
    line.chars().map(|char| char.width().unwrap()).sum()
}
