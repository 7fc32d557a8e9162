//! Arguments for what is kept of HTTP, which every command has that shows exchanges.

use bytesize::ByteSize;
use capture_agent::http::redact::Hidden;
use clap::Args;

/// What is kept of HTTP.
#[derive(Clone, Debug, Args)]
pub(crate) struct HttpArgs {
    /// Keep bodies, and what WebSockets carry, each message up to LIMIT [default LIMIT: 64KiB]
    #[arg(long, value_name = "LIMIT", num_args = 0..=1, require_equals = true,
          default_missing_value = "64KiB", value_parser = parse_limit)]
    pub(crate) bodies: Option<ByteSize>,
    /// Leave bodies in their content coding (gzip, deflate, br, zstd)
    #[arg(long)]
    pub(crate) no_decode: bool,
    /// List the fields of forms, urlencoded and multipart, in JSON Lines and HAR
    #[arg(long)]
    pub(crate) forms: bool,
    /// Hide this too: header:NAME, query:NAME, form:NAME, or NAME for all three; may be given
    /// several times, or as a list between commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) redact: Vec<Hidden>,
    /// Show the usual secrets: the values of Authorization, Cookie and the like, passwords and
    /// tokens in URLs and forms; what --redact names stays hidden
    #[arg(long)]
    pub(crate) show_secrets: bool,
    /// Longest head; what comes past that is not kept
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_head_size)]
    pub(crate) max_head_bytes: ByteSize,
    /// Most header fields that are kept of a head
    #[arg(long, value_name = "N", default_value_t = 256,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub(crate) max_headers: usize,
}

fn parse_limit(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| format!("'{text}' is not a size like 64KiB or 1MiB"))
}

/// Lengths that fit a head, which is held in memory until it is whole.
fn parse_head_size(text: &str) -> Result<ByteSize, String> {
    text.parse()
        .ok()
        .filter(|size| (ByteSize::b(64)..=ByteSize::mib(16)).contains(size))
        .ok_or_else(|| format!("'{text}' is not a size from 64B to 16MiB"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(args: &[&str]) -> Result<HttpArgs, clap::Error> {
        let args = ["capture-agent", "read", "x"].iter().chain(args);
        let Command::Read(read) = Cli::try_parse_from(args)?.command else { panic!("not read") };
        Ok(read.common.http)
    }

    #[test]
    fn bodies_have_a_limit_of_their_own_or_the_usual_one() {
        let bodies = |args: &[&str]| parse(args).unwrap().bodies.map(|limit| limit.as_u64());
        assert_eq!(bodies(&[]), None);
        assert_eq!(bodies(&["--bodies"]), Some(64 << 10));
        assert_eq!(bodies(&["--bodies=32MiB"]), Some(32 << 20));
    }

    #[test]
    fn heads_have_limits_that_make_sense() {
        let limits = |args: &[&str]| {
            let args = parse(args).ok()?;
            Some((args.max_head_bytes.as_u64(), args.max_headers))
        };
        assert_eq!(limits(&[]), Some((64 << 10, 256)));
        let given = ["--max-head-bytes", "8KiB", "--max-headers", "16"];
        assert_eq!(limits(&given), Some((8 << 10, 16)));
        for bad in [["--max-head-bytes", "1"], ["--max-head-bytes", "1GiB"], ["--max-headers", "0"]]
        {
            assert_eq!(limits(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_to_hide_may_be_a_list() {
        let redact = |args: &[&str]| parse(args).map(|args| args.redact);
        let hidden = |what: &str| what.parse::<Hidden>().unwrap();
        let listed = redact(&["--redact", "header:x-ssn,iban", "--redact=form:q"]).unwrap();
        assert_eq!(listed, [hidden("header:x-ssn"), hidden("iban"), hidden("form:q")]);
        let error = redact(&["--redact", "cookie:a"]).unwrap_err().to_string();
        assert!(error.contains("'cookie' is not where something can be hidden"), "{error}");
    }
}
