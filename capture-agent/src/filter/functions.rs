//! What the interpreter is given beside its own operators: regular expressions that are compiled
//! once, texts that do not grow without end, and what bounds the work on one exchange.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::types::{CelBool, CelInt, CelString, INT_TYPE, LIST_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

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
/// Bytes of memory that a compiled regular expression may take, and as much again to run it.
const REGEX_BYTES: usize = 1 << 17;
/// What it may remember of what it has met: less makes it slow.
const DFA_BYTES: usize = 1 << 20;
/// Work on one exchange that is left to lists, in nodes of the expression, each of which takes the
/// interpreter some 100 ns: past that it is undecided.
const WORK: u64 = 500_000;
/// Bytes that are looked through in about the time of a node.
const BYTES_A_NODE: u64 = 1 << 10;

static PATTERN: Type = Type::new_unspecified_type("pattern");
static PURSE: Type = Type::new_unspecified_type("purse");

/// A regular expression.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    pub(super) fn new(text: &str) -> Result<Self, regex::Error> {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(REGEX_BYTES).dfa_size_limit(DFA_BYTES).build().map(Self)
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What work on one exchange may still cost.
#[derive(Debug)]
pub(super) struct Purse {
    left: AtomicU64,
    /// Nodes' worth of looking through all heads.
    heads: u64,
    /// And of all bodies' contents.
    contents: u64,
}

impl Purse {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let (request, response) = (&exchange.http.request, &exchange.http.response);
        let request = request.as_ref().map(|it| (it.head.head().len(), it.body.content.len()));
        let response = response.as_ref().map(|it| (it.head.head().len(), it.body.content.len()));
        let (request, response) = (request.unwrap_or_default(), response.unwrap_or_default());
        Self {
            left: AtomicU64::new(WORK),
            heads: (u64::from(request.0) + u64::from(response.0)) / BYTES_A_NODE,
            contents: (request.1 + response.1) as u64 / BYTES_A_NODE,
        }
    }

    /// Takes out what so many steps cost, of so many nodes each; whether that was there.
    fn pay(&self, steps: usize, nodes: u64, with_content: bool) -> bool {
        let bytes = self.heads + if with_content { self.contents } else { 0 };
        let price = (steps as u64).saturating_mul(nodes).saturating_mul(1 + bytes);
        let take = |left: u64| left.checked_sub(price);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
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
value!(Purse, PURSE, |purse| Box::new(Purse { left: AtomicU64::new(0), ..*purse }));

/// The interpreter's environment.
pub(super) fn environment() -> Result<Arc<Env>, DeclarationError> {
    let mut env = Env::stdlib();
    let pattern = || PATTERN.to_owned();
    let list = || vec![LIST_TYPE, PURSE.to_owned(), INT_TYPE];
    env.add_overload("matches", "text_matches", vec![STRING_TYPE, pattern()], matches)?;
    env.add_overload(JOIN, "texts", vec![STRING_TYPE, STRING_TYPE], join)?;
    env.add_overload(EACH, "list", list(), |args| each(args, false))?;
    env.add_overload(EACH_WITH_CONTENT, "list", list(), |args| each(args, true))?;
    Ok(Arc::new(env))
}

fn text<'a>(args: &'a [CowVal<'_, '_>], at: usize) -> Option<&'a str> {
    Some(args.get(at)?.downcast_ref::<CelString<'_>>()?.inner())
}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let pattern = args.get(1).and_then(|pattern| pattern.downcast_ref::<Pattern>());
    let (Some(text), Some(Pattern(regex))) = (text(&args, 0), pattern) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    Ok(CowVal::owned(CelBool::from(regex.is_match(text))))
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
    let purse = args.get(1).and_then(|purse| purse.downcast_ref::<Purse>());
    let nodes = args.get(2).and_then(|nodes| nodes.downcast_ref::<CelInt>());
    let (Some(steps), Some(purse), Some(nodes)) = (steps, purse, nodes) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let steps = usize::try_from(steps).unwrap_or(usize::MAX);
    let nodes = u64::try_from(*nodes.inner()).unwrap_or(u64::MAX);
    if !purse.pay(steps, nodes, with_content) {
        return Err(ExecutionError::function_error("list", "there is too much of it"));
    }
    Ok(args.swap_remove(0))
}
