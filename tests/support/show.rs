//! Events of the JSON contract as text that a person can read.
//!
//! Invariant: whatever a field says that is not shown is either its quiet value (null, 0, false,
//! an empty list) or stands in the dialogue; a field that this file does not know is shown as it
//! is. Times are not shown.
#![allow(dead_code, reason = "each test target uses a part")]

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::Value;

/// Longest text that is shown whole.
const LONGEST_TEXT: usize = 96;

/// All events of a dialogue. Header fields that are lines of it, `said`, are counted, not shown.
pub(crate) fn show(events: &[Value], said: &HashSet<String>) -> String {
    let block = |event: &Value| {
        let mut shown = Shown { text: String::new(), said };
        match event["type"].as_str() {
            Some("exchange") => shown.exchange(event),
            Some("flow") => shown.flow(event),
            _ => shown.other(event),
        }
        shown.text
    };
    let blocks: Vec<_> = events.iter().map(block).filter(|block| !block.is_empty()).collect();
    let mut text = String::new();
    for same in blocks.chunk_by(PartialEq::eq) {
        let is_exchange = same.iter().any(|block| block.contains("request "));
        text += if is_exchange && !text.is_empty() { "\n" } else { "" };
        text += same.first().map_or("", String::as_str);
        if same.len() > 1 {
            let _ = writeln!(text, "... {} times", same.len());
        }
    }
    text.trim_end().to_owned()
}

struct Shown<'a> {
    text: String,
    said: &'a HashSet<String>,
}

