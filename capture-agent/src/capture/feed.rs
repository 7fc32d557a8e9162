//! Capture files one after the other, as one feed of segments: read here, or ahead of the engine
//! by a thread of its own.
//!
//! Invariants: what a pipe has delivered is not held back while it is silent. Once the agent is to
//! end, a file is left where it is; a pipe, whose writer mostly got the same signal, is read to its
//! end, or until it is silent after [`GRACE`]: what was taken out of it is nowhere else.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::vec;

use capture_agent::output::Stop;
use capture_agent::selection::Selection;
use capture_agent::source::file::{FileError, FileSource, Opening};
use capture_agent::source::{Item, Verdicts};

use super::ahead::Ahead;
use super::progress::Position;

/// How long a silent pipe is waited for before it is looked whether the agent is to end.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long the writer of a pipe may take to hand over what it has, once the agent is to end.
const GRACE: Duration = Duration::from_millis(500);
/// Segments after which a pipe that is never silent is left then: more than any pipe holds.
const MOST_AFTER_STOP: u32 = 100_000;

/// What the engine is fed from.
pub(super) enum Feed {
    /// The files, read as the engine takes segments.
    Here(Box<Files>),
    /// What another thread reads of them.
    Ahead(Box<Ahead>),
}

impl Feed {
    /// Begins with the next file, if there is one.
    pub(super) fn open_next(&mut self) -> Result<bool, FileError> {
        match self {
            Self::Here(files) => files.open_next(),
            // All files are one there.
            Self::Ahead(_) => Ok(false),
        }
    }

    /// The next item, `None` where more is to be waited for, or else `open_next` is to be asked.
    pub(super) fn next_item(&mut self) -> Result<Option<Item<'_>>, FileError> {
        match self {
            Self::Here(files) => files.next_item(),
            Self::Ahead(ahead) => ahead.next_item(),
        }
    }

    /// Whether there was no item because nothing more is there for now.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Here(files) => files.is_waiting(),
            Self::Ahead(ahead) => ahead.is_waiting(),
        }
    }

    /// Waits until there may be more, or not much longer.
    pub(super) fn wait(&mut self) {
        match self {
            Self::Here(files) => files.wait(),
            Self::Ahead(ahead) => ahead.wait(),
        }
    }

    /// What happened to the packets up to the last item.
    pub(super) fn verdicts(&self) -> Verdicts {
        match self {
            Self::Here(files) => files.verdicts(),
            Self::Ahead(ahead) => ahead.verdicts(),
        }
    }

    /// What is to be said of the files up to the last item.
    pub(super) fn notes(&self) -> Vec<String> {
        match self {
            Self::Here(files) => files.notes(),
            Self::Ahead(ahead) => ahead.notes(),
        }
    }
}

/// Capture files.
pub(super) struct Files {
    waiting: vec::IntoIter<PathBuf>,
    selection: Selection,
    verify_checksums: bool,
    position: Position,
    stop: Stop,
    /// When a silent pipe is left, once the agent is to end.
    end: Option<Instant>,
    /// How often an item was asked for since then.
    after_stop: u32,
    current: Option<(PathBuf, Current)>,
    /// Of the files before the current one.
    verdicts: Verdicts,
    notes: Vec<String>,
}

/// How far one is.
enum Current {
    Opening(Opening),
    Open(Box<FileSource>),
}

impl Files {
    pub(super) fn new(
        files: Vec<PathBuf>,
        selection: Selection,
        verify_checksums: bool,
        stop: Stop,
    ) -> Self {
        Self {
            waiting: files.into_iter(),
            selection,
            verify_checksums,
            position: Position::default(),
            stop,
            end: None,
            after_stop: 0,
            current: None,
            verdicts: Verdicts::default(),
            notes: Vec::new(),
        }
    }

