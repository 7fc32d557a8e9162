//! A script (`--script FILE.lua`): Lua 5.4 whose functions are called with what was captured.
//!
//! It is a consumer of the outputs, so it gets their events, in their order, on the thread that
//! writes. Invariants: it reaches nothing but the folder that it was given and standard output; each
//! call ends after a bounded number of steps, and takes a bounded amount of memory, whatever it does
//! about that; an event is given to it, or booked as left out.

mod body;
mod dir;
mod error;
mod exchange;
mod explain;
mod file;
mod flow;
mod functions;
mod held;
mod pick;
mod printed;
mod sandbox;
mod steps;

use std::fmt;
use std::path::PathBuf;

use mlua::{Function, IntoLuaMulti, Lua};

use crate::event::{Counts, Event, FlowData, RawCounts, Written};
use crate::output::{Consumer, OutputError, Takes, aside, weight};
use dir::ScriptDir;
pub use error::ScriptError;
use exchange::ExchangeValue;
use flow::FlowValue;
use functions::{Functions, Name};
use sandbox::Host;

/// Failures that are said on standard error where they are but counted.
const SAID_ERRORS: u64 = 3;

/// Which script, and what it may do.
#[derive(Clone, Debug)]
pub struct ScriptSettings {
    /// The script.
    pub file: PathBuf,
    /// The folder whose files it may use; without one it may use none.
    pub dir: Option<PathBuf>,
    /// Steps (instructions of Lua) that a call may take: what ends a script that loops for ever.
    pub max_steps: u64,
    /// Bytes that it may hold: what ends a script that keeps everything.
    pub max_memory_bytes: usize,
    /// Whether failures are counted, and do not end the capture.
    pub counts_errors: bool,
    /// Whether secrets are shown: what is said on flows is given to no script otherwise.
    pub shows_secrets: bool,
}

/// A script at work.
pub struct Script {
    /// Its path, for people and for the ledger.
    path: String,
    lua: Lua,
    functions: Functions,
    host: Host,
    written: Written,
    has_failed: bool,
}

impl Script {
    /// Loads a script: what stands outside of its functions is run.
    ///
    /// # Errors
    /// If it can't be read, is no Lua, fails already, or has nothing to call.
    pub fn open(settings: &ScriptSettings) -> Result<Self, ScriptError> {
        let path = settings.file.display().to_string();
        let source = std::fs::read(&settings.file)
            .map_err(|error| ScriptError::Read { path: settings.file.clone(), error })?;
        let dir = settings.dir.as_deref().map(ScriptDir::open).transpose();
        let dir = dir.map_err(|error| ScriptError::Dir {
            path: settings.dir.clone().unwrap_or_default(),
            error,
        })?;
        let chunk = explain::chunk_name(&settings.file);
        let host = Host::new(settings, dir, chunk);
        let load = || {
            let lua = sandbox::lua(&host)?;
            host.steps.begin(&lua)?;
            sandbox::run(&lua, &host, &source)?;
            let functions = Functions::of(&lua)?;
            Ok((lua, functions))
        };
        let (lua, functions) = load()
            .map_err(|error| ScriptError::Load { why: explain::explain(&error, &host.chunk) })?;
        host.begins_capture();
        if functions.is_empty() {
            return Err(ScriptError::NothingToCall { path });
        }
        if let Some(name) = functions.wire_bytes().filter(|_| !settings.shows_secrets) {
            return Err(ScriptError::Secrets { name });
        }
        let takes = functions.takes();
        let written = Written {
            output: path.clone(),
            raw: (takes.opened || takes.data).then(RawCounts::default),
            errors: settings.counts_errors.then_some(0),
            ..Written::default()
        };
        Ok(Self { path, lua, functions, host, written, has_failed: false })
    }

    /// Calls a function of the script.
    fn call(&mut self, name: Name, args: impl IntoLuaMulti) -> Result<(), OutputError> {
        let Some(function) = self.functions.get(name) else { return Ok(()) };
        let result = call(&self.lua, &self.host, function, args);
        // Whatever the script made of it: what it prints goes nowhere any more.
        self.host.printed.check()?;
        if let Err(error) = result {
            let why = explain::explain(&error, &self.host.chunk);
            self.fail(ScriptError::Failed { function: name.text(), why })?;
        }
        if self.host.is_stopped() { Err(OutputError::Enough) } else { Ok(()) }
    }

    fn fail(&mut self, error: ScriptError) -> Result<(), OutputError> {
        let Some(errors) = &mut self.written.errors else {
            self.has_failed = true;
            return Err(OutputError::Consumer(Box::new(error)));
        };
        *errors += 1;
        if *errors <= SAID_ERRORS {
            let last = if *errors == SAID_ERRORS { "; further ones are but counted" } else { "" };
            aside::say(format_args!("{error}{last}"));
        }
        Ok(())
    }

    /// Counts an event as given to the script.
    fn count(&mut self, event: &Event) {
        let mut given = Counts::default();
        given.add(event);
        self.written.exchanges += given.exchanges;
        self.written.flows += given.flows;
        if let Some(raw) = &mut self.written.raw {
            raw.merge(&given.raw);
        }
    }

    /// Gives the script an event that it has this function for.
    fn give(&mut self, name: Name, event: &Event) -> Result<(), OutputError> {
        let held = match self.host.held.hold(weight(event), &self.lua) {
            Ok(held) => held,
            Err(error) => {
                let why = error.to_string();
                return self.fail(ScriptError::Failed { function: name.text(), why });
            }
        };
        match event {
            Event::Exchange(exchange) => self.call(name, ExchangeValue::new(exchange, held)),
            Event::Flow(summary) => self.call(name, FlowValue::closed(summary, held)),
            Event::Opened(flow) => self.call(name, FlowValue::opened(flow, flow.start, held)),
            Event::Data(data) => {
                let FlowData { flow, offset, time, bytes, .. } = &**data;
                let bytes = mlua::BString::from(bytes.as_slice());
                self.call(name, (FlowValue::opened(flow, *time, held), bytes, *offset))
            }
            Event::Stats(_) | Event::WebSocket(_) | Event::Content(_) => Ok(()),
        }
    }
}

/// Calls a function, which has all its steps before it.
fn call(lua: &Lua, host: &Host, function: &Function, args: impl IntoLuaMulti) -> mlua::Result<()> {
    host.steps.begin(lua)?;
    let result = function.call::<()>(args);
    host.steps.check().and(result)
}

impl Consumer for Script {
    fn takes(&self) -> Takes {
        self.functions.takes()
    }

    fn take(&mut self, event: &Event) -> Result<(), OutputError> {
        match functions::name_of(event) {
            _ if matches!(event, Event::Stats(_)) => Ok(()),
            Some(name) if self.functions.get(name).is_some() => {
                self.count(event);
                self.give(name, event)
            }
            _ => {
                self.written.left_out.add(event);
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        self.host.printed.flush()
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        let finished = if self.has_failed { Ok(()) } else { self.call(Name::Finished, ()) };
        let flushed = self.flush();
        match finished {
            Err(OutputError::Enough) => flushed,
            other => other.and(flushed),
        }
    }

    fn written(&self) -> Written {
        Written { bytes: self.host.printed.bytes(), ..self.written.clone() }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("path", &self.path).finish_non_exhaustive()
    }
}
