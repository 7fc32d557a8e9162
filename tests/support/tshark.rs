//! tshark, which reads captures independently of the agent: its dissection as PDML, an XML with
//! the bytes of each field in hexadecimal.

use std::path::Path;
use std::process::Command;

/// What dissection depends on, pinned; other preferences are left where they are by an empty
/// folder in the place of the user's.
const PREFERENCES: [&str; 6] = [
    "http.tcp.port:80,3128,8000,8009,8765",
    "tcp.desegment_tcp_streams:TRUE",
    "http.desegment_headers:TRUE",
    "http.desegment_body:TRUE",
    "http.dechunk_body:TRUE",
    "http.decompress_body:TRUE",
];

/// An HTTP message or a WebSocket frame, in the order of the capture.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// Counts connections from 0.
    pub(crate) stream: u64,
    /// Who sent the packet that ends it.
    pub(crate) source_port: u16,
    /// `http` or `websocket`.
    pub(crate) protocol: String,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// As people read it.
    show: String,
    /// As it was sent.
    value: Vec<u8>,
}

impl Decoded {
    /// The bytes of the first field of this name.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The bytes of each field of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let fields = self.fields.iter().filter(move |field| field.name == name);
        fields.map(|field| &field.value[..])
    }

    /// The first field of this name as people read it.
    pub(crate) fn show(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.show[..])
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.show(name).is_some()
    }
}

/// What tshark makes of a capture file.
pub(crate) fn decode(capture: &Path) -> Vec<Decoded> {
    let home = tempfile::tempdir().expect("folder can be made");
    let mut tshark = Command::new("tshark");
    tshark.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME");
    tshark.args(["-n", "-T", "pdml", "-J", "tcp http websocket", "-Y", "http || websocket"]);
    tshark.args(PREFERENCES.iter().flat_map(|preference| ["-o", preference]));
    let output = tshark.arg("-r").arg(capture).output().expect("tshark starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tshark:?}: {}: {stderr}", output.status);
    // Some of what is for people is no UTF-8; hexadecimal is.
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// What of PDML matters: `packet`, `proto` and `field` elements, one inside of the other. No `<`
/// or `>` stands in an attribute.
fn parse(pdml: &str) -> Vec<Decoded> {
    let mut decoded: Vec<Decoded> = Vec::new();
    let (mut stream, mut source_port) = (0, 0);
    let mut in_message = false;
    for element in pdml.split('<').filter_map(|element| element.split_once('>')).map(|it| it.0) {
        let name = attribute(element, "name");
        if element.starts_with("packet") {
            in_message = false;
        } else if element.starts_with("proto") && matches!(&name[..], "http" | "websocket") {
            in_message = true;
            let fields = Vec::new();
            decoded.push(Decoded { stream, source_port, protocol: name, fields });
        } else if element.starts_with("field") {
            let show = attribute(element, "show");
            match &name[..] {
                "tcp.stream" => stream = number(&show),
                "tcp.srcport" => source_port = number(&show),
                _ if in_message => {
                    let value = bytes(&attribute(element, "value"));
                    let of = decoded.last_mut().expect("a message has begun");
                    of.fields.push(Field { name, show, value });
                }
                _ => {}
            }
        }
    }
    decoded
}

fn attribute(element: &str, name: &str) -> String {
    let value = element.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
    let value = value.and_then(|rest| rest.split_once('"')).map_or("", |(value, _)| value);
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(value.to_owned(), |text, (entity, is)| text.replace(entity, is))
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("tshark says {text:?} for a number"))
}

/// Hexadecimal as bytes; fields of some bits have single digits, which nobody here reads.
fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(hexadecimal.get(at..at + 2)?, 16).ok();
    (0..hexadecimal.len()).step_by(2).map_while(digit).collect()
}
