//! An expression as it was written becomes one that can be evaluated for any exchange: names,
//! fields, functions and types are looked into, and what they stand for is put in their place.
//!
//! - A field becomes one name, which is resolved to its value (`@0`, `@1`, ... into `paths`).
//! - `has(a.b)` becomes `a != null && a.b != null`.
//! - The pattern of `matches()` becomes the name of a compiled one (`@r0`, ...).
//! - Where lists are gone through, work is paid for first.
//!
//! Invariants: what comes out is bounded in depth, and so the interpreter's stack; in the steps of
//! lists nothing is put together that could grow with each of them.

mod calls;
mod lists;
mod operators;

use std::ops::Range;

use cel::IdedExpr;
use cel::Program;
use cel::common::ast::{CallExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr};
use cel::common::types::{CelInt, CelString};

use super::error::FilterError;
use super::fields::{EXCHANGE, Shape};
use super::path::{Needs, Path, Step};
use super::pattern::Pattern;
use super::types::{Kind, Type};

/// Deepest expression that is evaluated: an interpreter's frame is some KiB, and a worker's stack
/// is 2 MiB.
const DEEPEST: usize = 64;

/// An expression that was looked into, and what it needs.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) expression: IdedExpr,
    pub(super) paths: Vec<Path>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) needs: Needs,
}

/// Looks into an expression.
pub(super) fn check(text: &str, program: &Program) -> Result<Checked, FilterError> {
    let mut checker = Checker {
        text,
        program,
        scopes: Vec::new(),
        loops: 0,
        depth: 0,
        nodes: 0,
        paths: Vec::new(),
        patterns: Vec::new(),
        needs: Needs::default(),
    };
    let root = checker.look(program.expression())?;
    if !root.of.may_be_bool() {
        let what = format!("this is {}; an expression is to be true or false", root.of);
        return Err(checker.wrong(program.expression(), what));
    }
    let expression = checker.finish(root);
    let Checker { paths, patterns, needs, .. } = checker;
    Ok(Checked { expression, paths, patterns, needs })
}

/// A part of an expression that was looked into.
struct Seen {
    of: Type,
    is: Is,
}

/// What stands in its place.
enum Is {
    /// A field by its path.
    Path(Path),
    /// Anything else.
    Expr(IdedExpr),
}

struct Checker<'e> {
    text: &'e str,
    program: &'e Program,
    /// Names that lists gave to their elements, the innermost last.
    scopes: Vec<(&'e str, Type)>,
    /// Loops around what is looked into, the lists that they go through included.
    loops: usize,
    depth: usize,
    /// Parts looked into so far.
    nodes: u64,
    paths: Vec<Path>,
    patterns: Vec<Pattern>,
    needs: Needs,
}

type Looked = Result<Seen, FilterError>;

