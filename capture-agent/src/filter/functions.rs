//! What the interpreter is given beside its own operators: regular expressions that are compiled
//! once (`pattern`), texts that do not grow without end, and what bounds the work on one exchange.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::common::types::{CelBool, CelInt, CelString, INT_TYPE, LIST_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::pattern::Pattern;
use crate::event::Exchange;

/// Charges for a list that is gone through, and gives it back.
pub(super) const EACH: &str = "@each";
/// The same where contents of bodies may be looked through for each of its elements.
pub(super) const EACH_WITH_CONTENT: &str = "@each_with_content";
/// Puts two texts together.
pub(super) const JOIN: &str = "@join";

/// What pays for them, by its name in the expression.
pub(super) const PURSE_NAME: &str = "@purse";

/// Longest text that is put together: an expression of 4 KiB could make gigabytes of a body.
const LONGEST_TEXT: usize = 1 << 20;
/// Work on one exchange that is left to lists and patterns, in nodes of the expression, each of which takes the
/// interpreter some 100 ns: past that it is undecided.
const WORK: usize = 500_000;
/// Bytes that are looked through in about the time of a node.
pub(super) const BYTES_A_NODE: usize = 1 << 10;

static PATTERN: Type = Type::new_unspecified_type("pattern");
static PURSE: Type = Type::new_unspecified_type("purse");

/// What work on one exchange may still cost.
#[derive(Debug)]
pub(super) struct Purse {
    left: AtomicUsize,
    /// Nodes' worth of looking through all heads.
    heads: usize,
    /// And of all bodies' contents.
    contents: usize,
}

impl Purse {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let (request, response) = (&exchange.http.request, &exchange.http.response);
        let request = request.as_ref().map(|it| (it.head.head().len(), it.body.content.len()));
        let response = response.as_ref().map(|it| (it.head.head().len(), it.body.content.len()));
        let (request, response) = (request.unwrap_or_default(), response.unwrap_or_default());
        Self {
            left: AtomicUsize::new(WORK),
            heads: (request.0 as usize + response.0 as usize) / BYTES_A_NODE,
            contents: (request.1 + response.1) / BYTES_A_NODE,
        }
    }

    /// What so many steps cost, of so many nodes each.
    fn price(&self, steps: usize, nodes: usize, with_content: bool) -> usize {
        let bytes = self.heads + if with_content { self.contents } else { 0 };
        steps.saturating_mul(nodes).saturating_mul(1 + bytes)
    }

    /// Takes out what so many nodes cost; `None` where that is not there any more.
    pub(super) fn pay(&self, nodes: usize) -> Option<()> {
        let take = |left: usize| left.checked_sub(nodes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|_| ())
    }

    /// Takes out all that there is; then nothing can be paid any more.
    pub(super) fn empty(&self) -> Option<()> {
        self.left.store(0, Ordering::Relaxed);
        None
    }
}

macro_rules! value {
    ($Value:ident, $TYPE:ident, $clone:expr) => {
        impl Val for $Value {
            fn get_type(&self) -> &Type {
                &$TYPE
            }

            fn cel_type() -> &'static Type {
                &$TYPE
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                let clone: fn(&Self) -> Box<dyn Val> = $clone;
                clone(self)
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }

        impl StaticVal for $Value {}
    };
}

value!(Pattern, PATTERN, |pattern| Box::new(pattern.clone()));
// Nothing but a function's argument, so never cloned; a clone would have nothing to spend.
value!(Purse, PURSE, |purse| Box::new(Purse { left: AtomicUsize::new(0), ..*purse }));

/// The interpreter's environment.
pub(super) fn environment() -> Result<Arc<Env>, DeclarationError> {
    let mut env = Env::stdlib();
    let (pattern, purse) = (|| PATTERN.to_owned(), || PURSE.to_owned());
    let list = || vec![LIST_TYPE, purse(), INT_TYPE];
    env.add_overload("matches", "text_matches", vec![STRING_TYPE, pattern(), purse()], matches)?;
    env.add_overload(JOIN, "texts", vec![STRING_TYPE, STRING_TYPE], join)?;
    env.add_overload(EACH, "list", list(), |args| each(args, false))?;
    env.add_overload(EACH_WITH_CONTENT, "list", list(), |args| each(args, true))?;
    Ok(Arc::new(env))
}

fn text<'a>(args: &'a [CowVal<'_, '_>], at: usize) -> Option<&'a str> {
    Some(args.get(at)?.downcast_ref::<CelString<'_>>()?.inner())
}

fn purse<'a>(args: &'a [CowVal<'_, '_>], at: usize) -> Option<&'a Purse> {
    args.get(at)?.downcast_ref::<Purse>()
}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let pattern = args.get(1).and_then(|pattern| pattern.downcast_ref::<Pattern>());
    let (Some(text), Some(pattern), Some(purse)) = (text(&args, 0), pattern, purse(&args, 2))
    else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let is_match = pattern.is_match(text, purse);
    let too_much =
        || ExecutionError::function_error("matches", "there is too much to look through");
    Ok(CowVal::owned(CelBool::from(is_match.ok_or_else(too_much)?)))
}

fn join<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (Some(first), Some(second)) = (text(&args, 0), text(&args, 1)) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    if first.len() + second.len() > LONGEST_TEXT {
        return Err(ExecutionError::function_error("+", "the text is too long"));
    }
    Ok(CowVal::owned(CelString::from([first, second].concat())))
}

fn each<'b, 'v>(
    mut args: Vec<CowVal<'b, 'v>>,
    with_content: bool,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let steps = args.first().and_then(|list| Some(*list.as_sizer()?.size().inner()));
    let purse = purse(&args, 1);
    let nodes = args.get(2).and_then(|nodes| nodes.downcast_ref::<CelInt>());
    let (Some(steps), Some(purse), Some(nodes)) = (steps, purse, nodes) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let steps = usize::try_from(steps).unwrap_or(usize::MAX);
    let nodes = usize::try_from(*nodes.inner()).unwrap_or(usize::MAX);
    if purse.pay(purse.price(steps, nodes, with_content)).is_none() {
        return Err(ExecutionError::function_error("list", "there is too much of it"));
    }
    Ok(args.swap_remove(0))
}
