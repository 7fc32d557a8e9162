//! `io` for scripts: files of the script's folder.
//!
//! As in Lua's own library, a file that can't be opened is `nil`, why and a number. Other than there,
//! what can't be written is an error of the script, so that it goes to no disk that is full.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{
    Error, Function, IntoLua as _, IntoLuaMulti as _, Lua, LuaString, MultiValue, Table, UserData,
    UserDataMethods, Value, Variadic,
};
use rustix::fs::OFlags;

use super::dir::ScriptDir;
use super::sandbox::{Host, host};

/// Files that may be open at once: what a script forgets to close shall not be the end of the
/// agent's own.
const MAX_OPEN_FILES: usize = 64;
/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;

/// Adds what the prelude takes for `io`.
pub(super) fn add_functions(lua: &Lua, host: &Host, agent: &Table) -> mlua::Result<()> {
    let open = Opener { host: host.clone(), open_files: Arc::default() };
    let opener = open.clone();
    let open_file = move |lua: &Lua, (path, mode): (LuaString, Option<LuaString>)| {
        let dir = opener.host.dir()?;
        let mode = mode.map_or(b"r".to_vec(), |mode| mode.as_bytes().to_vec());
        match opener.open(lua, dir, &path.as_bytes(), &mode)? {
            Ok(file) => file.into_lua_multi(lua),
            Err(error) => {
                let text = format!("{}: {error}", String::from_utf8_lossy(&path.as_bytes()));
                (Value::Nil, text, error.raw_os_error().unwrap_or(0)).into_lua_multi(lua)
            }
        }
    };
    agent.raw_set("open", lua.create_function(open_file)?)?;
    let lines = move |lua: &Lua, path: LuaString| {
        let dir = open.host.dir()?;
        let file = open.open(lua, dir, &path.as_bytes(), b"r")?;
        let file = file.map_err(|error| {
            let path = String::from_utf8_lossy(&path.as_bytes()).into_owned();
            Error::RuntimeError(format!("{path}: {error}"))
        })?;
        lines(lua, lua.create_userdata(file)?)
    };
    agent.raw_set("lines", lua.create_function(lines)?)
}

#[derive(Clone)]
struct Opener {
    host: Host,
    open_files: Arc<AtomicUsize>,
}

impl Opener {
    fn open(
        &self,
        lua: &Lua,
        dir: &ScriptDir,
        path: &[u8],
        mode: &[u8],
    ) -> mlua::Result<io::Result<ScriptFile>> {
        let flags = match mode.strip_suffix(b"b").unwrap_or(mode) {
            b"r" => OFlags::RDONLY,
            b"r+" => OFlags::RDWR,
            b"w" => OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
            b"w+" => OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC,
            b"a" => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
            b"a+" => OFlags::RDWR | OFlags::CREATE | OFlags::APPEND,
            _ => return Err(Error::RuntimeError("no mode of io.open: r, w, a, r+, w+, a+".into())),
        };
        if self.open_files.load(Ordering::Relaxed) >= MAX_OPEN_FILES {
            // Some may only be forgotten.
            lua.gc_collect()?;
        }
        if self.open_files.load(Ordering::Relaxed) >= MAX_OPEN_FILES {
            return Err(Error::RuntimeError(format!("{MAX_OPEN_FILES} files are open already")));
        }
        Ok(dir.open_file(path, flags).map(|file| {
            self.open_files.fetch_add(1, Ordering::Relaxed);
            let open = Open { file, open_files: Arc::clone(&self.open_files) };
            ScriptFile { open: Some(open), ahead: Vec::new(), at: 0 }
        }))
    }
}

/// A file that is open.
struct Open {
    file: File,
    open_files: Arc<AtomicUsize>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open_files.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A file of a script.
struct ScriptFile {
    /// `None` once it is closed.
    open: Option<Open>,
    /// What was read of it and not asked for yet, from `at` on.
    ahead: Vec<u8>,
    at: usize,
}

impl ScriptFile {
    fn file(&mut self) -> mlua::Result<&mut File> {
        let open = self.open.as_mut().map(|open| &mut open.file);
        open.ok_or_else(|| Error::RuntimeError("the file is closed".to_owned()))
    }

    /// What is ahead; some more of the file where that is nothing, and nothing at its end.
    fn fill(&mut self) -> mlua::Result<&[u8]> {
        if self.at >= self.ahead.len() {
            let mut ahead = std::mem::take(&mut self.ahead);
            ahead.resize(READ_BYTES, 0);
            let read = self.file()?.read(&mut ahead).map_err(Error::external)?;
            ahead.truncate(read);
            (self.ahead, self.at) = (ahead, 0);
        }
        Ok(self.ahead.get(self.at..).unwrap_or_default())
    }

