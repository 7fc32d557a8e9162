//! Arguments for which exchanges are shown, of those that were captured.

use capture_agent::filter::{Filter, MediaPattern};
use clap::Args;
use clap::error::ErrorKind;

use super::CommonArgs;

/// Which exchanges are shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only exchanges of which this is true, in the Common Expression Language over the fields of
    /// JSON Lines: response.status >= 500 && request.host.endsWith("example.com")
    ///
    /// What is not known is null; has(timing.total_us) asks whether something is known. An exchange
    /// without what EXPR asks for is left out, and counted apart. header(request, "user-agent") is
    /// the value of a header field in any case. See docs/filters.md.
    #[arg(long = "where", allow_hyphen_values = true, value_name = "EXPR", value_parser = compile)]
    pub(crate) expression: Option<Filter>,
    /// Only exchanges with a body of such a media type, in the request or in the response: a type or
    /// a pattern as in 'audio/*'; may be given several times, or as a list between commas
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) content_type: Vec<MediaPattern>,
}

impl FilterArgs {
    /// What does not fit the other arguments: an expression that asks for what is not kept would
    /// never be true.
    pub(super) fn check(&self, common: &CommonArgs) -> Result<(), clap::Error> {
        let wrong = |what: &str| clap::Error::raw(ErrorKind::ArgumentConflict, what);
        let needs = self.expression.as_ref().map(Filter::needs).unwrap_or_default();
        if needs.forms && !common.http.forms {
            return Err(wrong(
                "the expression of --where asks for the fields of forms: add --forms\n",
            ));
        }
        let is_kept = common.http.bodies.is_some() || common.verbose >= 2;
        if needs.content && !is_kept {
            return Err(wrong(
                "the expression of --where asks for what bodies hold: add --bodies\n",
            ));
        }
        Ok(())
    }
}

fn compile(text: &str) -> Result<Filter, String> {
    // What is wrong begins on a line of its own: its place is marked below the expression.
    Filter::compile(text).map_err(|error| format!("\n{error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(args: &[&str]) -> Result<FilterArgs, clap::Error> {
        let args = ["capture-agent", "read", "x"].iter().chain(args);
        let cli = Cli::try_parse_from(args)?;
        cli.check()?;
        let Command::Read(read) = cli.command else { panic!("not read") };
        Ok(read.common.filter)
    }

    #[test]
    fn an_expression_asks_for_no_more_than_is_kept() {
        let content = "size(request.body.text) > 0";
        let error = parse(&["--where", content]).unwrap_err().to_string();
        assert!(error.contains("add --bodies"), "{error}");
        for more in [&["--bodies"][..], &["-vv"]] {
            assert!(parse(&[&["--where", content], more].concat()).is_ok(), "{more:?}");
        }
        let form = "request.body.form.exists(it, it.text == \"x\")";
        let error = parse(&["--where", form, "--bodies"]).unwrap_err().to_string();
        assert!(error.contains("add --forms"), "{error}");
        assert!(parse(&["--where", form, "--forms"]).is_ok());
    }

    #[test]
    fn media_types_may_be_a_list() {
        let args = ["--content-type", "audio/*,image/png", "--content-type=text/css"];
        let types = parse(&args).unwrap().content_type;
        let types: Vec<_> = types.iter().map(ToString::to_string).collect();
        assert_eq!(types, ["audio/*", "image/png", "text/css"]);
        let error = parse(&["--content-type", "json"]).unwrap_err().to_string();
        assert!(error.contains("'json' is not a media type"), "{error}");
    }
}
