//! Functions: which there are, what they take, and what they give.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::super::error::FilterError;
use super::super::fields::{INTERIM, REQUEST, RESPONSE};
use super::super::functions::PURSE_NAME;
use super::super::path::Step;
use super::super::pattern::Pattern;
use super::super::types::{Kind, Type};
use super::super::value::HEADER_KEY;
use super::{Checker, Is, Looked, Seen, call, expr, ident, literal_text, seen};

/// How functions are called, for who has called one otherwise.
const USAGES: [(&str, &str); 15] = [
    ("size", "size(list)"),
    ("contains", "text.contains(\"part\")"),
    ("startsWith", "text.startsWith(\"part\")"),
    ("endsWith", "text.endsWith(\"part\")"),
    ("matches", "text.matches(\"pattern\")"),
    ("header", "header(request, \"name\")"),
    ("int", "int(value)"),
    ("double", "double(value)"),
    ("string", "string(value)"),
    ("has", "has(part.field)"),
    ("exists", "list.exists(it, condition)"),
    ("all", "list.all(it, condition)"),
    ("exists_one", "list.exists_one(it, condition)"),
    ("filter", "list.filter(it, condition)"),
    ("map", "list.map(it, value)"),
];

impl<'e> Checker<'e> {
    /// A function or an operator.
    pub(super) fn call(&mut self, part: &'e IdedExpr, of: &'e CallExpr) -> Looked {
        if of.target.is_none()
            && let Some(looked) = self.operator(part, of)
        {
            return looked;
        }
        // `text.size()` is `size(text)`; which of them may be written so, is looked into below.
        let target = of.target.as_deref();
        let args: Vec<&IdedExpr> = target.into_iter().chain(&of.args).collect();
        match (of.func_name.as_str(), target, args.as_slice()) {
            ("size", _, [sized]) => self.size(part, sized),
            (name @ ("contains" | "startsWith" | "endsWith"), Some(text), [_, inside]) => {
                self.search(part, name, text, inside)
            }
            ("matches", _, [text, pattern]) => self.matches(text, pattern),
            ("header", None, [part, name]) => self.header(part, name),
            (name @ ("int" | "double" | "string"), None, [value]) => self.convert(name, value),
            (name, ..) => Err(self.no_such_call(part, name)),
        }
    }

    fn no_such_call(&self, part: &IdedExpr, name: &str) -> FilterError {
        let usage = USAGES.iter().find(|(known, _)| *known == name);
        let what = match usage {
            Some((_, usage)) => format!("{name}() is written {usage}"),
            None if name.starts_with(|char: char| !char.is_alphabetic()) => {
                "this operator is not known".to_owned()
            }
            None => {
                let names: Vec<_> = USAGES.iter().map(|(name, _)| *name).collect();
                format!("there is no function {name}(); there are {}", names.join(", "))
            }
        };
        // What is known of a call is where its bracket is.
        let bracket = self.span(part).start;
        let before = self.text.get(..bracket).unwrap_or_default();
        let start =
            before.rfind(name).filter(|start| start + name.len() == before.trim_end().len());
        let span = start.map_or(self.span(part), |start| start..start + name.len());
        FilterError::new(self.text, span, what)
    }

    fn size(&mut self, part: &'e IdedExpr, sized: &'e IdedExpr) -> Looked {
        let sized = self.look(sized)?;
        if !matches!(sized.of.kind, Kind::List(_) | Kind::Map(_) | Kind::Text | Kind::Any) {
            return Err(self.wrong(part, format!("{} has no size", sized.of)));
        }
        let args = vec![self.finish(sized)];
        Ok(seen(Kind::Int, call("size", args)))
    }

    /// A text that is asked for, or an error.
    fn text(&mut self, part: &'e IdedExpr) -> Result<IdedExpr, FilterError> {
        let text = self.look(part)?;
        if !matches!(text.of.kind, Kind::Text | Kind::Any) {
            let what = format!("this is {}, where a text is to stand", text.of);
            return Err(self.wrong(part, what));
        }
        Ok(self.finish(text))
    }

