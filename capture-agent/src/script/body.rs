//! `e.request.body` and `e.response.body`: the fields of the contract, and the bytes themselves.

use std::io::Write as _;
use std::sync::Arc;

use mlua::{Error, Lua, LuaString, MetaMethod, Table, UserData, UserDataMethods, Value};
use rustix::fs::OFlags;

use super::exchange::{Kept, Side};
use super::pick::{name, pairs};
use super::sandbox::host;

/// A message's body.
#[derive(Clone, Debug)]
pub(super) struct BodyValue {
    kept: Arc<Kept>,
    side: Side,
}

impl BodyValue {
    pub(super) fn new(kept: &Arc<Kept>, side: Side) -> Self {
        Self { kept: Arc::clone(kept), side }
    }

    /// What was kept of it; `None` where there was something and nothing was kept.
    fn content(&self) -> Option<&[u8]> {
        let body = self.kept.body(self.side)?;
        let is_there = !body.content.is_empty() || (body.wire_bytes == 0 && !body.truncated);
        is_there.then_some(&body.content[..])
    }

    /// Writes it to a file that must not be there; returns whether that is all of it.
    pub(super) fn save(&self, lua: &Lua, path: &LuaString) -> mlua::Result<bool> {
        let host = host(lua)?;
        let dir = host.dir()?;
        let content = self.content().filter(|content| !content.is_empty()).ok_or_else(|| {
            let text = "there is no body to save: none was sent, or none was kept (--bodies=LIMIT)";
            Error::RuntimeError(text.to_owned())
        })?;
        let shown = || String::from_utf8_lossy(&path.as_bytes()).into_owned();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = dir.open_file(&path.as_bytes(), flags);
        let saved = file.and_then(|mut file| file.write_all(content));
        saved.map_err(|error| Error::RuntimeError(format!("cannot save {}: {error}", shown())))?;
        let is_cut = self.kept.body(self.side).is_none_or(|body| body.truncated);
        Ok(!is_cut && self.kept.is_complete(self.side))
    }
}

impl UserData for BodyValue {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("content", |lua, this, ()| {
            this.content().map(|content| lua.create_string(content)).transpose()
        });
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| match name(&key) {
            Some(key) => this.kept.field(lua, this.side, &["body", &key]),
            None => Ok(Value::Nil),
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let fields: Option<Table> =
                lua.unpack(this.kept.field(lua, this.side, &["body"])?)?;
            pairs(lua, fields.map_or_else(|| lua.create_table(), Ok)?)
        });
    }
}
