//! Payload files: bodies as the application meant them, each in a file of its own, written as they
//! come in.
//!
//! Invariants: memory is none of a body's length; a file is called `.part` until its exchange is
//! over and all of its body is there; what can't be written is counted, said once, and no reason
//! to end.

mod folder;
mod growing;
mod index;
mod media;
mod name;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::record::{HoleRecord, Payload, PayloadStateRecord};
use super::{Consumer, OutputError, Target};
use crate::event::{BodyKey, Content, Event, Exchange, FilesWritten, News, Written};
use crate::flow::Direction;
use crate::http::{About, BodyPart, State, Streamed};
use crate::segment::{Endpoint, Timestamp};
use folder::Folder;
use growing::{Growing, OpenFiles};
use index::Index;
use name::Name;

/// Who saves payload files.
#[derive(Debug)]
pub struct PayloadFiles {
    path: PathBuf,
    folder: Folder,
    index: Index,
    /// `None` for those of which no file could be made.
    growing: HashMap<BodyKey, Option<Growing>>,
    open: OpenFiles,
    /// Counts files that were begun.
    serial: u64,
    written: Written,
    files: FilesWritten,
    /// Is told what goes wrong first.
    complain: fn(&str),
    /// What that was.
    why: Option<String>,
}

impl PayloadFiles {
    /// Saves bodies in a folder, which is made if it is not there; `complain` is told when one can't
    /// be written.
    ///
    /// # Errors
    /// If there can be no folder, or no file in it.
    pub fn open(path: &Path, complain: fn(&str)) -> Result<Self, OutputError> {
        let failed = |path: PathBuf| {
            let target = Target::File(path);
            move |error| OutputError::Open { target, error }
        };
        let folder = Folder::open(path).map_err(failed(path.to_owned()))?;
        let index = Index::open(&folder).map_err(failed(path.join(index::NAME)))?;
        let output = path.display().to_string();
        Ok(Self {
            path: path.to_owned(),
            folder,
            index,
            growing: HashMap::new(),
            open: OpenFiles::default(),
            serial: 0,
            written: Written { output, ..Written::default() },
            files: FilesWritten::default(),
            complain,
            why: None,
        })
    }

    fn content(&mut self, content: &Content) {
        match &content.news {
            News::Part(part) => self.part(content.body, content.server, part),
            News::Unwanted => self.remove(content.body),
            News::Lost => self.lose(content.body),
        }
    }

    /// Writes a part of a body, and begins its file if it is the first.
    fn part(&mut self, body: BodyKey, server: Endpoint, part: &BodyPart) {
        if !self.growing.contains_key(&body) {
            let begun = self.begin(body, server, part);
            self.growing.insert(body, begun);
        }
        let bytes = part.bytes.len() as u64;
        let Some(Some(growing)) = self.growing.get_mut(&body) else {
            self.files.failed_bytes += bytes;
            return;
        };
        growing.received += bytes;
        let written = match self.open.take(body) {
            _ if growing.has_failed => Err(None),
            Some(file) => Ok(file),
            None => self.folder.reopen(&growing.file, growing.identity).map_err(Some),
        };
        let written = written.and_then(|file| match growing.write(&file, part) {
            Ok(()) => Ok(file),
            Err(error) => {
                // Whatever of the part is there is not counted.
                let _ = file.set_len(growing.end);
                Err(Some(error))
            }
        });
        match written {
            Ok(file) => {
                self.open.keep(body, file);
                self.files.content_bytes += bytes;
            }
            Err(error) => {
                growing.has_failed = true;
                self.files.failed_bytes += bytes;
                let name = growing.file.clone();
                if let Some(error) = error {
                    self.complain(&name, &error);
                }
            }
        }
    }

    fn begin(&mut self, body: BodyKey, server: Endpoint, part: &BodyPart) -> Option<Growing> {
        self.serial += 1;
        let direction = body.direction;
        // Whether it will have been decoded is told when it is over.
        let name = Name::new(&part.about, direction, server, &part.bytes, true);
        let begun = Growing::begin(&self.folder, &name, self.serial, part.about.time);
        match begun {
            Ok((growing, file)) => {
                self.open.keep(body, file);
                Some(growing)
            }
            Err(error) => {
                self.complain(&name.numbered(1, self.serial), &error);
                None
            }
        }
    }

    /// An exchange is over, and with it its bodies.
    fn exchange(&mut self, exchange: &Exchange) {
        for (body, streamed) in exchange.streamed() {
            self.end(body, exchange, streamed);
        }
    }

    fn end(&mut self, body: BodyKey, exchange: &Exchange, streamed: &Streamed) {
        let http = &exchange.http;
        let state = match body.direction {
            Direction::ToServer => http.request.as_ref().map(|it| (it.state, it.body.decoded)),
            Direction::ToClient => http.response.as_ref().map(|it| (it.state, it.body.decoded)),
        };
        let (state, is_decoded) = state.unwrap_or((State::Open, false));
        let growing = self.growing.remove(&body);
        self.open.take(body);
        let saved = Saved { exchange: Some(exchange), body, time: streamed.about.time };
        match growing {
            Some(Some(mut growing)) => {
                let state = state_of(&growing, streamed, state);
                if state == PayloadStateRecord::Complete {
                    let about = about(exchange, body.direction, streamed);
                    let server = exchange.flow.server;
                    let first = &growing.first;
                    let name = Name::new(&about, body.direction, server, first, is_decoded);
                    self.settle(&mut growing, &name);
                }
                self.note(&saved, Some(&mut growing), state);
            }
            Some(None) => self.note(&saved, None, PayloadStateRecord::Failed),
            None => self.note(&saved, None, PayloadStateRecord::Dropped),
        }
    }

