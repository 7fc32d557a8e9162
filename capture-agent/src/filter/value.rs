//! Fields of an exchange as values of an expression, which borrow from the exchange.

use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelInt, CelList, CelNull, CelString, Type};
use cel::common::value::{CowVal, Val};

use super::fields::{Item, Node};

/// What the key of a part begins with that asks for the value of a header field, by its name.
pub(super) const HEADER_KEY: &str = "@header:";

static PART: Type = Type::new_unspecified_type("part of an exchange");

/// A part of an exchange. Its fields are got when they are asked for.
#[derive(Clone, Copy, Debug)]
struct Part<'v>(Node<'v>);

impl Val for Part<'_> {
    fn get_type(&self) -> &Type {
        &PART
    }

    fn cel_type() -> &'static Type {
        &PART
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Part<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = key.downcast_ref::<CelString<'_>>().map_or("", |name| name.inner());
        if let Some(header) = name.strip_prefix(HEADER_KEY) {
            return Ok(self.0.header(header).into());
        }
        let field = self.0.shape().field(name).ok_or_else(|| ExecutionError::no_such_key(name))?;
        Ok((field.get)(self.0).into())
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl<'v> From<Item<'v>> for Box<dyn Val + 'v> {
    fn from(item: Item<'v>) -> Self {
        match item {
            Item::Null => Box::new(CelNull),
            Item::Bool(value) => Box::new(CelBool::from(value)),
            Item::Int(value) => Box::new(CelInt::from(value)),
            Item::Text(text) => Box::new(CelString::from(text)),
            Item::List(items) => {
                let items: Vec<Self> = items.into_iter().map(Self::from).collect();
                Box::new(CelList::from(items))
            }
            Item::Node(node) => Box::new(Part(node)),
        }
    }
}

impl<'v> From<Item<'v>> for CowVal<'_, 'v> {
    fn from(item: Item<'v>) -> Self {
        Self::Owned(item.into())
    }
}
