//! `f`: a flow, with the fields of the JSON contract as far as they are known.

use mlua::{Lua, MetaMethod, UserData, UserDataMethods, Value};

use super::held::Held;
use super::pick::{name, pairs, pick, whole};
use crate::event::{FlowInfo, FlowSummary};
use crate::output::record::{FlowRecord, OpenFlowRecord};
use crate::segment::Timestamp;

/// `f`.
#[derive(Debug)]
pub(super) struct FlowValue {
    flow: Known,
    _held: Held,
}

/// What is known of a flow.
#[derive(Debug)]
enum Known {
    /// It is open, and its last segment was seen then.
    Open(Box<FlowInfo>, Timestamp),
    /// What became of it.
    Closed(Box<FlowSummary>),
}

impl FlowValue {
    pub(super) fn opened(flow: &FlowInfo, last_activity: Timestamp, held: Held) -> Self {
        Self { flow: Known::Open(Box::new(flow.clone()), last_activity), _held: held }
    }

    pub(super) fn closed(summary: &FlowSummary, held: Held) -> Self {
        Self { flow: Known::Closed(Box::new(summary.clone())), _held: held }
    }

    fn field(&self, lua: &Lua, key: &str) -> mlua::Result<Value> {
        match &self.flow {
            Known::Open(flow, last) => pick(lua, &OpenFlowRecord::new(flow, *last), &[key]),
            Known::Closed(summary) => pick(lua, &FlowRecord::from(&**summary), &[key]),
        }
    }
}

impl UserData for FlowValue {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| {
            match name(&key).as_deref() {
                Some("type") => lua.create_string("flow").map(Value::String),
                Some(key) => this.field(lua, key),
                None => Ok(Value::Nil),
            }
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let fields = match &this.flow {
                Known::Open(flow, last) => whole(lua, &OpenFlowRecord::new(flow, *last))?,
                Known::Closed(summary) => whole(lua, &FlowRecord::from(&**summary))?,
            };
            fields.raw_set("type", "flow")?;
            pairs(lua, fields)
        });
    }
}