    /// Gives a file whose body is whole the name that it is to have.
    fn settle(&mut self, growing: &mut Growing, name: &Name) {
        let serial = self.serial;
        let numbered = |number| name.numbered(number, serial);
        match self.folder.rename(&growing.file, growing.identity, numbered) {
            Ok(name) => growing.file = name,
            Err(error) => self.complain(&growing.file, &error),
        }
    }

    /// The exchange of a body was left out, or its end: nothing more will be known.
    fn lose(&mut self, body: BodyKey) {
        self.open.take(body);
        if let Some(Some(mut growing)) = self.growing.remove(&body) {
            let saved = Saved { exchange: None, body, time: growing.time };
            self.note(&saved, Some(&mut growing), PayloadStateRecord::Dropped);
        }
    }

    /// The exchange of a body is not wanted.
    fn remove(&mut self, body: BodyKey) {
        self.open.take(body);
        if let Some(Some(growing)) = self.growing.remove(&body) {
            match self.folder.remove(&growing.file, growing.identity) {
                Ok(()) => self.files.removed += 1,
                Err(error) => {
                    self.files.partial += 1;
                    self.complain(&growing.file, &error);
                }
            }
        }
    }

    /// Adds a line to the index.
    fn note(
        &mut self,
        saved: &Saved<'_>,
        growing: Option<&mut Growing>,
        state: PayloadStateRecord,
    ) {
        let (sha256, growing) = match growing {
            Some(growing) => (growing.sha256(), Some(&*growing)),
            None => (None, None),
        };
        if growing.is_some() {
            let is_whole = state == PayloadStateRecord::Complete;
            *if is_whole { &mut self.files.whole } else { &mut self.files.partial } += 1;
        }
        let holes = growing.map_or(&[][..], |growing| &growing.holes);
        let payload = Payload {
            time: saved.time,
            file: growing.map(|growing| growing.file.as_str()),
            exchange: saved.exchange,
            direction: saved.body.direction,
            detected_type: growing.and_then(|growing| media::detect(&growing.first)),
            bytes: growing.map_or(0, |growing| growing.end),
            sha256,
            state,
            holes: holes
                .iter()
                .map(|it| HoleRecord { offset: it.offset, bytes: it.bytes })
                .collect(),
        };
        if let Err(error) = self.index.add(payload) {
            self.complain(index::NAME, &error);
        }
    }

    /// Says what went wrong with a file, unless something was said before.
    fn complain(&mut self, name: &str, error: &io::Error) {
        if self.why.is_none() {
            let file = self.path.join(name);
            let file = file.display();
            (self.complain)(&format!(
                "cannot write to {file}: {error}; the capture goes on without it"
            ));
            self.why = Some(error.to_string());
        }
    }
}

impl Consumer for PayloadFiles {
    fn take(&mut self, event: &Event) -> Result<(), OutputError> {
        match event {
            Event::Content(content) => self.content(content),
            Event::Exchange(exchange) => {
                self.written.exchanges += 1;
                self.exchange(exchange);
            }
            Event::WebSocket(_) => self.written.messages += 1,
            Event::Flow(_) => self.written.flows += 1,
            Event::Stats(_) | Event::Opened(_) | Event::Data(_) => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        let left: Vec<_> = self.growing.keys().copied().collect();
        left.into_iter().for_each(|body| self.lose(body));
        if let Err(error) = self.index.write() {
            self.complain(index::NAME, &error);
        }
        let Some(why) = self.why.clone() else { return Ok(()) };
        let target = Target::File(self.path.clone());
        Err(OutputError::Lost { target, lost: "bodies or lines of the index are".to_owned(), why })
    }

    fn written(&self) -> Written {
        let bytes = self.files.content_bytes + self.index.bytes;
        Written { bytes, files: Some(self.files), ..self.written.clone() }
    }
}

/// Whose body was saved.
struct Saved<'a> {
    exchange: Option<&'a Exchange>,
    body: BodyKey,
    time: Timestamp,
}

/// What is known of a body when its exchange is over.
fn about(exchange: &Exchange, direction: Direction, streamed: &Streamed) -> About {
    let http = &exchange.http;
    let request = http.request.as_ref();
    let head = match direction {
        Direction::ToServer => request.map(|it| it.head.head()),
        Direction::ToClient => http.response.as_ref().map(|it| it.head.head()),
    };
    head.map_or_else(
        || About::clone(&streamed.about),
        |head| About::new(head, request.map(|it| &it.head), http.time()),
    )
}

fn state_of(growing: &Growing, streamed: &Streamed, state: State) -> PayloadStateRecord {
    match state {
        _ if growing.has_failed => PayloadStateRecord::Failed,
        _ if growing.received < streamed.bytes => PayloadStateRecord::Dropped,
        State::Complete if streamed.is_whole => PayloadStateRecord::Complete,
        State::Complete => PayloadStateRecord::Undecoded,
        State::Gap => PayloadStateRecord::Gap,
        State::Elided => PayloadStateRecord::Elided,
        State::Cut => PayloadStateRecord::Cut,
        State::Midstream => PayloadStateRecord::Midstream,
        State::Open => PayloadStateRecord::Open,
    }
}
