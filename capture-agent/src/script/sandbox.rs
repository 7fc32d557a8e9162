//! Lua as a script finds it: what it can't do any harm with, the rest replaced by the prelude.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mlua::chunk::ChunkMode;
use mlua::{Error, Lua, LuaOptions, StdLib, Table, Value, Variadic};

use super::ScriptSettings;
use super::dir::ScriptDir;
use super::explain::{self, PRELUDE};
use super::file;
use super::held::AllHeld;
use super::printed::Printed;
use super::steps::Steps;

const SOURCE: &str = include_str!("prelude.lua");

/// What there is of the agent for a script; all that its values and functions share.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) steps: Steps,
    pub(super) printed: Printed,
    pub(super) held: Arc<AllHeld>,
    pub(super) dir: Option<Arc<ScriptDir>>,
    /// What the script's own lines are told by.
    pub(super) chunk: Arc<str>,
    pub(super) max_memory_bytes: usize,
    is_capturing: Arc<AtomicBool>,
    is_stopped: Arc<AtomicBool>,
}

impl Host {
    pub(super) fn new(settings: &ScriptSettings, dir: Option<ScriptDir>, chunk: String) -> Self {
        Self {
            steps: Steps::new(settings.max_steps, &chunk),
            printed: Printed::new(),
            held: Arc::new(AllHeld::new(settings.max_memory_bytes)),
            dir: dir.map(Arc::new),
            chunk: chunk.into(),
            max_memory_bytes: settings.max_memory_bytes,
            is_capturing: Arc::default(),
            is_stopped: Arc::default(),
        }
    }

    /// The folder whose files the script may use.
    pub(super) fn dir(&self) -> mlua::Result<&Arc<ScriptDir>> {
        self.dir.as_ref().ok_or_else(|| {
            Error::RuntimeError("files take a folder for them: --script-dir DIR".to_owned())
        })
    }

    /// From now on events are given to the script.
    pub(super) fn begins_capture(&self) {
        self.is_capturing.store(true, Ordering::Relaxed);
    }

    /// Whether the script has called `stop()`.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn stop(&self) -> mlua::Result<()> {
        if !self.is_capturing.load(Ordering::Relaxed) {
            let text = "stop() ends a capture, and none has begun: call it in a function";
            return Err(Error::RuntimeError(text.to_owned()));
        }
        self.is_stopped.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The host of a script, for its values.
pub(super) fn host(lua: &Lua) -> mlua::Result<Host> {
    let host = lua.app_data_ref::<Host>().map(|host| host.clone());
    host.ok_or_else(|| Error::RuntimeError("the capture is over".to_owned()))
}

/// Lua with nothing in it yet but the prelude.
pub(super) fn lua(host: &Host) -> mlua::Result<Lua> {
    let libraries = StdLib::COROUTINE
        | StdLib::TABLE
        | StdLib::STRING
        | StdLib::UTF8
        | StdLib::MATH
        | StdLib::OS;
    // Its own `pcall` can't be yielded across; nothing here panics.
    let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
    let agent = functions(&lua, host)?;
    lua.load(SOURCE).set_name(format!("={PRELUDE}")).set_mode(ChunkMode::Text).call::<()>(agent)?;
    lua.set_app_data(host.clone());
    lua.set_memory_limit(host.max_memory_bytes)?;
    host.steps.watch(&lua)?;
    Ok(lua)
}

/// Runs what stands in a script outside of its functions.
pub(super) fn run(lua: &Lua, host: &Host, source: &[u8]) -> mlua::Result<()> {
    // A first line for the shell, as Lua's own command takes it.
    let shell: &[u8] = if source.starts_with(b"#") { b"--" } else { b"" };
    let source = [shell, source].concat();
    let chunk = lua.load(&source[..]).set_name(format!("@{}", host.chunk));
    let result = chunk.set_mode(ChunkMode::Text).exec();
    host.steps.check().and(result)
}

/// What the prelude takes of the agent.
fn functions(lua: &Lua, host: &Host) -> mlua::Result<Table> {
    let agent = lua.create_table()?;
    let of = host.clone();
    agent.raw_set("check", lua.create_function(move |_, ()| of.steps.check())?)?;
    let of = host.clone();
    agent.raw_set("charge", lua.create_function(move |_, ()| of.steps.charge())?)?;
    let of = host.clone();
    let plain = move |lua: &Lua, value: Value| match value {
        Value::Error(error) => {
            let text = explain::explain(&error, &of.chunk);
            lua.create_string(text).map(Value::String)
        }
        other => Ok(other),
    };
    agent.raw_set("plain", lua.create_function(plain)?)?;
    let of = host.clone();
    let write = move |_: &Lua, texts: Variadic<mlua::LuaString>| {
        texts.iter().try_for_each(|text| of.printed.print(&text.as_bytes()))
    };
    agent.raw_set("write", lua.create_function(write)?)?;
    let of = host.clone();
    agent.raw_set("stop", lua.create_function(move |_, ()| of.stop())?)?;
    file::add_functions(lua, host, &agent)?;
    Ok(agent)
}