    /// Opens the first one, and waits until it is clear that it can be read; `false` where the agent is
    /// to end before.
    pub(super) fn begin(&mut self) -> Result<bool, FileError> {
        self.open_next()?;
        while self.is_opening() {
            if self.stop.is_set() && self.is_left() {
                return Ok(false);
            }
            self.open()?;
            if self.is_opening() {
                if !self.is_waiting() {
                    return Ok(false);
                }
                self.wait();
            }
        }
        Ok(self.current.is_some())
    }

    const fn is_opening(&self) -> bool {
        matches!(self.current, Some((_, Current::Opening(_))))
    }

    /// Where they are read, for others to see.
    pub(super) fn position(&self) -> Position {
        self.position.clone()
    }

    pub(super) fn open_next(&mut self) -> Result<bool, FileError> {
        (self.verdicts, self.notes) = (self.verdicts(), self.notes());
        self.current = None;
        let Some(file) = self.waiting.next().filter(|_| !self.stop.is_set()) else {
            return Ok(false);
        };
        let opening = Opening::new(&file, self.selection.clone())?;
        self.position.begin(opening.bytes_read());
        self.current = Some((file, Current::Opening(opening)));
        Ok(true)
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Item<'_>>, FileError> {
        if self.stop.is_set() && self.is_left() {
            return Ok(None);
        }
        if self.is_opening() {
            self.open()?;
        }
        let Some((_, Current::Open(source))) = &mut self.current else { return Ok(None) };
        match source.next_item() {
            // Who writes it may have been ended too, amid its work.
            Err(error) if self.stop.is_set() && error.problem.is_early_end() => Ok(None),
            other => other,
        }
    }

    /// Opens the current file, if enough of it is there.
    #[cold]
    fn open(&mut self) -> Result<(), FileError> {
        let Some((_, current)) = &mut self.current else { return Ok(()) };
        let Current::Opening(opening) = current else { return Ok(()) };
        match opening.source() {
            Ok(Some(source)) => {
                let source = source.verify_checksums(self.verify_checksums);
                *current = Current::Open(Box::new(source));
            }
            Ok(None) => {}
            Err(error) if self.stop.is_set() && error.problem.is_early_end() => self.current = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether nothing more is read of the current file, now that the agent is to end.
    #[cold]
    fn is_left(&mut self) -> bool {
        let is_pipe = match &self.current {
            Some((_, Current::Opening(opening))) => opening.is_pipe(),
            Some((_, Current::Open(source))) => source.is_pipe(),
            None => false,
        };
        self.after_stop += 1;
        let now = Instant::now();
        let is_late = now >= *self.end.get_or_insert(now + GRACE);
        !is_pipe || (is_late && self.after_stop > MOST_AFTER_STOP)
    }

    pub(super) fn is_waiting(&self) -> bool {
        let is_over = self.end.is_some_and(|end| Instant::now() >= end);
        match &self.current {
            _ if is_over => false,
            Some((_, Current::Opening(opening))) => opening.is_pipe(),
            Some((_, Current::Open(source))) => source.is_pipe() && !source.is_over(),
            None => false,
        }
    }

    pub(super) fn wait(&self) {
        let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        let patience = left.unwrap_or(PATIENCE).min(PATIENCE);
        match &self.current {
            Some((_, Current::Opening(opening))) => opening.wait(patience),
            Some((_, Current::Open(source))) => source.wait(patience),
            None => {}
        }
    }

    pub(super) fn verdicts(&self) -> Verdicts {
        let mut verdicts = self.verdicts;
        if let Some((_, Current::Open(source))) = &self.current {
            verdicts.merge(&source.verdicts());
        }
        verdicts
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if let Some((file, Current::Open(source))) = &self.current {
            notes.extend(notes_of(file, source));
        }
        notes
    }
}

fn notes_of(file: &Path, source: &FileSource) -> impl Iterator<Item = String> {
    let name = file.display();
    let unreadable = source.unreadable_link_types().iter();
    unreadable.map(move |link| format!("{name}: packets of link type {link} were left out"))
}
