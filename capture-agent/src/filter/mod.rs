//! Which exchanges are wanted: `--where` and `--content-type`.
//!
//! An expression is written in the Common Expression Language. It is read and looked into once
//! (`syntax`, `check`), which refuses what could never be said of an exchange, and evaluated by
//! crate `cel` for each exchange on values that borrow from it (`path`, `fields`, `value`).
//!
//! Invariants: nothing of an exchange is got that the expression does not come to; what one exchange
//! can cost is bounded (`functions`, `pattern`), whatever the expression and whatever the traffic.

mod check;
mod error;
mod fields;
mod functions;
mod media;
mod path;
mod pattern;
mod syntax;
mod types;
mod value;

use std::sync::Arc;

use cel::common::types::CelBool;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, IdedExpr, Value};

use crate::event::Exchange;
pub use error::FilterError;
use functions::{PURSE_NAME, Purse};
pub use media::{MediaError, MediaPattern, MediaPatterns};
pub use path::Needs;
use path::Path;
use pattern::Pattern;

/// An expression about exchanges. A clone has its own caches for regular expressions, so each
/// thread is best given one.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    expression: IdedExpr,
    paths: Vec<Path>,
    patterns: Vec<Pattern>,
    needs: Needs,
    env: Arc<Env>,
}

/// What an expression says of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is true of it.
    Matches,
    /// It is not.
    DoesNot,
    /// It has no value for it: it asks for a part of what was not observed, or for what can't be
    /// computed, or for more work than may be spent on one exchange.
    Undecided,
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// If it is none, or could never be said of an exchange: what is wrong, and where.
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        let program = syntax::parse(text)?;
        let checked = check::check(text, &program)?;
        let env = functions::environment();
        let env = env.map_err(|error| FilterError::at(text, 0, error.to_string()))?;
        let check::Checked { expression, paths, patterns, needs } = checked;
        Ok(Self { text: text.into(), expression, paths, patterns, needs, env })
    }

    /// What of an exchange must be there for it to have a value.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        self.needs
    }

    /// What it says of an exchange.
    #[must_use]
    pub fn verdict(&self, exchange: &Exchange) -> Verdict {
        let scope = Scope { filter: self, exchange, purse: Purse::of(exchange) };
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(&scope);
        let value = Value::resolve_val(&self.expression, &context);
        let answer = value.ok().and_then(|value| Some(*value.downcast_ref::<CelBool>()?.inner()));
        match answer {
            Some(true) => Verdict::Matches,
            Some(false) => Verdict::DoesNot,
            None => Verdict::Undecided,
        }
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Filter").field(&self.text).finish()
    }
}

/// What names in an expression stand for.
struct Scope<'v> {
    filter: &'v Filter,
    exchange: &'v Exchange,
    purse: Purse,
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let name = name.strip_prefix('@')?;
        if let Some(at) = name.strip_prefix('r').and_then(|at| at.parse::<usize>().ok()) {
            return Some(CowVal::Borrowed(self.filter.patterns.get(at)?));
        }
        if let Ok(at) = name.parse::<usize>() {
            return Some(self.filter.paths.get(at)?.read(self.exchange)?.into());
        }
        PURSE_NAME.ends_with(name).then(|| CowVal::Borrowed(&self.purse as _))
    }
}
