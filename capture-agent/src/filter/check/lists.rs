//! What goes through lists: `all()`, `exists()`, `exists_one()`, `map()`, `filter()`, which the
//! parser has spelt out as loops.
//!
//! Each of them pays for its steps before it takes the first one. What could grow with each step
//! (texts put together, lists of lists) is refused inside of them: one of twenty loops over two
//! elements would make a million of them.

use std::mem;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, ListExpr, operators};

use super::super::error::FilterError;
use super::super::functions::{EACH, EACH_WITH_CONTENT, PURSE_NAME};
use super::super::types::{Kind, Type};
use super::{Checker, Looked, Seen, call, expr, ident, literal_int, seen};

/// Most loops inside each other.
const MOST_NESTED: usize = 3;

impl<'e> Checker<'e> {
    /// Refuses what would make a list of lists grow in each step of a loop.
    pub(super) fn check_growth(&self, element: &IdedExpr) -> Result<(), FilterError> {
        let is_constant = match &element.expr {
            Expr::Literal(_) => true,
            Expr::Call(call) => call.func_name == operators::NEGATE,
            _ => false,
        };
        if is_constant || self.scopes.is_empty() {
            return Ok(());
        }
        let what = "in the steps of a list, another list can hold nothing but texts and numbers \
                    as they are written";
        Err(self.wrong(element, what))
    }

    /// A loop over a list.
    pub(super) fn comprehension(
        &mut self,
        part: &'e IdedExpr,
        list: &'e ComprehensionExpr,
    ) -> Looked {
        if self.scopes.len() == MOST_NESTED {
            let what = format!("more than {MOST_NESTED} lists are gone through inside each other");
            return Err(self.wrong(part, what));
        }
        let (nodes, needs) = (self.nodes, mem::take(&mut self.needs));
        self.loops += 1;
        let looped = self.looped(list);
        self.loops -= 1;
        let (range, step) = looped?;
        let of = match &list.result.expr {
            Expr::Ident(_) => step.of.clone(),
            _ => Kind::Bool.into(),
        };
        let each = if self.needs.content || self.needs.forms { EACH_WITH_CONTENT } else { EACH };
        let price = vec![self.finish(range), ident(PURSE_NAME), literal_int(self.nodes - nodes)];
        self.needs.merge(needs);
        let mut finished = list.clone();
        finished.iter_range = call(each, price);
        finished.loop_step = self.finish(step);
        Ok(seen(of, expr(Expr::Comprehension(Box::new(finished)))))
    }

    /// What a loop goes through, and what it does with each element.
    fn looped(&mut self, list: &'e ComprehensionExpr) -> Result<(Seen, Seen), FilterError> {
        let range = self.look(&list.iter_range)?;
        let element = match &range.of.kind {
            Kind::List(of) => (**of).clone(),
            _ => {
                let what = format!("this is {}, and not a list to go through", range.of);
                return Err(self.wrong(&list.iter_range, what));
            }
        };
        self.scopes.push((&list.iter_var, element));
        let step = self.step(&list.loop_step);
        self.scopes.pop();
        Ok((range, step?))
    }

    /// The step of a loop, as the parser spells it out: what was gathered stands first in it, under
    /// a name that no one else can write.
    fn step(&mut self, step: &'e IdedExpr) -> Looked {
        let Expr::Call(CallExpr { func_name: operator, args, .. }) = &step.expr else {
            return Err(self.wrong(step, "this can't be done for each element of a list"));
        };
        match (operator.as_str(), args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [gathered, asked]) => {
                let condition = self.look(asked)?;
                self.ask(asked, &condition)?;
                let args = vec![gathered.clone(), self.finish(condition)];
                Ok(seen(Kind::Bool, call(operator, args)))
            }
            (operators::CONDITIONAL, [asked, gathers, gathered]) => {
                let condition = self.look(asked)?;
                self.ask(asked, &condition)?;
                let gathers = self.step(gathers)?;
                let of = gathers.of.clone();
                let args = vec![self.finish(condition), self.finish(gathers), gathered.clone()];
                Ok(seen(of, call(operator, args)))
            }
            (operators::ADD, [gathered, more]) => {
                let Expr::List(ListExpr { elements, .. }) = &more.expr else {
                    return Ok(seen(Kind::Int, step.clone()));
                };
                let mut all = Vec::new();
                let mut of = Type::from(Kind::Any);
                for element in elements {
                    let looked = self.look(element)?;
                    if matches!(looked.of.kind, Kind::List(_) | Kind::Map(_) | Kind::Any) {
                        let what = format!(
                            "a list is made of texts, numbers and parts of an exchange, and this \
                             is {}",
                            looked.of
                        );
                        return Err(self.wrong(element, what));
                    }
                    of = looked.of.clone();
                    all.push(self.finish(looked));
                }
                let more = expr(Expr::List(ListExpr::new(all)));
                Ok(seen(Kind::List(Box::new(of)), call(operator, vec![gathered.clone(), more])))
            }
            _ => Err(self.wrong(step, "this can't be done for each element of a list")),
        }
    }
}
