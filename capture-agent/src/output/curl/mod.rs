//! Requests as commands of curl that send them again.
//!
//! Invariants: whatever was sent, a POSIX shell takes each command for one call of curl, with what
//! was sent as its arguments; curl takes none of it for an option or for the name of a file; what a
//! command does not send as it was is said in a comment before it.

mod quote;
mod target;

use std::io::{self, Write};
use std::ops::ControlFlow;

use jiff::tz::TimeZone;

use super::Screen;
use super::text::words::milliseconds;
use crate::event::{Event, Exchange};
use crate::http::head::{REDACTED, RequestHead, Version};
use crate::http::{Message, State};
use crate::notation::escape::visible;
use crate::notation::time::time_of_day;

/// Longest argument that is given as such: the kernel refuses those of 128 KiB.
const LONGEST_ARGUMENT: usize = 100_000;
/// curl asks before it sends a body that is longer.
const EXPECTED_BYTES: usize = 1_000_000;

/// Writes requests as commands.
#[derive(Clone, Debug)]
pub(super) struct Curl {
    screen: Screen,
    zone: TimeZone,
}

impl Curl {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, zone: TimeZone::system() }
    }

    /// Writes an exchange as a command, after comments that say which it is and what is missing.
    pub(super) fn write(&self, event: &Event, writer: &mut impl Write) -> io::Result<()> {
        let Event::Exchange(exchange) = event else { return Ok(()) };
        writeln!(writer, "# {}", self.title(exchange))?;
        let Some(request) = &exchange.http.request else {
            return writeln!(writer, "# The request was not seen.\n");
        };
        let mut command = Command { is_ascii: !self.screen.has_utf8(), ..Command::default() };
        let built = command.build(request, exchange);
        for note in &command.notes {
            writeln!(writer, "# {}", self.screen.shown(note.as_str()))?;
        }
        if built.is_continue() {
            let arguments = command.arguments.join(" \\\n  ");
            writeln!(writer, "{}curl {arguments}", command.before)?;
        }
        writeln!(writer)
    }

    fn title(&self, exchange: &Exchange) -> String {
        let (http, flow) = (&exchange.http, &exchange.flow);
        let time = time_of_day(http.time(), &self.zone);
        let status = http.response.as_ref().map(|response| response.head.status());
        let answer = match status {
            None => "response not seen".to_owned(),
            Some(None) => "answered without a status".to_owned(),
            Some(Some(status)) => format!("answered with {status}"),
        };
        let total = http.timing.total_ns.map(|total| format!(" in {}", milliseconds(total)));
        let (client, server, arrow) = (flow.client, flow.server, self.screen.arrow());
        format!("{time}  {client} {arrow} {server}  {answer}{}", total.unwrap_or_default())
    }
}

/// A command as it comes together.
#[derive(Debug, Default)]
struct Command {
    is_ascii: bool,
    /// What curl's standard input comes from.
    before: String,
    arguments: Vec<String>,
    /// What it does not do.
    notes: Vec<String>,
    /// Whether some of it is hidden.
    is_redacted: bool,
}

/// Whether there is a command.
type Built = ControlFlow<()>;

impl Command {
    fn build(&mut self, request: &Message<RequestHead>, exchange: &Exchange) -> Built {
        if request.head.method() == b"CONNECT" {
            return self.none("It asks a proxy for a tunnel, which curl does by itself.");
        }
        self.lacks(request);
        let data = self.body(request);
        self.method(request.head.method(), data.is_some())?;
        let server = exchange.flow.server;
        let target::Target { url, connect_to, request_target, host } =
            target::of(&request.head, server);
        self.literal(&url)?;
        if url.iter().any(|byte| b"[]{}".contains(byte)) {
            self.arguments.push("--globoff".to_owned());
        }
        if let Some(target) = request_target {
            self.option("--request-target", target)?;
        }
        if let Some(end) = connect_to {
            self.option("--connect-to", end.as_bytes())?;
        }
        if request.head.head().version() == Some(Version::HTTP_10) {
            self.arguments.push("--http1.0".to_owned());
        }
        self.fields(request, host);
        self.defaults(request, data.is_some());
        self.arguments.extend(data);
        if self.is_redacted {
            self.notes.push("Secrets are hidden: --show-secrets shows them.".to_owned());
        }
        Built::Continue(())
    }

    /// There is no command, and this is why.
    fn none(&mut self, why: &str) -> Built {
        self.notes.push(why.to_owned());
        Built::Break(())
    }

    fn literal(&mut self, bytes: &[u8]) -> Built {
        self.is_redacted |= contains(bytes, REDACTED);
        match quote::word(bytes, self.is_ascii) {
            Some(word) => {
                self.arguments.push(word);
                Built::Continue(())
            }
            None => self.none("It has bytes that no argument of a command can have."),
        }
    }