    fn search(
        &mut self,
        part: &'e IdedExpr,
        name: &str,
        text: &'e IdedExpr,
        inside: &'e IdedExpr,
    ) -> Looked {
        let target = self.look(text)?;
        if !matches!(target.of.kind, Kind::Text | Kind::Any) {
            let what = match target.of.kind {
                Kind::List(_) => "a list is asked by 'in', as in \"text\" in list".to_owned(),
                _ => format!("{name}() asks a text, and this is {}", target.of),
            };
            return Err(self.wrong(part, what));
        }
        let target = Some(Box::new(self.finish(target)));
        let args = vec![self.text(inside)?];
        let call = CallExpr { func_name: name.to_owned(), target, args };
        Ok(seen(Kind::Bool, expr(Expr::Call(call))))
    }

    fn matches(&mut self, text: &'e IdedExpr, pattern: &'e IdedExpr) -> Looked {
        let text = self.text(text)?;
        let Some(written) = literal(pattern) else {
            let what = "a pattern is written down as a text, so that it is compiled once";
            return Err(self.wrong(pattern, what));
        };
        let known = self.patterns.iter().position(|known| known.as_str() == written);
        let at = known.unwrap_or(self.patterns.len());
        if known.is_none() {
            let pattern = Pattern::new(written).map_err(|error| {
                self.wrong(pattern, format!("this pattern can't be used: {}", explain(&error)))
            })?;
            self.patterns.push(pattern);
        }
        let args = vec![text, ident(format!("@r{at}")), ident(PURSE_NAME)];
        Ok(seen(Kind::Bool, call("matches", args)))
    }

    fn header(&mut self, part: &'e IdedExpr, name: &'e IdedExpr) -> Looked {
        let of = self.look(part)?;
        let Kind::Part(shape) = of.of.kind else {
            let what = format!("header() asks a request or a response, and this is {}", of.of);
            return Err(self.wrong(part, what));
        };
        if ![&REQUEST, &RESPONSE, &INTERIM].iter().any(|it| it.is(shape)) {
            let what = format!("header() asks a request or a response, and this is {}", shape.what);
            return Err(self.wrong(part, what));
        }
        let Some(written) = literal(name) else {
            return Err(self.wrong(name, "the name of a header field is written down as a text"));
        };
        let text = Type { kind: Kind::Text, is_nullable: true };
        Ok(match of.is {
            Is::Path(path) => {
                Seen { of: text, is: Is::Path(path.then(Step::Header(written.into()))) }
            }
            Is::Expr(part) => {
                let key = literal_text(&format!("{HEADER_KEY}{written}"));
                seen(text, call(operators::INDEX, vec![part, key]))
            }
        })
    }

    fn convert(&mut self, name: &str, value: &'e IdedExpr) -> Looked {
        let seen_value = self.look(value)?;
        let kind = match name {
            "int" => Kind::Int,
            "double" => Kind::Double,
            _ => Kind::Text,
        };
        let fits = match seen_value.of.kind {
            Kind::Int | Kind::Double | Kind::Text | Kind::Any => true,
            Kind::Bool => matches!(kind, Kind::Text),
            _ => false,
        };
        if !fits {
            let what = format!("{name}() can't be made of {}", seen_value.of);
            return Err(self.wrong(value, what));
        }
        let args = vec![self.finish(seen_value)];
        Ok(seen(kind, call(name, args)))
    }
}

fn literal(part: &IdedExpr) -> Option<&str> {
    match &part.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// What is wrong with a pattern, in one line.
fn explain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(bytes) => {
            format!("it takes more than {bytes} bytes when it is compiled")
        }
        regex::Error::Syntax(text) => {
            let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
        other => other.to_string(),
    }
}
