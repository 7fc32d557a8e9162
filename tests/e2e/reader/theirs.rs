//! What tshark decodes, in the terms in which it is compared.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::ours::{hex, put};
use super::{Fields, Reading};
use crate::support::tshark::{Decoded, decode};

const PROXY: u16 = 3128;

pub(super) fn reading(capture: &Path) -> Reading {
    let mut reading = Reading::default();
    let mut unfinished = HashMap::new();
    let mut tunnels: BTreeMap<u64, Fields> = BTreeMap::new();
    for decoded in decode(capture) {
        let stream = decoded.stream;
        if decoded.protocol == "websocket" {
            add_frame(&mut reading, &mut unfinished, &decoded);
        } else if decoded.has("http.request.method") {
            let fields = request(&decoded);
            let word = |name| fields.get(name).map_or("?", |word: &String| word);
            let label = format!("{} {}", word("method"), word("target"));
            reading.add(stream, "request", label, fields);
        } else if decoded.has("http.proxy_connect_host") {
            let way =
                if decoded.source_port == PROXY { "to_client_bytes" } else { "to_server_bytes" };
            let fields = tunnels.entry(stream).or_default();
            let before: usize = fields.get(way).map_or(0, |bytes| bytes.parse().unwrap());
            let now = before + decoded.bytes("data").map_or(0, <[u8]>::len);
            fields.insert(way, now.to_string());
        } else {
            let fields = response(&decoded);
            reading.add(stream, "response", format!("? -> {:?}", fields.get("status")), fields);
        }
    }
    for (stream, fields) in tunnels {
        reading.add(stream, "tunnel", "tunnel".to_owned(), fields);
    }
    reading
}

fn request(decoded: &Decoded) -> Fields {
    let mut fields = message(decoded, "http.request.version", "http.request.line");
    put(&mut fields, "method", decoded.bytes("http.request.method").map(text));
    put(&mut fields, "target", decoded.bytes("http.request.uri").map(text));
    put(&mut fields, "host", decoded.show("http.host").map(str::to_owned));
    put(&mut fields, "url", decoded.show("http.request.full_uri").map(str::to_owned));
    fields
}

fn response(decoded: &Decoded) -> Fields {
    let mut fields = message(decoded, "http.response.version", "http.response.line");
    put(&mut fields, "status", decoded.bytes("http.response.code").map(text));
    put(&mut fields, "reason", decoded.bytes("http.response.phrase").map(text));
    put(&mut fields, "answers", decoded.show("http.response_for.uri").map(str::to_owned));
    // Of a response that ends with its connection, the span is up to FIN, some time after its end.
    let delimiters = ["http.content_length_header", "http.transfer_encoding"];
    if delimiters.iter().any(|name| decoded.has(name)) || !fields.contains_key("body") {
        let us = decoded.show("http.time").and_then(|seconds| seconds.parse::<f64>().ok());
        put(&mut fields, "us", us.map(|seconds| format!("{}", (seconds * 1e6) as u64)));
    }
    fields
}

fn message(decoded: &Decoded, version: &str, line: &'static str) -> Fields {
    let mut fields = Fields::new();
    let version = decoded.bytes(version).map(text);
    put(&mut fields, "version", version.map(|version| version.replace("HTTP/", "")));
    let headers =
        |name| decoded.all(name).flat_map(|lines| lines.split_inclusive(|it| *it == b'\n'));
    put(&mut fields, "headers", Some(headers(line).map(header).collect()));
    let trailers = headers("http.chunked_trailer_part").map(header).collect();
    put(&mut fields, "trailers", Some(trailers));
    let body = decoded.bytes("http.file_data").or(decoded.bytes("data")).unwrap_or_default();
    put(&mut fields, "body", Some(hex(body)));
    fields
}

/// A header line with the white space around its value left out (RFC 9112 section 5).
fn header(line: &[u8]) -> String {
    let line = text(line.trim_ascii());
    let (name, value) = line.split_once(':').unwrap_or((&line, ""));
    format!("{name}: {}\n", value.trim())
}

/// Bytes that are no UTF-8 as the agent writes them.
fn text(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks().map(|chunk| {
        let rest: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("{}{rest}", chunk.valid())
    });
    chunks.collect()
}

/// Data frames make a message once the last one is there; control frames may come between them.
fn add_frame(
    reading: &mut Reading,
    unfinished: &mut HashMap<(u64, u16), (Fields, u64, u64)>,
    decoded: &Decoded,
) {
    let number = |name| decoded.show(name).map_or(0, |it| it.parse::<u64>().unwrap());
    let lengths = ["", "_ext_16", "_ext_64"].map(|way| format!("websocket.payload_length{way}"));
    let wire = lengths.iter().rev().find_map(|name| decoded.show(name)).unwrap().parse::<u64>();
    let opcode = ["continuation", "text", "binary"];
    let control = ["close", "ping", "pong"];
    let opcode = match number("websocket.opcode") as usize {
        code @ 8.. => control[code - 8],
        code => opcode[code],
    };
    let place = (decoded.stream, decoded.source_port);
    let begun = if opcode == "continuation" { unfinished.remove(&place) } else { None };
    let (mut fields, frames, bytes) = begun.unwrap_or_else(|| (first_frame(decoded, opcode), 0, 0));
    let (frames, bytes) = (frames + 1, bytes + wire.unwrap());
    if number("websocket.fin") == 0 {
        unfinished.insert(place, (fields, frames, bytes));
        return;
    }
    fields.insert("frames", frames.to_string());
    fields.insert("wire_bytes", bytes.to_string());
    let names =
        ["text", "ping", "pong", "close.reason"].map(|it| format!("websocket.payload.{it}"));
    let names = names.iter().map(String::as_str).chain(["data"]);
    let payload = names.into_iter().find_map(|name| decoded.bytes(name)).unwrap_or_default();
    put(&mut fields, "payload", Some(hex(payload)));
    let code = decoded.show("websocket.payload.close.status_code");
    put(&mut fields, "close_code", code.map(str::to_owned));
    reading.add(decoded.stream, "message", format!("{opcode} message"), fields);
}

/// What the first frame tells of its message.
fn first_frame(decoded: &Decoded, opcode: &str) -> Fields {
    let is = |name: &str| (decoded.show(name) == Some("1")).to_string();
    let direction = if decoded.source_port == 8765 { "to_client" } else { "to_server" };
    Fields::from([
        ("opcode", opcode.to_owned()),
        ("direction", direction.to_owned()),
        ("masked", is("websocket.mask")),
        ("compressed", is("websocket.pmc")),
    ])
}
