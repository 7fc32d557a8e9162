//! What is known of a value before there is one.

use std::fmt;

use super::fields::{Field, Of, Shape};

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// One that is known when it is there.
    Any,
    Null,
    Bool,
    Int,
    Double,
    Text,
    List(Box<Type>),
    Map(Box<Type>),
    Part(&'static Shape),
}

/// What a value is, and whether it can be null instead.
#[derive(Clone, Debug)]
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        Self { kind, is_nullable: false }
    }
}

impl Type {
    pub(super) fn of(field: &Field) -> Self {
        let list = |kind: Kind| Kind::List(Box::new(kind.into()));
        let kind = match field.of {
            Of::Bool => Kind::Bool,
            Of::Int => Kind::Int,
            Of::Text => Kind::Text,
            Of::Texts => list(Kind::Text),
            Of::Node(shape) => Kind::Part(shape),
            Of::List(shape) => list(Kind::Part(shape)),
        };
        Self { kind, is_nullable: field.is_nullable }
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Int | Kind::Double)
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text)
    }

    /// Whether it can be true or false.
    pub(super) const fn may_be_bool(&self) -> bool {
        matches!(self.kind, Kind::Bool | Kind::Any)
    }

    /// Whether values of the two can be the same.
    pub(super) fn may_equal(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Any | Kind::Null, _) | (_, Kind::Any | Kind::Null) => true,
            (Kind::List(own), Kind::List(others)) | (Kind::Map(own), Kind::Map(others)) => {
                own.may_equal(others)
            }
            _ => self.may_be_compared(other),
        }
    }

    /// Whether one can be before the other.
    pub(super) const fn may_be_compared(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Any, Kind::Any | Kind::Bool | Kind::Int | Kind::Double | Kind::Text)
            | (Kind::Bool | Kind::Int | Kind::Double | Kind::Text, Kind::Any)
            | (Kind::Bool, Kind::Bool)
            | (Kind::Text, Kind::Text) => true,
            _ => self.is_number() && other.is_number(),
        }
    }

    /// What a value is that is of either.
    pub(super) fn or(self, other: Self) -> Self {
        let is_nullable =
            self.is_nullable || other.is_nullable || self.is_null() || other.is_null();
        let kind = match (self.kind, other.kind) {
            (Kind::Null, kind) | (kind, Kind::Null) => kind,
            (Kind::Bool, Kind::Bool) => Kind::Bool,
            (Kind::Int, Kind::Int) => Kind::Int,
            (Kind::Double, Kind::Double) => Kind::Double,
            (Kind::Text, Kind::Text) => Kind::Text,
            (Kind::Part(own), Kind::Part(other)) if own.is(other) => Kind::Part(own),
            (Kind::List(own), Kind::List(other)) => Kind::List(Box::new(own.or(*other))),
            (Kind::Map(own), Kind::Map(other)) => Kind::Map(Box::new(own.or(*other))),
            _ => Kind::Any,
        };
        Self { kind, is_nullable }
    }
}

/// In a sentence.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Any => "a value",
            Kind::Null => "null",
            Kind::Bool => "true or false",
            Kind::Int | Kind::Double => "a number",
            Kind::Text => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Part(shape) => shape.what,
        })
    }
}
