//! Makes up an exchange: heads as browsers and nginx send them, bodies, and what must come out.

use std::fmt::Write as _;

use fastrand::Rng;

use super::content::{Arena, Content, Matter};
use super::message::Message;
use super::mix::{Mix, Sizes};
use super::truth::Part;

/// The day that all of it happens on.
const DAY: &str = "Tue, 14 Nov 2023";

/// What is asked for: the extension of its name, its type, and what it is made of.
const KINDS: [(&str, &str, Matter); 8] = [
    ("html", "text/html; charset=utf-8", Matter::Text),
    ("json", "application/json", Matter::Text),
    ("js", "application/javascript", Matter::Text),
    ("css", "text/css", Matter::Text),
    ("txt", "text/plain", Matter::Text),
    ("png", "image/png", Matter::Noise),
    ("webp", "image/webp", Matter::Noise),
    ("woff2", "font/woff2", Matter::Noise),
];

const FOLDERS: [&str; 6] =
    ["assets/build", "api/v2/items", "static/img", "catalogue/summer", "en/docs/guide", "media"];

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/17.5 Safari/605.1.15",
    "okhttp/4.12.0",
];

/// What is asked, and what the answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Get,
    Post,
    Head,
    NotModified,
    NotFound,
}

/// A message and what must come out of it.
pub(super) struct Planned {
    pub(super) message: Message,
    pub(super) part: Part,
}

/// An exchange to be.
pub(super) struct Exchange {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) status: u16,
    pub(super) request: Planned,
    pub(super) response: Planned,
}

/// Makes up exchanges.
pub(super) struct Planner {
    pub(super) mix: Mix,
    sizes: Sizes,
    pub(super) arena: Arena,
}

/// A body and how it goes.
struct Body {
    content: Content,
    chunked: bool,
    gzip: bool,
}

impl Body {
    fn as_it_is(content: Content) -> Self {
        Self { content, chunked: false, gzip: false }
    }
}

impl Planner {
    pub(super) fn new(mix: Mix, arena: Arena) -> Self {
        Self { sizes: Sizes::new(&mix), mix, arena }
    }

    /// The next exchange of a client; `last` where the server closes after it.
    pub(super) fn exchange(&self, rng: &mut Rng, token: &str, second: u64, last: bool) -> Exchange {
        let case = self.case(rng);
        let (extension, kind, matter) = *rng.choice(&KINDS).unwrap_or(&KINDS[0]);
        let folder = rng.choice(FOLDERS).unwrap_or_default();
        let mut target = format!("/{folder}/{token}.{extension}");
        if rng.u8(..) < 64 {
            let _ = write!(target, "?page={}&sort=name&size={}", rng.u8(..), rng.u16(..));
        }
        let (method, status) = match case {
            Case::Get => ("GET", 200),
            Case::Post => ("POST", 201),
            Case::Head => ("HEAD", 200),
            Case::NotModified => ("GET", 304),
            Case::NotFound => ("GET", 404),
        };
        let upload = (case == Case::Post).then(|| self.body(rng, matter));
        let answer = match case {
            Case::Get | Case::Head => self.body(rng, matter),
            Case::Post | Case::NotFound => {
                let bytes = rng.u64(60..400);
                Body::as_it_is(self.arena.plain(rng, Matter::Text, bytes))
            }
            Case::NotModified => Body::as_it_is(Content::nothing()),
        };
        let request = request(rng, method, &target, kind, upload);
        let head = response_head(rng, token, status, kind, &answer, second, last);
        let bodyless = matches!(case, Case::Head | Case::NotModified);
        let response = planned(head, (!bodyless).then_some(answer));
        Exchange { method, target, status, request, response }
    }

    fn case(&self, rng: &mut Rng) -> Case {
        let mix = &self.mix;
        let shares = [
            (mix.post, Case::Post),
            (mix.head, Case::Head),
            (mix.not_modified, Case::NotModified),
            (mix.not_found, Case::NotFound),
        ];
        let mut roll = rng.f64();
        for (share, case) in shares {
            if roll < share {
                return case;
            }
            roll -= share;
        }
        Case::Get
    }