fn expr(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn ident(name: impl Into<String>) -> IdedExpr {
    expr(Expr::Ident(name.into()))
}

fn literal_text(text: &str) -> IdedExpr {
    expr(Expr::Literal(LiteralValue::String(CelString::from(text.to_owned()))))
}

fn literal_int(value: u64) -> IdedExpr {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    expr(Expr::Literal(LiteralValue::Int(CelInt::from(value))))
}

fn call(function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    expr(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
}

fn seen(of: impl Into<Type>, expr: IdedExpr) -> Seen {
    Seen { of: of.into(), is: Is::Expr(expr) }
}

impl<'e> Checker<'e> {
    /// Looks into a part of the expression.
    fn look(&mut self, part: &'e IdedExpr) -> Looked {
        if self.depth == DEEPEST {
            let what = format!("the expression goes more than {DEEPEST} deep here");
            return Err(self.wrong(part, what));
        }
        self.depth += 1;
        self.nodes += 1;
        let looked = self.look_into(part);
        self.depth -= 1;
        looked
    }

    fn look_into(&mut self, part: &'e IdedExpr) -> Looked {
        match &part.expr {
            Expr::Literal(literal) => self.literal(part, literal),
            Expr::Ident(name) => self.name(part, name),
            Expr::Select(select) if select.test => self.has(select),
            Expr::Select(select) => self.select(part, select),
            Expr::Call(call) => self.call(part, call),
            Expr::Comprehension(list) => self.comprehension(part, list),
            Expr::List(list) => {
                let (of, elements) = self.elements(&list.elements)?;
                Ok(seen(Kind::List(Box::new(of)), expr(Expr::List(ListExpr::new(elements)))))
            }
            Expr::Map(map) => self.map(part, map),
            Expr::Struct(_) => Err(self.wrong(part, "there are no types with fields to be made")),
            Expr::Unspecified => Err(self.wrong(part, "this is no expression")),
        }
    }

    fn literal(&self, part: &IdedExpr, literal: &LiteralValue) -> Looked {
        let kind = match literal {
            LiteralValue::Boolean(_) => Kind::Bool,
            LiteralValue::Double(_) => Kind::Double,
            LiteralValue::Int(_) => Kind::Int,
            LiteralValue::Null => Kind::Null,
            LiteralValue::String(_) => Kind::Text,
            LiteralValue::UInt(_) => {
                return Err(self.wrong(part, "numbers are written without 'u'"));
            }
            LiteralValue::Bytes(_) => {
                return Err(self.wrong(part, "text is written without 'b' before it"));
            }
        };
        Ok(seen(kind, part.clone()))
    }

    fn name(&mut self, part: &IdedExpr, name: &str) -> Looked {
        if let Some((_, of)) = self.scopes.iter().rev().find(|(known, _)| *known == name) {
            return Ok(seen(of.clone(), part.clone()));
        }
        let Some(field) = EXCHANGE.field(name) else {
            let what = format!("there is no '{name}' in an exchange; {}", fields_of(&EXCHANGE));
            return Err(self.wrong(part, what));
        };
        self.needs.add(field);
        Ok(Seen { of: Type::of(field), is: Is::Path(Path::default().then(Step::Field(field))) })
    }

    fn select(&mut self, part: &IdedExpr, select: &'e SelectExpr) -> Looked {
        let operand = self.look(&select.operand)?;
        let at = self.field_span(part, select);
        self.field(operand, &select.field, at)
    }

    /// A field of something.
    fn field(&mut self, operand: Seen, name: &str, at: Range<usize>) -> Looked {
        let wrong = |what: String| FilterError::new(self.text, at, what);
        let shape = match &operand.of.kind {
            Kind::Part(shape) => *shape,
            Kind::Any => {
                return Err(wrong("what this is a field of is not known before".to_owned()));
            }
            Kind::List(_) => {
                return Err(wrong(format!(
                    "a list has no fields: ask for its elements, as in \
                     list.exists(it, it.{name} == \"...\")"
                )));
            }
            _ => return Err(wrong(format!("{} has no fields", operand.of))),
        };
        let Some(field) = shape.field(name) else {
            return Err(wrong(format!(
                "there is no '{name}' in {}; {}",
                shape.what,
                fields_of(shape)
            )));
        };
        self.needs.add(field);
        let of = Type::of(field);
        Ok(match operand.is {
            Is::Path(path) => Seen { of, is: Is::Path(path.then(Step::Field(field))) },
            Is::Expr(operand) => {
                let operand = Box::new(operand);
                let select = SelectExpr { operand, field: name.to_owned(), test: false };
                seen(of, expr(Expr::Select(select)))
            }
        })
    }

    /// The elements of a list, all of them, and what they have in common.
    fn elements(&mut self, elements: &'e [IdedExpr]) -> Result<(Type, Vec<IdedExpr>), FilterError> {
        let (mut of, mut all) = (None::<Type>, Vec::new());
        for element in elements {
            self.check_growth(element)?;
            let element = self.look(element)?;
            of = Some(match of {
                None => element.of.clone(),
                Some(of) => of.or(element.of.clone()),
            });
            all.push(self.finish(element));
        }
        Ok((of.unwrap_or(Kind::Any.into()), all))
    }

    fn map(&mut self, part: &IdedExpr, map: &'e MapExpr) -> Looked {
        let mut finished = map.clone();
        let mut of = None::<Type>;
        for (entry, finished) in map.entries.iter().zip(&mut finished.entries) {
            let (EntryExpr::MapEntry(entry), EntryExpr::MapEntry(finished)) =
                (&entry.expr, &mut finished.expr)
            else {
                return Err(self.wrong(part, "this is no map"));
            };
            if !matches!(entry.key.expr, Expr::Literal(_)) {
                return Err(self.wrong(&entry.key, "the key of a map is a text or a number"));
            }
            self.check_growth(&entry.value)?;
            let value = self.look(&entry.value)?;
            of = Some(match of {
                None => value.of.clone(),
                Some(of) => of.or(value.of.clone()),
            });
            finished.value = self.finish(value);
        }
        Ok(seen(Kind::Map(Box::new(of.unwrap_or(Kind::Any.into()))), expr(Expr::Map(finished))))
    }

    /// What stands in place of something: of a field, its name.
    fn finish(&mut self, seen: Seen) -> IdedExpr {
        match seen.is {
            Is::Expr(expr) => expr,
            Is::Path(path) => {
                let known = self.paths.iter().position(|known| *known == path);
                let at = known.unwrap_or(self.paths.len());
                if known.is_none() {
                    self.paths.push(path);
                }
                ident(format!("@{at}"))
            }
        }
    }

    fn wrong(&self, part: &IdedExpr, what: impl Into<String>) -> FilterError {
        let span = match &part.expr {
            Expr::Select(select) if !select.test => self.field_span(part, select),
            _ => self.span(part),
        };
        FilterError::new(self.text, span, what)
    }

    /// Where a part of the expression was written: its first token, or an operator's own.
    fn span(&self, part: &IdedExpr) -> Range<usize> {
        let (start, end) = self.program.source_info().offset_for(part.id).unwrap_or((0, 0));
        start as usize..end as usize + 1
    }

    /// Where the name of a field was written: what is known is where its dot is.
    fn field_span(&self, part: &IdedExpr, select: &SelectExpr) -> Range<usize> {
        let dot = self.span(part).start;
        let after = self.text.get(dot..).unwrap_or_default();
        let at = after.find(select.field.as_str()).map_or(dot, |found| dot + found);
        at..at + select.field.len()
    }
}

/// The fields of a part, for who has asked for one that there is not.
fn fields_of(shape: &Shape) -> String {
    let names: Vec<_> = shape.fields.iter().map(|field| field.name).collect();
    format!("there are {}", names.join(", "))
}