impl Shown<'_> {
    fn line(&mut self, label: &str, what: &str) {
        let line = format!("{label:9} {}", visible(what));
        self.text += line.trim_end();
        self.text.push('\n');
    }

    fn exchange(&mut self, event: &Value) {
        for interim in event["informational"].as_array().into_iter().flatten() {
            self.line("interim", &status_line(interim));
            self.head(interim);
            self.rest(interim, &["status", "reason", "version"]);
        }
        self.request(&event["request"]);
        self.response(&event["response"]);
        let mut names: Vec<_> = list(&event["anomalies"]).filter_map(Value::as_str).collect();
        names.sort_unstable();
        if !names.is_empty() {
            self.line("anomalies", &names.join(", "));
        }
        for counted in ["retransmitted", "out_of_order"] {
            let [up, down] = ["to_server", "to_client"].map(|way| event[counted][way].as_u64());
            if up.or(down).is_some() && (up, down) != (Some(0), Some(0)) {
                let [up, down] = [up, down].map(Option::unwrap_or_default);
                self.line("segments", &format!("{counted}: {up} to the server, {down} back"));
            }
        }
        let known = ["type", "time", "flow", "index", "client", "server", "timing"];
        let place = ["iface", "ifindex", "netns"];
        let shown = ["request", "response", "anomalies", "informational"];
        let counted = ["retransmitted", "out_of_order"];
        self.rest(event, &[&known[..], &place[..], &shown[..], &counted[..]].concat());
    }

    fn request(&mut self, request: &Value) {
        if request.is_null() {
            return self.line("request", "null");
        }
        let (method, target) = (text(&request["method"]), text(&request["target"]));
        let start = format!("{method} {target} {}", version(request));
        self.line("request", &format!("{start}, {}", state(request)));
        let url = text(&request["url"]);
        let ordinary = format!("http://{}{target}", text(&request["host"]));
        if url != ordinary {
            self.line("  url", &url);
        }
        self.head(request);
        let host = header(request, "host");
        if text(&request["host"]) != text(host.unwrap_or(&Value::Null)) {
            self.line("  host", &text(&request["host"]));
        }
        self.content(request);
        self.rest(request, &["method", "target", "version", "url", "host"]);
    }

    fn response(&mut self, response: &Value) {
        if response.is_null() {
            return self.line("response", "null");
        }
        self.line("response", &format!("{}, {}", status_line(response), state(response)));
        self.head(response);
        self.content(response);
        self.rest(response, &["status", "reason", "version"]);
    }

    fn head(&mut self, message: &Value) {
        let count = list(&message["headers"]).count();
        let fields = if count == 1 { "field" } else { "fields" };
        self.line("  head", &format!("{} bytes, {count} {fields}", message["head_bytes"]));
        self.fields("    ", &message["headers"]);
    }

    fn fields(&mut self, indent: &str, fields: &Value) {
        for field in list(fields) {
            let line = format!("{}: {}", text(&field["name"]), text(&field["value"]));
            if !self.said.contains(&line) {
                self.text += format!("{indent}{}", visible(&line)).trim_end();
                self.text.push('\n');
            }
        }
    }

    /// What follows the head, as far as there is any.
    fn content(&mut self, message: &Value) {
        let body = &message["body"];
        let said = |name| header(message, name).unwrap_or(&Value::Null);
        if body["content_type"] != *said("content-type") {
            self.line("  content_type", &body["content_type"].to_string());
        }
        let mut line = match (&body["wire_bytes"], &body["bytes"]) {
            (Value::Null, Value::Null) if body["sequence_bytes"].is_null() => "unknown".to_owned(),
            (Value::Null, Value::Null) => format!("{} bytes in the stream", body["sequence_bytes"]),
            (wire, bytes) if wire == bytes => format!("{wire} bytes"),
            (wire, bytes) => format!("{wire} bytes sent, {bytes} decoded"),
        };
        if !body["encoding"].is_null() {
            let _ = write!(line, ", {}", text(&body["encoding"]));
            if body["decoded"] == false {
                line += " not undone";
            }
        }
        for given in ["text", "base64"] {
            if !body[given].is_null() {
                let _ = write!(line, ", {given} {}", shortened(&body[given].to_string()));
            }
        }
        if body["truncated"] == true {
            line += ", truncated";
        }
        if !["0 bytes", "0 bytes sent, null decoded"].contains(&&*line) {
            self.line("  body", &line);
        }
        let known = ["wire_bytes", "bytes", "encoding", "decoded", "text", "base64", "truncated"];
        self.rest(body, &[&known[..], &["content_type", "sequence_bytes"]].concat());
        for (name, label) in [("gaps", "  gap"), ("elided", "  elided")] {
            for gap in list(&message[name]) {
                let place = format!("{} at {}", text(&gap["in"]), gap["offset"]);
                self.line(label, &format!("{place}, {} bytes", gap["bytes"]));
            }
        }
        if list(&message["trailers"]).next().is_some() {
            let count = list(&message["trailers"]).count();
            self.line("  trailers", &count.to_string());
            self.fields("    ", &message["trailers"]);
        }
    }

    /// What no other line says, where it is more than nothing.
    fn rest(&mut self, object: &Value, known: &[&str]) {
        let head = ["headers", "head_bytes", "body", "trailers"];
        let missing = ["lost_bytes", "dropped_bytes", "elided_bytes", "gaps", "elided"];
        let message = [&head[..], &["state"], &missing].concat();
        for (name, value) in object.as_object().into_iter().flatten() {
            if !known.contains(&&**name) && !message.contains(&&**name) && !is_quiet(value) {
                self.line(&format!("  {name}"), &shortened(&value.to_string()));
            }
        }
    }

    /// A flow, where its exchanges do not say everything.
    fn flow(&mut self, event: &Value) {
        let tunnel = &event["tunnel"];
        if event["exchanges"] == 0 {
            self.line("flow", "no exchange");
        }
        if tunnel.is_object() {
            let [up, down] = ["to_server_bytes", "to_client_bytes"].map(|way| &tunnel[way]);
            let protocol = text(&tunnel["protocol"]);
            self.line("tunnel", &format!("{protocol}, {up} bytes to the server, {down} back"));
        }
    }

    fn other(&mut self, event: &Value) {
        let mut fields = event.as_object().cloned().unwrap_or_default();
        let told = ["type", "time", "flow", "index", "number", "client", "server"];
        for place in told.into_iter().chain(["iface", "ifindex", "netns"]) {
            fields.remove(place);
        }
        fields.retain(|_, value| !is_quiet(value));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name} {}", shortened(&value.to_string())))
            .collect();
        self.line(&text(&event["type"]), &fields.join(", "));
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn header<'a>(message: &'a Value, name: &str) -> Option<&'a Value> {
    let of_name = |field: &&Value| text(&field["name"]).eq_ignore_ascii_case(name);
    list(&message["headers"]).find(of_name).map(|field| &field["value"])
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), shortened)
}

fn version(message: &Value) -> String {
    format!("HTTP/{}", text(&message["version"]))
}

fn status_line(message: &Value) -> String {
    let reason = message["reason"].as_str().unwrap_or_default();
    format!("{} {} {reason}", version(message), message["status"]).trim_end().to_owned()
}

fn state(message: &Value) -> String {
    let counts = [("lost_bytes", "lost"), ("dropped_bytes", "dropped"), ("elided_bytes", "elided")];
    counts.iter().fold(text(&message["state"]), |state, (name, what)| match &message[*name] {
        Value::Null => state,
        bytes => format!("{state}, {bytes} bytes {what}"),
    })
}

fn is_quiet(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(_) => false,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.values().all(is_quiet),
    }
}

/// The start and the end of what is long, and how long it is.
fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST_TEXT {
        return text.to_owned();
    }
    let start: String = text.chars().take(LONGEST_TEXT / 2).collect();
    let end: String = text.chars().skip(length - LONGEST_TEXT / 4).collect();
    format!("{start}…{end} ({length} characters)")
}

/// Text on one line, whatever is in it.
fn visible(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        match char {
            '\r' => shown += "\\r",
            '\n' => shown += "\\n",
            '\t' => shown += "\\t",
            '\0' => shown += "\\0",
            '\u{1b}' => shown += "\\e",
            char if char.is_control() => {
                let _ = write!(shown, "\\x{:02x}", char as u32);
            }
            char => shown.push(char),
        }
    }
    shown
}