    fn option(&mut self, name: &str, value: &[u8]) -> Built {
        self.literal(value)?;
        if let Some(value) = self.arguments.last_mut() {
            *value = format!("{name} {value}");
        }
        Built::Continue(())
    }

    /// Says what of the request was not seen.
    fn lacks(&mut self, request: &Message<RequestHead>) {
        let lost = request.lost_bytes + request.elided_bytes;
        let lack = match request.state {
            State::Complete => return,
            State::Gap | State::Elided => format!("{lost} B of the request are missing."),
            State::Cut => "The request was cut off.".to_owned(),
            State::Midstream => "The request had begun before the capture.".to_owned(),
            State::Open => "The request was still going when the capture ended.".to_owned(),
        };
        self.notes.push(lack);
    }

    fn method(&mut self, method: &[u8], has_body: bool) -> Built {
        let method = match (method, has_body) {
            (b"GET", false) | (b"POST", true) => return Built::Continue(()),
            (b"HEAD", _) => {
                self.arguments.push("--head".to_owned());
                return Built::Continue(());
            }
            (method, _) => method,
        };
        if !is_token(method) {
            return self.none("Its method is none that curl could send.");
        }
        let plain = std::str::from_utf8(method).unwrap_or_default();
        if plain.chars().all(|char| char.is_ascii_alphanumeric()) {
            self.arguments.push(format!("-X {plain}"));
            return Built::Continue(());
        }
        self.option("-X", method)
    }

    /// The argument that has the body sent, if there is one.
    fn body(&mut self, request: &Message<RequestHead>) -> Option<String> {
        let (body, head) = (&request.body, request.head.head());
        let is_framed =
            ["content-length", "transfer-encoding"].iter().any(|it| head.value(it).is_some());
        let content = body.content.as_slice();
        if body.wire_bytes == 0 && !is_framed {
            return None;
        }
        if request.head.method() == b"HEAD" {
            self.notes.push("Its body is left out: curl sends none with HEAD.".to_owned());
            return None;
        }
        if body.wire_bytes > 0 && content.is_empty() {
            let note = "Its body of {} B is not here: --bodies keeps it.";
            self.notes.push(note.replace("{}", &body.wire_bytes.to_string()));
            return None;
        }
        if body.truncated {
            let note = format!("Only the first {} B of its body are here.", content.len());
            self.notes.push(note);
        }
        if body.decoded && head.value("content-encoding").is_some() {
            self.notes.push("Its body is sent without its content coding.".to_owned());
        }
        self.is_redacted |= contains(content, REDACTED);
        let is_plain =
            content.len() <= LONGEST_ARGUMENT && !content.iter().any(u8::is_ascii_control);
        let word = quote::word(content, self.is_ascii).filter(|_| is_plain);
        Some(word.map_or_else(
            || {
                self.before = format!("printf {} | ", quote::format(content, self.is_ascii));
                "--data-binary @-".to_owned()
            },
            // `--data` would take a '@' for the name of a file.
            |word| format!("--data-raw {word}"),
        ))
    }

    /// The header fields, but for those that curl makes itself; the host is in the URL.
    fn fields(&mut self, request: &Message<RequestHead>, host: Option<&[u8]>) {
        let head = request.head.head();
        let mut hosts = 0;
        for (name, value) in head.headers() {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("host") {
                hosts += 1;
                if host == Some(value) {
                    continue;
                }
            }
            if is("content-length") || (is("content-encoding") && request.body.decoded) {
                continue;
            }
            // An empty field is written so.
            let field = if value.is_empty() {
                [name, b";"].concat()
            } else {
                [name, b": ", value].concat()
            };
            let can_be_sent = is_token(name) && !value.contains(&b'\r');
            let word = quote::word(&field, self.is_ascii).filter(|_| can_be_sent);
            match word {
                Some(word) => {
                    self.is_redacted |= contains(value, REDACTED);
                    self.arguments.push(format!("-H {word}"));
                }
                None => self.notes.push(format!("Left out: the field {}.", visible(name))),
            }
        }
        if hosts > 1 {
            self.notes.push("It names several hosts, of which curl sends one.".to_owned());
        }
        if !request.trailers.is_empty() {
            self.notes.push("Its trailers are left out.".to_owned());
        }
    }

    /// Takes away the fields that curl adds and the request had not.
    fn defaults(&mut self, request: &Message<RequestHead>, has_body: bool) {
        let is_large = request.body.content.len() > EXPECTED_BYTES;
        let added = [
            ("User-Agent", true),
            ("Accept", true),
            ("Content-Type", has_body),
            ("Expect", has_body && is_large),
        ];
        for (name, is_added) in added {
            if is_added && request.head.head().value(name).is_none() {
                self.arguments.push(format!("-H '{name}:'"));
            }
        }
    }
}

/// A token (RFC 9110 section 5.6.2): curl takes a field whose name begins otherwise for something
/// else, as with '@' for the name of a file.
fn is_token(bytes: &[u8]) -> bool {
    let is_of_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_of_one)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
