//! The agent on a terminal of its own: a pseudoterminal of a given width.
#![allow(dead_code, reason = "each test target uses a part")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use unicode_width::UnicodeWidthChar as _;

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

    /// What a command writes to standard output and standard error, both on this terminal.
    pub(crate) fn shows(self, command: Command) -> String {
        self.start(command).wait()
    }

    /// Starts a command with standard output and standard error on this terminal.
    pub(crate) fn start(self, mut command: Command) -> Session {
        for name in ["LC_ALL", "LC_CTYPE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(name);
        }
        command.env("LANG", self.locale);
        command.env("TERM", if self.has_colour { "xterm" } else { "dumb" });
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
        let child = command.spawn().unwrap();
        // It alone has the other end now, so that ours ends with it.
        drop(command);
        let shown = Arc::default();
        let reader = thread::spawn({
            let shown = Arc::clone(&shown);
            move || read_to_hangup(ours, &shown)
        });
        Session { child, shown, reader: Some(reader) }
    }
}

/// A command on a terminal.
pub(crate) struct Session {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Session {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What was written until now.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits for its end; all that it wrote.
    pub(crate) fn wait(mut self) -> String {
        self.reader.take().unwrap().join().unwrap();
        self.child.wait().unwrap();
        self.shown()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_to_hangup(ours: OwnedFd, shown: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    let mut ours = File::from(ours);
    while let Ok(count @ 1..) = ours.read(&mut buffer) {
        shown.lock().unwrap().extend_from_slice(&buffer[..count]);
    }
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
