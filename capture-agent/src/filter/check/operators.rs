//! Operators, and `has()`.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};

use super::super::error::FilterError;
use super::super::functions::JOIN;
use super::super::path::Path;
use super::super::types::{Kind, Type};
use super::{Checker, Is, Looked, Seen, call, expr, literal_text, seen};

impl<'e> Checker<'e> {
    /// An operator, where the call is one.
    pub(super) fn operator(&mut self, part: &'e IdedExpr, of: &'e CallExpr) -> Option<Looked> {
        let operator = of.func_name.as_str();
        Some(match (operator, of.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                self.logic(operator, &[left, right])
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [operand]) => {
                self.logic(operator, &[operand])
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                self.equality(part, operator, left, right)
            }
            (
                operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                [left, right],
            ) => self.comparison(part, operator, left, right),
            (operators::IN, [element, list]) => self.is_in(part, element, list),
            (operators::CONDITIONAL, [condition, yes, no]) => self.either(condition, yes, no),
            (operators::INDEX, [list, index]) => self.index(part, list, index),
            (operators::NEGATE, [operand]) => self.arithmetic(part, operator, &[operand]),
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                [left, right],
            ) => self.arithmetic(part, operator, &[left, right]),
            _ => return None,
        })
    }

    fn logic(&mut self, operator: &str, operands: &[&'e IdedExpr]) -> Looked {
        let mut args = Vec::new();
        for operand in operands {
            let seen = self.look(operand)?;
            self.ask(operand, &seen)?;
            args.push(self.finish(seen));
        }
        Ok(seen(Kind::Bool, call(operator, args)))
    }

    /// Refuses what can't be true or false.
    pub(super) fn ask(&self, part: &IdedExpr, seen: &Seen) -> Result<(), FilterError> {
        if seen.of.may_be_bool() {
            return Ok(());
        }
        let what = format!("this is {}, where something true or false is to stand", seen.of);
        Err(self.wrong(part, what))
    }

    fn equality(
        &mut self,
        part: &'e IdedExpr,
        operator: &str,
        left: &'e IdedExpr,
        right: &'e IdedExpr,
    ) -> Looked {
        let (left, right) = (self.look(left)?, self.look(right)?);
        self.both(part, &left.of, &right.of, Type::may_equal, "is never")?;
        let args = vec![self.finish(left), self.finish(right)];
        Ok(seen(Kind::Bool, call(operator, args)))
    }

    fn comparison(
        &mut self,
        part: &'e IdedExpr,
        operator: &str,
        left: &'e IdedExpr,
        right: &'e IdedExpr,
    ) -> Looked {
        let (left, right) = (self.look(left)?, self.look(right)?);
        self.both(part, &left.of, &right.of, Type::may_be_compared, "can't be compared with")?;
        let args = vec![self.finish(left), self.finish(right)];
        Ok(seen(Kind::Bool, call(operator, args)))
    }

    fn both(
        &self,
        part: &IdedExpr,
        left: &Type,
        right: &Type,
        fit: impl Fn(&Type, &Type) -> bool,
        what: &str,
    ) -> Result<(), FilterError> {
        if fit(left, right) {
            return Ok(());
        }
        Err(self.wrong(part, format!("{left} {what} {right}")))
    }

    fn is_in(&mut self, part: &'e IdedExpr, element: &'e IdedExpr, list: &'e IdedExpr) -> Looked {
        let (element, container) = (self.look(element)?, self.look(list)?);
        match &container.of.kind {
            Kind::List(of) => self.both(part, &element.of, of, Type::may_equal, "is never")?,
            Kind::Map(_) | Kind::Any => {}
            _ => {
                let what = format!("'in' asks for a list, and this is {}", container.of);
                return Err(self.wrong(list, what));
            }
        }
        let args = vec![self.finish(element), self.finish(container)];
        Ok(seen(Kind::Bool, call(operators::IN, args)))
    }

    fn either(&mut self, condition: &'e IdedExpr, yes: &'e IdedExpr, no: &'e IdedExpr) -> Looked {
        let asked = self.look(condition)?;
        self.ask(condition, &asked)?;
        let (yes, no) = (self.look(yes)?, self.look(no)?);
        let of = yes.of.clone().or(no.of.clone());
        let args = vec![self.finish(asked), self.finish(yes), self.finish(no)];
        Ok(seen(of, call(operators::CONDITIONAL, args)))
    }

    fn index(&mut self, part: &'e IdedExpr, list: &'e IdedExpr, index: &'e IdedExpr) -> Looked {
        let list = self.look(list)?;
        let of = match &list.of.kind {
            Kind::List(of) | Kind::Map(of) => (**of).clone(),
            Kind::Any => Kind::Any.into(),
            Kind::Part(_) => {
                let Expr::Literal(LiteralValue::String(name)) = &index.expr else {
                    return Err(self.wrong(index, "a field is asked for by its name, as a text"));
                };
                let at = self.span(index);
                return self.field(list, name.inner(), at);
            }
            _ => return Err(self.wrong(part, format!("{} has no elements", list.of))),
        };
        let at = self.look(index)?;
        if matches!(list.of.kind, Kind::List(_)) && !matches!(at.of.kind, Kind::Int | Kind::Any) {
            let what = format!("elements of a list have numbers, from 0, and this is {}", at.of);
            return Err(self.wrong(index, what));
        }
        let args = vec![self.finish(list), self.finish(at)];
        Ok(seen(of, call(operators::INDEX, args)))
    }

    fn arithmetic(
        &mut self,
        part: &'e IdedExpr,
        operator: &str,
        operands: &[&'e IdedExpr],
    ) -> Looked {
        let mut all = Vec::new();
        for operand in operands {
            all.push(self.look(operand)?);
        }
        let kind = all.first().map_or(Kind::Any, |first| first.of.kind.clone());
        let all_are = |is: fn(&Type) -> bool| all.iter().all(|seen| is(&seen.of));
        let is_same = matches!(kind, Kind::Int) && all_are(|of| matches!(of.kind, Kind::Int))
            || matches!(kind, Kind::Double) && all_are(|of| matches!(of.kind, Kind::Double));
        let joins = operator == operators::ADD && all_are(Type::is_text);
        if joins && self.loops > 0 {
            let what = "where a list is gone through, texts can't be put together";
            return Err(self.wrong(part, what));
        }
        if !joins && !is_same {
            let what = match (operator, all.as_slice()) {
                (operators::ADD, [left, right]) => format!(
                    "'+' takes two whole numbers, two with a fraction, or two texts; these are {} \
                     and {}",
                    left.of, right.of
                ),
                (_, [left, right]) if left.of.is_number() && right.of.is_number() => {
                    "one of these is a whole number and one has a fraction: convert one of them, \
                     by int() or double()"
                        .to_owned()
                }
                _ => "this takes numbers".to_owned(),
            };
            return Err(self.wrong(part, what));
        }
        let args = all.into_iter().map(|seen| self.finish(seen)).collect();
        Ok(seen(kind, call(if joins { JOIN } else { operator }, args)))
    }

    /// Whether a field is there and not null.
    pub(super) fn has(&mut self, select: &'e SelectExpr) -> Looked {
        let operand = self.look(&select.operand)?;
        let name_at = self.span(&select.operand).end;
        let found = self.text.get(name_at..).and_then(|after| after.find(select.field.as_str()));
        let at = found.map_or(name_at, |found| name_at + found);
        let field = self.field(operand, &select.field, at..at + select.field.len())?;
        let is_known =
            |it| call(operators::NOT_EQUALS, vec![it, expr(Expr::Literal(LiteralValue::Null))]);
        let conditions = match field.is {
            Is::Expr(field) => vec![is_known(field)],
            Is::Path(path) => {
                let ways: Vec<Path> = path.nullables().collect();
                let way = |way| Seen { of: Kind::Any.into(), is: Is::Path(way) };
                ways.into_iter().map(|path| is_known(self.finish(way(path)))).collect()
            }
        };
        let all = conditions
            .into_iter()
            .reduce(|left, right| call(operators::LOGICAL_AND, vec![left, right]));
        Ok(seen(Kind::Bool, all.unwrap_or_else(truth)))
    }
}

/// What is always there.
fn truth() -> IdedExpr {
    call(operators::EQUALS, vec![literal_text(""), literal_text("")])
}
