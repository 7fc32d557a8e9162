//! How far `read` is: a line at the bottom of the terminal, with rate and time left, gone at the end.
//!
//! Invariant: the threads that read and write do nothing for it but count bytes at each read.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use capture_agent::output::terminal::{Screen, Stream};
use capture_agent::output::{Format, Target, aside};
use capture_agent::source::file::BytesRead;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::cli::ReadArgs;

/// What is over before is not worth a line.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often the line is drawn anew.
const PERIOD: Duration = Duration::from_millis(200);
/// Most of a file's name that is shown.
const NAME_WIDTH: usize = 24;

/// Where the reader is: which file, and how far into it.
#[derive(Clone, Debug, Default)]
pub(super) struct Position(Arc<Mutex<Option<(usize, BytesRead)>>>);

impl Position {
    /// It has begun with the next file.
    pub(super) fn begin(&self, read: BytesRead) {
        let mut position = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = position.take().map_or(0, |(file, _)| file + 1);
        *position = Some((file, read));
    }

    /// The file's number, from 0 on, and the bytes read of it.
    fn now(&self) -> (usize, u64) {
        let position = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        position.as_ref().map_or((0, 0), |(file, read)| (*file, read.bytes()))
    }
}

/// The line, until this is dropped.
pub(super) struct Progress {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows how far `position` is, where there is somebody to see it.
    pub(super) fn start(args: &ReadArgs, position: Position) -> io::Result<Option<Self>> {
        if args.common.quiet || !is_seen(args) {
            return Ok(None);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let line = Line::of(&args.files, position);
        let until = Arc::clone(&is_over);
        let show = move || line.show(&until);
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(show)?;
        Ok(Some(Self { is_over, thread: Some(thread) }))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Whether the line was drawn to the end is nothing to fail for.
            let _ = thread.join();
        }
    }
}

/// Whether standard error is a terminal on which a line can stand below all else: what else goes
/// there comes in whole lines, and through [`aside`]. What reads from a pipe may write there as well,
/// as `jq` does, and knows nothing of the line.
fn is_seen(args: &ReadArgs) -> bool {
    let common = &args.common;
    let outputs = &common.outputs.output;
    let script = common.script.is_given();
    let standard = common.standard_format();
    let on_stdout: Vec<_> = if outputs.is_empty() {
        vec![standard]
    } else {
        let on_stdout = outputs.iter().filter(|output| output.target == Target::Stdout);
        on_stdout.map(|output| output.format.unwrap_or(standard)).collect()
    };
    let has_lines = |format: &Format| matches!(format, Format::Text | Format::Jsonl);
    let stdout_is_fit = if io::stdout().is_terminal() {
        !script && on_stdout.iter().all(has_lines)
    } else {
        (on_stdout.is_empty() && !script) || !is_pipe()
    };
    Screen::of(Stream::Stderr).is_terminal() && stdout_is_fit
}

/// Whether someone reads what is written to standard output.
fn is_pipe() -> bool {
    use rustix::fs::{FileType, fstat};
    let stdout = fstat(io::stdout());
    !stdout.is_ok_and(|it| {
        matches!(
            FileType::from_raw_mode(it.st_mode),
            FileType::RegularFile | FileType::CharacterDevice
        )
    })
}

/// What is drawn.
struct Line {
    position: Position,
    names: Vec<String>,
    /// How long the files are; `None` where that is not known of all.
    sizes: Option<Vec<u64>>,
    screen: Screen,
    bar: ProgressBar,
}

impl Line {
    fn of(files: &[PathBuf], position: Position) -> Self {
        let sizes: Option<Vec<u64>> = files.iter().map(|file| size(file)).collect();
        let bar = match &sizes {
            Some(sizes) => ProgressBar::new(sizes.iter().sum()),
            None => ProgressBar::no_length(),
        };
        let screen = Screen::of(Stream::Stderr);
        Self { position, names: names(files, screen), sizes, screen, bar }
    }

    fn show(self, is_over: &AtomicBool) {
        thread::park_timeout(PATIENCE);
        self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(20));
        let bar = self.bar.clone().with_finish(ProgressFinish::AndClear);
        while !is_over.load(Ordering::Relaxed) {
            aside::set(Some(bar.clone()));
            self.draw();
            thread::park_timeout(PERIOD);
        }
        aside::set(None);
        bar.finish_and_clear();
    }

    fn draw(&self) {
        let (file, read) = self.position.now();
        let before = self.sizes.as_ref().map_or(0, |sizes| sizes.iter().take(file).sum());
        // First, for what follows draws: a line with old figures, and no time left before there are any.
        self.bar.set_position(before + read);
        let columns = self.screen.columns().unwrap_or_default();
        if let Ok(style) = ProgressStyle::with_template(self.template(columns)) {
            let chars = if self.screen.has_utf8() { "█▉▊▋▌▍▎▏ " } else { "#- " };
            self.bar.set_style(style.progress_chars(chars));
        }
        self.bar.set_prefix(self.file(file, read));
    }

    /// What there is room for.
    fn template(&self, columns: usize) -> &'static str {
        let is_one = self.names.len() < 2;
        match (&self.sizes, columns) {
            (None, 60..) => "{prefix}{decimal_bytes} read, {decimal_bytes_per_sec}",
            (None, _) => "{decimal_bytes} read",
            (Some(_), 100..) => {
                "{prefix}{wide_bar} {percent:>3}% of {decimal_total_bytes}, {decimal_bytes_per_sec}, \
                 {eta} left"
            }
            (Some(_), 50..) if is_one => {
                "{wide_bar} {percent:>3}%, {decimal_bytes_per_sec}, {eta} left"
            }
            (Some(_), 70..) => "{prefix}{percent:>3}%, {decimal_bytes_per_sec}, {eta} left",
            (Some(_), _) => "{percent:>3}%, {eta} left",
        }
    }

    /// Which file it is, where there are several, and how far it is there.
    fn file(&self, file: usize, read: u64) -> String {
        let count = self.names.len();
        if count < 2 {
            return String::new();
        }
        let name = self.names.get(file).map(String::as_str).unwrap_or_default();
        let name = self.screen.cut(name, NAME_WIDTH);
        let size = self.sizes.as_ref().and_then(|sizes| sizes.get(file));
        let share = size.map(|size| format!(" {}%", read.saturating_mul(100) / (*size).max(1)));
        format!("{}/{count} {name}{}  ", file + 1, share.unwrap_or_default())
    }
}

/// How long a file is; `None` of what is no regular file, for that is not known before its end.
fn size(path: &Path) -> Option<u64> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// What files are called, as a terminal may show it.
fn names(files: &[PathBuf], screen: Screen) -> Vec<String> {
    let name = |file: &PathBuf| screen.visible(file.file_name().unwrap_or_default().as_bytes());
    files.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_do_nothing_to_the_terminal() {
        let files = ["a/b\u{1b}[31m\t.pcap", "\u{202e}pacp.é"].map(PathBuf::from);
        let shown = |has_utf8| names(&files, Screen::fixed(80, false, has_utf8));
        assert_eq!(shown(true), ["b\\x1b[31m\\x09.pcap", "\\u{202e}pacp.é"]);
        assert_eq!(shown(false)[1], "\\u{202e}pacp.\\u{e9}");
    }
}
