//! A field by its way from the exchange, as `request.body.bytes`.

use super::fields::{BODY, EXCHANGE, FORM, Field, Item, Node};
use crate::event::Exchange;

/// A step on the way.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// To a field.
    Field(&'static Field),
    /// To the value of a header field of this name.
    Header(Box<str>),
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// Fields one after the other, the first of the exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    /// This way and one step more.
    pub(super) fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The ways to what can be null on this one, itself included, the shortest first.
    pub(super) fn nullables(&self) -> impl Iterator<Item = Self> {
        let is_nullable = |step: &Step| match step {
            Step::Field(field) => field.is_nullable,
            Step::Header(_) => true,
        };
        let ends = (1..).zip(&self.0).filter(move |(_, step)| is_nullable(step));
        ends.map(|(end, _)| Self(self.0.iter().take(end).cloned().collect()))
    }

    /// What is there; `None` where the way ends before it.
    pub(super) fn read<'v>(&self, exchange: &'v Exchange) -> Option<Item<'v>> {
        let mut item = Item::Node(Node::Exchange(exchange));
        for step in &self.0 {
            let Item::Node(node) = item else { return None };
            item = match step {
                Step::Field(field) => (field.get)(node),
                Step::Header(name) => node.header(name),
            };
        }
        Some(item)
    }
}

/// What of an exchange is not there unless something is done for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Contents of bodies.
    pub content: bool,
    /// Fields of forms.
    pub forms: bool,
    /// The socket's owner.
    pub owner: bool,
}

impl Needs {
    /// Adds what a field needs.
    pub(super) fn add(&mut self, field: &'static Field) {
        let is_of = |fields: &'static [Field]| fields.iter().any(|it| it == field);
        let name = field.name;
        self.content |= is_of(BODY.fields) && ["text", "base64"].contains(&name);
        self.forms |= is_of(FORM.fields) || (is_of(BODY.fields) && name == "form");
        self.owner |=
            is_of(EXCHANGE.fields) && ["local", "cgroup", "container", "process"].contains(&name);
    }

    /// Adds what something else needs.
    pub(super) const fn merge(&mut self, other: Self) {
        self.content |= other.content;
        self.forms |= other.forms;
        self.owner |= other.owner;
    }
}