    /// Bytes until `is_over` says where they end, of what comes next; `None` at the end of the file.
    fn take(
        &mut self,
        limit: usize,
        mut end: impl FnMut(&[u8]) -> Option<usize>,
    ) -> mlua::Result<Option<Vec<u8>>> {
        let mut taken = Vec::new();
        loop {
            let next = self.fill()?;
            if next.is_empty() {
                return Ok((!taken.is_empty()).then_some(taken));
            }
            let end = end(next);
            let part = next.get(..end.unwrap_or(next.len())).unwrap_or_default();
            taken.extend_from_slice(part);
            self.at += part.len();
            if end.is_some() {
                return Ok(Some(taken));
            }
            if taken.len() > limit {
                return Err(Error::RuntimeError("more than it may hold (--script-memory)".into()));
            }
        }
    }

    fn line(&mut self, limit: usize, keeps_end: bool) -> mlua::Result<Option<Vec<u8>>> {
        let end = |bytes: &[u8]| memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let line = self.take(limit, end)?;
        Ok(line.map(|mut line| {
            if !keeps_end && line.ends_with(b"\n") {
                line.pop();
            }
            line
        }))
    }

    fn read(&mut self, limit: usize, format: &Value) -> mlua::Result<Option<Vec<u8>>> {
        if let Some(mut left) = format.as_usize() {
            if left == 0 {
                return Ok((!self.fill()?.is_empty()).then(Vec::new));
            }
            return self.take(limit, |bytes| {
                let here = left.min(bytes.len());
                left -= here;
                (left == 0).then_some(here)
            });
        }
        let format = format.as_string().map(|format| format.as_bytes().to_vec());
        let format = format.unwrap_or_default();
        match format.strip_prefix(b"*").unwrap_or(&format) {
            b"l" => self.line(limit, false),
            b"L" => self.line(limit, true),
            b"a" => Ok(Some(self.take(limit, |_| None)?.unwrap_or_default())),
            _ => Err(Error::RuntimeError("read takes 'l', 'L', 'a' or a number of bytes".into())),
        }
    }

    /// Goes to where the script is, not the agent, which may be ahead.
    fn go_back(&mut self) -> mlua::Result<()> {
        let ahead = self.ahead.len().saturating_sub(self.at);
        (self.ahead, self.at) = (Vec::new(), 0);
        if ahead > 0 {
            let back = i64::try_from(ahead).unwrap_or(i64::MAX);
            self.file()?.seek(SeekFrom::Current(-back)).map_err(Error::external)?;
        }
        Ok(())
    }

    fn seek(&mut self, whence: &[u8], offset: i64) -> mlua::Result<u64> {
        self.go_back()?;
        let to = match whence {
            b"set" => SeekFrom::Start(u64::try_from(offset).map_err(Error::external)?),
            b"cur" => SeekFrom::Current(offset),
            b"end" => SeekFrom::End(offset),
            _ => return Err(Error::RuntimeError("seek takes 'set', 'cur' or 'end'".to_owned())),
        };
        self.file()?.seek(to).map_err(Error::external)
    }
}

impl UserData for ScriptFile {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method_mut("read", |lua, file, formats: Variadic<Value>| {
            let limit = host(lua)?.max_memory_bytes;
            let line = [Value::String(lua.create_string("l")?)];
            let formats = if formats.is_empty() { &line[..] } else { &formats[..] };
            let mut values = MultiValue::new();
            for format in formats {
                let read = file.read(limit, format)?;
                let is_over = read.is_none();
                let text = read.map(|text| lua.create_string(text)).transpose()?;
                values.push_back(text.into_lua(lua)?);
                if is_over {
                    break;
                }
            }
            Ok(values)
        });
        methods.add_function(
            "write",
            |_, (this, texts): (mlua::AnyUserData, Variadic<LuaString>)| {
                let mut file = this.borrow_mut::<Self>()?;
                file.go_back()?;
                for text in &*texts {
                    file.file()?.write_all(&text.as_bytes()).map_err(Error::external)?;
                }
                drop(file);
                Ok(this)
            },
        );
        methods.add_method_mut(
            "seek",
            |_, file, (whence, by): (Option<LuaString>, Option<i64>)| {
                let whence = whence.map_or(b"cur".to_vec(), |whence| whence.as_bytes().to_vec());
                file.seek(&whence, by.unwrap_or(0))
            },
        );
        methods.add_function("lines", |lua, this: mlua::AnyUserData| lines(lua, this));
        methods.add_method_mut("flush", |_, file, ()| file.file().map(|_| true));
        methods.add_method_mut("close", |_, file, ()| {
            file.file()?;
            file.open = None;
            Ok(true)
        });
    }
}

/// A function that gives the next line at each call.
fn lines(lua: &Lua, file: mlua::AnyUserData) -> mlua::Result<Function> {
    lua.create_function(move |lua, ()| {
        let limit = host(lua)?.max_memory_bytes;
        let line = file.borrow_mut::<ScriptFile>()?.line(limit, false)?;
        line.map(|line| lua.create_string(line)).transpose()
    })
}
