//! What expressions can ask of an exchange: the fields of its record, by their names, and how each
//! is got.
//!
//! Invariant: names, types and values are those of the record that the outputs write of an exchange
//! (`docs/output.schema.json`), but for what that leaves out where it is nothing: a count is 0 here,
//! and a list is empty. Nothing is got that was not asked for.

use std::borrow::Cow;

use crate::event::{End, Exchange, FlowInfo, Owner, Process};
use crate::http::form;
use crate::http::head::{Fields, Head, RequestHead, ResponseHead, Text};
use crate::http::{Body, Gap, Length, Message, Place, State, Timing};
use crate::notation::escape::{lossless, shown};
use crate::notation::time::Rfc3339;
use crate::notation::{self, FlowName, Url, content, encoding, version};
use crate::segment::{Endpoint, Missing};

/// A part of an exchange that has fields.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'v> {
    Exchange(&'v Exchange),
    End(Endpoint),
    Process(&'v Process),
    Request(&'v Message<RequestHead>),
    Response(&'v Message<ResponseHead>),
    Interim(&'v ResponseHead),
    Header(Text<'v>, Text<'v>),
    Body(&'v Head, &'v Body),
    Form(&'v form::Field),
    Gap(&'v Gap),
    Timing(&'v Timing),
    Trouble(u32, u32),
}

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Item<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Text(Cow<'v, str>),
    List(Vec<Self>),
    Node(Node<'v>),
}

/// Which fields a part has.
#[derive(Debug)]
pub(super) struct Shape {
    /// What it is, in a sentence.
    pub(super) what: &'static str,
    pub(super) fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: Of,
    /// Whether it is null where it is not known.
    pub(super) is_nullable: bool,
    pub(super) get: for<'v> fn(Node<'v>) -> Item<'v>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Bool,
    Int,
    Text,
    Texts,
    Node(&'static Shape),
    List(&'static Shape),
}

impl Shape {
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether it is this very one.
    pub(super) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl<'v> Node<'v> {
    /// Which fields it has.
    pub(super) const fn shape(self) -> &'static Shape {
        match self {
            Self::Exchange(_) => &EXCHANGE,
            Self::End(_) => &END,
            Self::Process(_) => &PROCESS,
            Self::Request(_) => &REQUEST,
            Self::Response(_) => &RESPONSE,
            Self::Interim(_) => &INTERIM,
            Self::Header(..) => &HEADER,
            Self::Body(..) => &BODY,
            Self::Form(_) => &FORM,
            Self::Gap(_) => &GAP,
            Self::Timing(_) => &TIMING,
            Self::Trouble(..) => &TROUBLE,
        }
    }

    /// The value of the first header field of a name, in any case.
    pub(super) fn header(self, name: &str) -> Item<'v> {
        let head = match self {
            Self::Request(message) => message.head.head(),
            Self::Response(message) => message.head.head(),
            Self::Interim(head) => head.head(),
            _ => return Item::Null,
        };
        let mut fields = head.fields().iter();
        let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| lossless(value)).into()
    }
}

/// Declares the fields of a part: name, type (`null` after it where it can be), and value.
macro_rules! shape {
    ($SHAPE:ident, $what:literal, $node:pat => {
        $($name:literal: $of:expr $(, $nullable:ident)? => $value:expr;)+
    }) => {
        pub(super) static $SHAPE: Shape = Shape {
            what: $what,
            fields: &[$(Field {
                name: $name,
                of: $of,
                is_nullable: shape!(@ $($nullable)?),
                #[allow(unused_variables, reason = "each field takes what it needs of its part")]
                get: |node| match node {
                    $node => Item::from($value),
                    _ => Item::Null,
                },
            }),+],
        };
    };
    (@) => { false };
    (@ null) => { true };
}

shape!(EXCHANGE, "an exchange", Node::Exchange(it) => {
    "time": Of::Text => text(Rfc3339(it.http.time()).text());
    "flow": Of::Text => text(FlowName(it.flow.id).text());
    "index": Of::Int => it.http.index;
    "iface": Of::Text, null => it.flow.iface.as_ref().map(|iface| Cow::Borrowed(&*iface.name));
    "ifindex": Of::Int, null => it.flow.iface.as_ref().and_then(|iface| iface.ifindex);
    "netns": Of::Text, null =>
        it.flow.iface.as_ref().and_then(|iface| iface.netns.as_deref().map(Cow::Borrowed));
    "client": Of::Node(&END) => Node::End(it.flow.client);
    "server": Of::Node(&END) => Node::End(it.flow.server);
    "local": Of::Text, null => owner(&it.flow).map(|owner| Cow::Borrowed(match owner.end {
        End::Client => "client",
        End::Server => "server",
    }));
    "cgroup": Of::Text, null =>
        owner(&it.flow).and_then(|owner| owner.cgroup.as_deref().map(Cow::Borrowed));
    "container": Of::Text, null =>
        owner(&it.flow).and_then(|owner| owner.container.as_deref().map(Cow::Borrowed));
    "process": Of::Node(&PROCESS), null =>
        owner(&it.flow).and_then(|owner| owner.process.as_ref()).map(Node::Process);
    "request": Of::Node(&REQUEST), null => it.http.request.as_ref().map(Node::Request);
    "response": Of::Node(&RESPONSE), null => it.http.response.as_ref().map(Node::Response);
    "informational": Of::List(&INTERIM) =>
        list(it.http.informational.iter().map(Node::Interim));
    "timing": Of::Node(&TIMING) => Node::Timing(&it.http.timing);
    "retransmitted": Of::Node(&TROUBLE) => {
        let network = it.http.network;
        Node::Trouble(network.to_server.retransmitted, network.to_client.retransmitted)
    };
    "out_of_order": Of::Node(&TROUBLE) => {
        let network = it.http.network;
        Node::Trouble(network.to_server.out_of_order, network.to_client.out_of_order)
    };
    "anomalies": Of::Texts =>
        list(it.http.anomalies.iter().map(|anomaly| Cow::Owned::<str>(anomaly.to_string())));
});

shape!(END, "an end of a flow", Node::End(it) => {
    "ip": Of::Text => Cow::Owned::<str>(it.ip().to_string());
    "port": Of::Int => it.port;
});

shape!(PROCESS, "a process", Node::Process(it) => {
    "pid": Of::Int, null => it.pid;
    "name": Of::Text => Cow::Borrowed(&*it.name);
});

shape!(REQUEST, "a request", Node::Request(it) => {
    "method": Of::Text => lossless(it.head.method());
    "target": Of::Text => lossless(it.head.target());
    "host": Of::Text, null => it.head.head().value("host").map(lossless);
    "url": Of::Text, null => Url::of(&it.head).map(|url| Cow::Owned::<str>(url.to_string()));
    "version": Of::Text, null => version(it.head.head());
    "headers": Of::List(&HEADER) => headers(it.head.head().fields());
    "head_bytes": Of::Int => it.head.head().len();
    "body": Of::Node(&BODY) => Node::Body(it.head.head(), &it.body);
    "trailers": Of::List(&HEADER) => headers(&it.trailers);
    "state": Of::Text => state(it.state);
    "lost_bytes": Of::Int => it.lost_bytes;
    "dropped_bytes": Of::Int => it.dropped_bytes;
    "elided_bytes": Of::Int => it.elided_bytes;
    "gaps": Of::List(&GAP) => gaps(&it.gaps, false);
    "elided": Of::List(&GAP) => gaps(&it.gaps, true);
});

shape!(RESPONSE, "a response", Node::Response(it) => {
    "status": Of::Int, null => it.head.status();
    "reason": Of::Text => lossless(it.head.reason());
    "version": Of::Text, null => version(it.head.head());
    "headers": Of::List(&HEADER) => headers(it.head.head().fields());
    "head_bytes": Of::Int => it.head.head().len();
    "body": Of::Node(&BODY) => Node::Body(it.head.head(), &it.body);
    "trailers": Of::List(&HEADER) => headers(&it.trailers);
    "state": Of::Text => state(it.state);
    "lost_bytes": Of::Int => it.lost_bytes;
    "dropped_bytes": Of::Int => it.dropped_bytes;
    "elided_bytes": Of::Int => it.elided_bytes;
    "gaps": Of::List(&GAP) => gaps(&it.gaps, false);
    "elided": Of::List(&GAP) => gaps(&it.gaps, true);
});

shape!(INTERIM, "an interim response", Node::Interim(it) => {
    "status": Of::Int, null => it.status();
    "reason": Of::Text => lossless(it.reason());
    "version": Of::Text, null => version(it.head());
    "headers": Of::List(&HEADER) => headers(it.head().fields());
    "head_bytes": Of::Int => it.head().len();
});

shape!(HEADER, "a header field", Node::Header(name, value) => {
    "name": Of::Text => shown(name);
    "value": Of::Text => shown(value);
});

shape!(BODY, "a body", Node::Body(head, body) => {
    "wire_bytes": Of::Int, null => (body.length == Length::Counted).then_some(body.wire_bytes);
    "sequence_bytes": Of::Int, null => { match body.length {
        Length::InStream(bytes) => Some(bytes),
        Length::Counted | Length::Unknown => None,
    } };
    "bytes": Of::Int, null => body.bytes;
    "content_type": Of::Text, null => head.value("content-type").map(lossless);
    "encoding": Of::Text, null => encoding(head);
    "decoded": Of::Bool => body.decoded;
    "text": Of::Text, null => notation::text(&body.content, body.truncated);
    "base64": Of::Text, null => content(&body.content, body.truncated).1.map(Cow::Owned::<str>);
    "truncated": Of::Bool => body.truncated;
    "form": Of::List(&FORM), null => body.form.as_ref().map(|form| list(form.iter().map(Node::Form)));
});

shape!(FORM, "a field of a form", Node::Form(it) => {
    "name": Of::Text => lossless(&it.name);
    "filename": Of::Text, null => it.filename.as_deref().map(lossless);
    "content_type": Of::Text, null => it.content_type.as_deref().map(lossless);
    "bytes": Of::Int => it.bytes;
    "text": Of::Text, null => notation::text(&it.value, it.truncated);
    "base64": Of::Text, null => content(&it.value, it.truncated).1.map(Cow::Owned::<str>);
    "truncated": Of::Bool => it.truncated;
    "complete": Of::Bool => it.complete;
});

shape!(GAP, "a gap", Node::Gap(it) => {
    "in": Of::Text => Cow::Borrowed(match it.place {
        Place::Head => "head",
        Place::Body => "body",
    });
    "offset": Of::Int => it.offset;
    "bytes": Of::Int => it.bytes;
});

shape!(TIMING, "the timing", Node::Timing(it) => {
    "connect_us": Of::Int, null => micros(it.connect_ns);
    "request_us": Of::Int, null => micros(it.request_ns);
    "wait_us": Of::Int, null => micros(it.wait_ns);
    "response_us": Of::Int, null => micros(it.response_ns);
    "total_us": Of::Int, null => micros(it.total_ns);
});

shape!(TROUBLE, "a pair of counts", Node::Trouble(to_server, to_client) => {
    "to_server": Of::Int => to_server;
    "to_client": Of::Int => to_client;
});

fn owner(flow: &FlowInfo) -> Option<&Owner> {
    flow.owner.as_deref()
}

fn micros(nanos: Option<u64>) -> Option<u64> {
    nanos.map(|nanos| nanos / 1_000)
}

fn text<const N: usize>(digits: [u8; N]) -> Cow<'static, str> {
    Cow::Owned(String::from_utf8_lossy(&digits).into_owned())
}

fn list<'v, T: Into<Item<'v>>>(items: impl Iterator<Item = T>) -> Item<'v> {
    Item::List(items.map(Into::into).collect())
}

fn headers(fields: &Fields) -> Item<'_> {
    list(fields.texts().map(|(name, value)| Node::Header(name, value)))
}

fn gaps(gaps: &[Gap], are_elided: bool) -> Item<'_> {
    list(gaps.iter().filter(|gap| (gap.missing == Missing::Elided) == are_elided).map(Node::Gap))
}

fn state(state: State) -> Cow<'static, str> {
    Cow::Borrowed(match state {
        State::Complete => "complete",
        State::Gap => "gap",
        State::Elided => "elided",
        State::Cut => "cut",
        State::Midstream => "midstream",
        State::Open => "open",
    })
}

impl<'v, T: Into<Self>> From<Option<T>> for Item<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<bool> for Item<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u16> for Item<'_> {
    fn from(value: u16) -> Self {
        Self::Int(value.into())
    }
}

impl From<u32> for Item<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u64> for Item<'_> {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<'v> From<Cow<'v, str>> for Item<'v> {
    fn from(value: Cow<'v, str>) -> Self {
        Self::Text(value)
    }
}

impl<'v> From<Node<'v>> for Item<'v> {
    fn from(value: Node<'v>) -> Self {
        Self::Node(value)
    }
}
