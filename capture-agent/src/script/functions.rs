//! The functions that a script may define.

use mlua::{Function, Lua, Value};

use crate::event::Event;
use crate::flow::Direction;
use crate::output::Takes;

/// A function that a script may define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Exchange,
    FlowOpened,
    FlowClosed,
    Sent,
    Received,
    Finished,
}

/// All of them, as they are defined.
const ALL: [(Name, &str); 6] = [
    (Name::Exchange, "exchange(e)"),
    (Name::FlowOpened, "flow_opened(f)"),
    (Name::FlowClosed, "flow_closed(f)"),
    (Name::Sent, "sent(f, bytes)"),
    (Name::Received, "received(f, bytes)"),
    (Name::Finished, "finished()"),
];

impl Name {
    /// Its name.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::FlowOpened => "flow_opened",
            Self::FlowClosed => "flow_closed",
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Finished => "finished",
        }
    }
}

/// All of them, for people.
pub(super) fn list() -> String {
    ALL.map(|(_, shown)| shown).join(", ")
}

/// The function that an event is given to.
pub(super) const fn name_of(event: &Event) -> Option<Name> {
    Some(match event {
        Event::Exchange(_) => Name::Exchange,
        Event::Flow(_) => Name::FlowClosed,
        Event::Opened(_) => Name::FlowOpened,
        Event::Data(data) => match data.direction {
            Direction::ToServer => Name::Sent,
            Direction::ToClient => Name::Received,
        },
        Event::Stats(_) | Event::WebSocket(_) | Event::Content(_) => return None,
    })
}

/// Those that a script defines.
#[derive(Debug)]
pub(super) struct Functions(Vec<(Name, Function)>);

impl Functions {
    /// Those that are there now, by their names.
    pub(super) fn of(lua: &Lua) -> mlua::Result<Self> {
        let mut functions = Vec::new();
        for (name, _) in ALL {
            if let Value::Function(function) = lua.globals().raw_get(name.text())? {
                functions.push((name, function));
            }
        }
        Ok(Self(functions))
    }

    pub(super) fn get(&self, name: Name) -> Option<&Function> {
        self.0.iter().find(|(it, _)| *it == name).map(|(_, function)| function)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One that gets bytes as they were on the wire.
    pub(super) fn wire_bytes(&self) -> Option<&'static str> {
        let wire = [Name::Sent, Name::Received].into_iter();
        wire.filter(|name| self.get(*name).is_some()).map(Name::text).next()
    }

    /// What is to be made for them.
    pub(super) fn takes(&self) -> Takes {
        let has = |name| self.get(name).is_some();
        Takes {
            exchanges: has(Name::Exchange),
            flows: has(Name::FlowClosed),
            opened: has(Name::FlowOpened),
            data: has(Name::Sent) || has(Name::Received),
        }
    }
}