    fn body(&self, rng: &mut Rng, matter: Matter) -> Body {
        let bytes = self.sizes.draw(rng);
        let chunked = rng.f64() < self.mix.chunked;
        let gzip = matter == Matter::Text && rng.f64() < self.mix.gzip;
        let content =
            if gzip { self.arena.gzip(rng, bytes) } else { self.arena.plain(rng, matter, bytes) };
        Body { content, chunked, gzip }
    }
}

/// A head in the making.
struct Head {
    text: String,
    headers: usize,
}

impl Head {
    fn new(start_line: &str) -> Self {
        Self { text: format!("{start_line}\r\n"), headers: 0 }
    }

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.text, "{name}: {value}\r\n");
        self.headers += 1;
    }

    /// What frames the body.
    fn framing(&mut self, body: &Body) {
        if body.chunked {
            self.add("Transfer-Encoding", "chunked");
        } else {
            self.add("Content-Length", body.content.wire_bytes);
        }
        if body.gzip {
            self.add("Content-Encoding", "gzip");
        }
    }
}

fn request(rng: &mut Rng, method: &str, target: &str, kind: &str, body: Option<Body>) -> Planned {
    let mut head = Head::new(&format!("{method} {target} HTTP/1.1"));
    head.add("Host", "shop.example.com");
    head.add("User-Agent", rng.choice(AGENTS).unwrap_or_default());
    head.add("Accept", format_args!("{kind},text/html;q=0.9,*/*;q=0.8"));
    head.add("Accept-Language", "en-GB,en;q=0.8,de;q=0.5");
    head.add("Accept-Encoding", "gzip, deflate");
    head.add("Referer", format_args!("http://shop.example.com/catalogue/{}", rng.u16(..)));
    head.add("Connection", "keep-alive");
    head.add("Cookie", format_args!("session={:032x}; theme=dark; consent=1", rng.u128(..)));
    if rng.bool() {
        head.add("Sec-Fetch-Dest", "empty");
        head.add("Sec-Fetch-Mode", "cors");
        head.add("Sec-Fetch-Site", "same-origin");
    }
    if rng.u8(..) < 64 {
        head.add("If-None-Match", format_args!("\"{:x}\"", rng.u64(..)));
    }
    if let Some(body) = &body {
        head.add("Origin", "http://shop.example.com");
        head.add("Content-Type", kind);
        head.framing(body);
    }
    planned(head, body)
}

fn response_head(
    rng: &mut Rng,
    token: &str,
    status: u16,
    kind: &str,
    body: &Body,
    second: u64,
    last: bool,
) -> Head {
    let reason = match status {
        201 => "Created",
        304 => "Not Modified",
        404 => "Not Found",
        _ => "OK",
    };
    let mut head = Head::new(&format!("HTTP/1.1 {status} {reason}"));
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    head.add("Server", "nginx/1.22.1");
    head.add("Date", format_args!("{DAY} {hour:02}:{minute:02}:{second:02} GMT"));
    if status != 304 {
        head.add("Content-Type", kind);
        head.framing(body);
    }
    head.add("Last-Modified", "Mon, 06 Nov 2023 09:41:03 GMT");
    head.add("Connection", if last { "close" } else { "keep-alive" });
    head.add("Vary", "Accept-Encoding");
    head.add("ETag", format_args!("\"{:x}-{:x}\"", rng.u32(..), rng.u16(..)));
    head.add("Cache-Control", "public, max-age=3600");
    head.add("X-Request-Id", token);
    head.add("X-Content-Type-Options", "nosniff");
    if rng.bool() {
        head.add("Strict-Transport-Security", "max-age=31536000");
        head.add("Accept-Ranges", "bytes");
    }
    head
}

fn planned(mut head: Head, body: Option<Body>) -> Planned {
    head.text.push_str("\r\n");
    let mut message = Message::default();
    message.own(head.text.as_bytes());
    let mut part = Part { head_bytes: message.len(), headers: head.headers, ..Part::default() };
    if let Some(body) = body {
        part.wire_bytes = body.content.wire_bytes;
        part.bytes = body.content.bytes;
        part.crc32 = body.content.crc32;
        if body.chunked {
            message.chunked_body(body.content);
        } else {
            message.body(body.content);
        }
    }
    Planned { message, part }
}
