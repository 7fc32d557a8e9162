//! From a path or a reader to the capture there, as its first bytes come in.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use super::error::{FileError, Problem};
use super::input::{self, BytesRead, Counted, Format, Input, MAGIC_BYTES, Pipe};
use super::window::Window;
use super::{FileSource, Parts};
use crate::selection::Selection;

/// A capture that is being opened: what it is, its first bytes tell.
pub struct Opening {
    name: String,
    selection: Selection,
    pipe: Option<Pipe>,
    read: BytesRead,
    stage: Stage,
}

/// What is had of it.
enum Stage {
    /// Some of the bytes that tell how it is packed.
    Magic(Box<dyn Read + Send>, Vec<u8>),
    /// What is in it.
    Unpacked(Window),
    Done,
}

impl Opening {
    /// Opens the capture at `path`, `-` for standard input, without waiting for anything: of what
    /// comes as it is written, [`FileSource::next_item`] yields what is there.
    ///
    /// # Errors
    /// If there is nothing that can be read.
    pub fn new(path: &Path, selection: Selection) -> Result<Self, FileError> {
        let name = input::name(path);
        let Input { reader, pipe } =
            input::open_ready(path).map_err(|problem| FileError::new(&name, problem))?;
        Ok(Self { pipe, ..Self::from_reader(reader, &name, selection) })
    }

    /// Opens the capture that `reader` yields; errors call it `name`. Where nothing is there for now,
    /// the reader is to fail with [`ErrorKind::WouldBlock`].
    #[must_use]
    pub fn from_reader(reader: Box<dyn Read + Send>, name: &str, selection: Selection) -> Self {
        let (name, read) = (name.to_owned(), BytesRead::default());
        let reader = Box::new(Counted { reader, read: read.clone() });
        let stage = Stage::Magic(reader, Vec::new());
        Self { name, selection, pipe: None, read, stage }
    }

    /// The capture, once enough of it is there to tell what it is; `None` until then.
    ///
    /// # Errors
    /// What cannot be read, and what is not a capture.
    pub fn source(&mut self) -> Result<Option<FileSource>, FileError> {
        match self.advance() {
            Ok(Some((window, format))) => {
                let (name, pipe) = (self.name.clone(), self.pipe.clone());
                let selection = self.selection.clone();
                Ok(Some(FileSource::new(Parts { name, selection, pipe, window, format })))
            }
            Ok(None) => Ok(None),
            Err(problem) if problem.is_for_now() => Ok(None),
            Err(problem) => Err(FileError::new(&self.name, problem)),
        }
    }

    /// How far into it is read, for others to see, also once it is open.
    #[must_use]
    pub fn bytes_read(&self) -> BytesRead {
        self.read.clone()
    }

    /// Whether the capture comes as it is written.
    #[must_use]
    pub const fn is_pipe(&self) -> bool {
        self.pipe.is_some()
    }

    /// Waits until more may have come, and no longer than this.
    pub fn wait(&self, patience: Duration) {
        self.pipe.iter().for_each(|pipe| _ = pipe.wait(patience));
    }

    fn advance(&mut self) -> Result<Option<(Window, Format)>, Problem> {
        if let Stage::Magic(reader, magic) = &mut self.stage {
            read_magic(reader, magic)?;
            let Stage::Magic(reader, magic) = std::mem::replace(&mut self.stage, Stage::Done)
            else {
                return Ok(None);
            };
            self.stage = Stage::Unpacked(input::unpack(reader, magic)?);
        }
        let Stage::Unpacked(window) = &mut self.stage else { return Ok(None) };
        let format = Format::recognise(window)?;
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Unpacked(window) => Ok(Some((window, format))),
            Stage::Magic(..) | Stage::Done => Ok(None),
        }
    }
}

/// Reads what is missing of the bytes that tell how a stream is packed; fewer where it ends.
fn read_magic(reader: &mut impl Read, magic: &mut Vec<u8>) -> Result<(), Problem> {
    while magic.len() < MAGIC_BYTES {
        let mut missing = [0; MAGIC_BYTES];
        let wanted = missing.get_mut(magic.len()..).unwrap_or_default();
        match reader.read(wanted) {
            Ok(0) => break,
            Ok(count) => magic.extend(wanted.iter().take(count)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Problem::Read(error)),
        }
    }
    Ok(())
}
