//! Capture files one after the other, as one feed of segments: read here, or ahead of the engine
//! by a thread of its own.

use std::path::PathBuf;
use std::vec;

use capture_agent::selection::Selection;
use capture_agent::source::file::{FileError, FileSource};
use capture_agent::source::{Item, Verdicts};

use super::ahead::Ahead;

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
            Self::Ahead(ahead) => Ok(ahead.open_next()),
        }
    }

    /// The next item, `None` where `open_next` is to be asked.
    pub(super) fn next_item(&mut self) -> Result<Option<Item<'_>>, FileError> {
        match self {
            Self::Here(files) => files.next_item(),
            Self::Ahead(ahead) => ahead.next_item(),
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
    current: Option<(PathBuf, FileSource)>,
    /// Of the files before the current one.
    verdicts: Verdicts,
    notes: Vec<String>,
}

impl Files {
    pub(super) fn new(files: Vec<PathBuf>, selection: Selection, verify_checksums: bool) -> Self {
        Self {
            waiting: files.into_iter(),
            selection,
            verify_checksums,
            current: None,
            verdicts: Verdicts::default(),
            notes: Vec::new(),
        }
    }

    pub(super) fn open_next(&mut self) -> Result<bool, FileError> {
        (self.verdicts, self.notes) = (self.verdicts(), self.notes());
        self.current = None;
        let Some(file) = self.waiting.next() else { return Ok(false) };
        let source = FileSource::open(&file, self.selection.clone())?;
        self.current = Some((file, source.verify_checksums(self.verify_checksums)));
        Ok(true)
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Item<'_>>, FileError> {
        match &mut self.current {
            Some((_, source)) => source.next_item(),
            None => Ok(None),
        }
    }

    pub(super) fn verdicts(&self) -> Verdicts {
        let mut verdicts = self.verdicts;
        if let Some((_, source)) = &self.current {
            verdicts.merge(&source.verdicts());
        }
        verdicts
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if let Some((file, source)) = &self.current {
            let unreadable = source.unreadable_link_types().iter();
            notes.extend(unreadable.map(|link| {
                format!("{}: packets of link type {link} were left out", file.display())
            }));
        }
        notes
    }
}
