//! `e`: an exchange, with the fields of the JSON contract.
//!
//! A field is made when it is looked at; so an exchange costs a script what it asks of it.

use std::sync::Arc;

use mlua::{LuaString, MetaMethod, UserData, UserDataMethods, Value};

use super::body::BodyValue;
use super::held::Held;
use super::pick::{name, pairs, pick, whole};
use crate::event::Exchange;
use crate::http;
use crate::output::record::{ExchangeRecord, RequestRecord, ResponseRecord};

/// An exchange that a script holds.
#[derive(Debug)]
pub(super) struct Kept {
    exchange: Exchange,
    _held: Held,
}

/// A message of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

impl Kept {
    /// A message's content, where there is the message.
    pub(super) fn body(&self, side: Side) -> Option<&http::Body> {
        let http = &self.exchange.http;
        match side {
            Side::Request => http.request.as_ref().map(|message| &message.body),
            Side::Response => http.response.as_ref().map(|message| &message.body),
        }
    }

    /// How much of a message was seen, where there is the message.
    pub(super) fn is_complete(&self, side: Side) -> bool {
        let http = &self.exchange.http;
        let state = match side {
            Side::Request => http.request.as_ref().map(|message| message.state),
            Side::Response => http.response.as_ref().map(|message| message.state),
        };
        state == Some(http::State::Complete)
    }

    /// A field of a message.
    pub(super) fn field(&self, lua: &mlua::Lua, side: Side, path: &[&str]) -> mlua::Result<Value> {
        let http = &self.exchange.http;
        match (side, &http.request, &http.response) {
            (Side::Request, Some(request), _) => pick(lua, &RequestRecord::from(request), path),
            (Side::Response, _, Some(response)) => pick(lua, &ResponseRecord::from(response), path),
            _ => Ok(Value::Nil),
        }
    }
}

/// `e`.
#[derive(Clone, Debug)]
pub(super) struct ExchangeValue(Arc<Kept>);

impl ExchangeValue {
    pub(super) fn new(exchange: &Exchange, held: Held) -> Self {
        Self(Arc::new(Kept { exchange: exchange.clone(), _held: held }))
    }

    fn message(&self, side: Side) -> Option<MessageValue> {
        self.0.body(side).map(|_| MessageValue { kept: Arc::clone(&self.0), side })
    }
}

impl UserData for ExchangeValue {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("save", |lua, this, path: LuaString| {
            // The response is what most have come for.
            let sides = [Side::Response, Side::Request].into_iter();
            let has_content =
                |side: &Side| this.0.body(*side).is_some_and(|body| !body.content.is_empty());
            let side = sides.clone().find(has_content).unwrap_or(Side::Response);
            let whole = BodyValue::new(&this.0, side).save(lua, &path)?;
            Ok((path, whole))
        });
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| {
            let Some(key) = name(&key) else { return Ok(Value::Nil) };
            match &*key {
                "type" => lua.create_string("exchange").map(Value::String),
                "request" => lua.pack(this.message(Side::Request)),
                "response" => lua.pack(this.message(Side::Response)),
                key => pick(lua, &ExchangeRecord::outline(&this.0.exchange), &[key]),
            }
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let fields = whole(lua, &ExchangeRecord::outline(&this.0.exchange))?;
            fields.raw_set("type", "exchange")?;
            fields.raw_set("request", this.message(Side::Request))?;
            fields.raw_set("response", this.message(Side::Response))?;
            pairs(lua, fields)
        });
    }
}

/// `e.request` or `e.response`.
#[derive(Clone, Debug)]
struct MessageValue {
    kept: Arc<Kept>,
    side: Side,
}

impl UserData for MessageValue {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| {
            let Some(key) = name(&key) else { return Ok(Value::Nil) };
            match &*key {
                "body" => lua.pack(BodyValue::new(&this.kept, this.side)),
                key => this.kept.field(lua, this.side, &[key]),
            }
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let http = &this.kept.exchange.http;
            let fields = match (this.side, &http.request, &http.response) {
                (Side::Request, Some(request), _) => whole(lua, &RequestRecord::from(request))?,
                (Side::Response, _, Some(response)) => whole(lua, &ResponseRecord::from(response))?,
                _ => lua.create_table()?,
            };
            fields.raw_set("body", BodyValue::new(&this.kept, this.side))?;
            pairs(lua, fields)
        });
    }
}
