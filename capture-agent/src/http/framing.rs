//! How long a body is: the rules of RFC 9112 section 6.3, in their order.

use super::anomaly::{Anomalies, Anomaly};
use super::head::{Head, RequestHead, ResponseHead, Version};
use super::recognise::trim;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// This many bytes, often 0.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Everything until the sender closes.
    Close,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A body, which may be empty.
    Body(BodyFraming),
    /// A body, unless this answers a HEAD: the request is not known.
    PerhapsBody(BodyFraming),
    /// The end of HTTP on this connection: a tunnel, or another protocol.
    Tunnel,
    /// Another head for the same request: this was an interim response.
    Interim,
    /// No rule tells: the sender broke the framing.
    Unknown,
}

/// What a Content-Length says (RFC 9110 section 8.6).
enum ContentLength {
    Absent,
    Valid(u64),
    Invalid,
}

/// Framing of a request's body.
#[must_use]
pub fn of_request(request: &RequestHead, anomalies: &mut Anomalies) -> Framing {
    let head = request.head();
    if has_transfer_coding(head, anomalies) {
        if ends_in_chunked(head) {
            return Framing::Body(BodyFraming::Chunked);
        }
        anomalies.add(Anomaly::UnknownTransferCoding);
        return Framing::Unknown;
    }
    match content_length(head, anomalies) {
        ContentLength::Absent => Framing::Body(BodyFraming::Length(0)),
        ContentLength::Valid(length) => Framing::Body(BodyFraming::Length(length)),
        ContentLength::Invalid => Framing::Unknown,
    }
}

/// Framing of a response's body. `method` is that of the request it answers, where it is known.
#[must_use]
pub fn of_response(
    response: &ResponseHead,
    method: Option<&[u8]>,
    anomalies: &mut Anomalies,
) -> Framing {
    let Some(status) = response.status() else { return Framing::Body(BodyFraming::Close) };
    let head = response.head();
    if matches!(status, 100..=199 | 204) {
        note_framing_without_body(head, anomalies);
    }
    if response.is_interim() {
        return Framing::Interim;
    }
    if status == 101 || (method == Some(b"CONNECT") && (200..300).contains(&status)) {
        return Framing::Tunnel;
    }
    if method == Some(b"HEAD") || matches!(status, 204 | 304) {
        return Framing::Body(BodyFraming::Length(0));
    }
    let body = body_of_response(head, anomalies);
    if method.is_none() { Framing::PerhapsBody(body) } else { Framing::Body(body) }
}

fn body_of_response(head: &Head, anomalies: &mut Anomalies) -> BodyFraming {
    if has_transfer_coding(head, anomalies) {
        return if ends_in_chunked(head) { BodyFraming::Chunked } else { BodyFraming::Close };
    }
    match content_length(head, anomalies) {
        ContentLength::Valid(length) => BodyFraming::Length(length),
        ContentLength::Absent | ContentLength::Invalid => BodyFraming::Close,
    }
}

/// Whether a transfer coding says where the message ends. Beside a length it is what request
/// smuggling is made of (RFC 9112 section 6.1).
fn has_transfer_coding(head: &Head, anomalies: &mut Anomalies) -> bool {
    if head.value("transfer-encoding").is_none() {
        return false;
    }
    if head.value("content-length").is_some() {
        anomalies.add(Anomaly::LengthAndTransferEncoding);
    }
    if head.version() == Some(Version::HTTP_10) {
        anomalies.add(Anomaly::TransferEncodingInHttp10);
    }
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if head.members("transfer-encoding").filter(chunked).count() > 1 {
        anomalies.add(Anomaly::ChunkedTwice);
    }
    true
}

/// A 304 may say how long the body would have been, a 204 or an interim response may not (RFC 9110
/// section 8.6).
fn note_framing_without_body(head: &Head, anomalies: &mut Anomalies) {
    let length = head.value("content-length").is_some_and(|length| length != b"0");
    if length || head.value("transfer-encoding").is_some() {
        anomalies.add(Anomaly::FramingWithoutBody);
    }
}

/// Whether the last transfer coding is chunked (RFC 9112 section 6.1).
fn ends_in_chunked(head: &Head) -> bool {
    let last = head.members("transfer-encoding").last();
    last.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

/// Repeated values that agree are one value (RFC 9112 section 6.3, rule 5).
fn content_length(head: &Head, anomalies: &mut Anomalies) -> ContentLength {
    let mut length = None;
    for value in head.values("content-length").flat_map(|v| v.split(|byte| *byte == b',')) {
        let Some(new) = decimal(trim(value)) else {
            anomalies.add(Anomaly::InvalidContentLength);
            return ContentLength::Invalid;
        };
        match length.replace(new) {
            None => {}
            Some(old) if old == new => anomalies.add(Anomaly::RepeatedContentLength),
            Some(_) => {
                anomalies.add(Anomaly::DifferingContentLengths);
                return ContentLength::Invalid;
            }
        }
    }
    length.map_or(ContentLength::Absent, ContentLength::Valid)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadRules, Parse};
    use super::BodyFraming::{Chunked, Close, Length};
    use super::*;

    #[track_caller]
    fn request(headers: &str) -> (Framing, Vec<Anomaly>) {
        let text = format!("POST / HTTP/1.1\r\n{headers}\r\n");
        let head = RequestHead::parse(text.as_bytes(), &HeadRules::default()).unwrap();
        let mut anomalies = Anomalies::default();
        (of_request(&head, &mut anomalies), anomalies.iter().collect())
    }

    #[track_caller]
    fn response(method: &str, status: u16, headers: &str) -> Framing {
        let text = format!("HTTP/1.1 {status} X\r\n{headers}\r\n");
        let head = ResponseHead::parse(text.as_bytes(), &HeadRules::default()).unwrap();
        of_response(&head, Some(method.as_bytes()), &mut Anomalies::default())
    }

    #[test]
    fn requests_follow_the_order_of_the_rules() {
        assert_eq!(request("").0, Framing::Body(Length(0)));
        assert_eq!(request("Content-Length: 12\r\n").0, Framing::Body(Length(12)));
        assert_eq!(request("Transfer-Encoding: gzip, Chunked\r\n").0, Framing::Body(Chunked));
        assert_eq!(
            request("Content-Length: 5\r\nContent-Length: 5, 5\r\n").0,
            Framing::Body(Length(5))
        );
    }

    #[test]
    fn broken_framing_is_named() {
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        let expected = (Framing::Body(Chunked), vec![Anomaly::LengthAndTransferEncoding]);
        assert_eq!(request(both), expected);
        let lengths = ["-1", "+1", "0x10", "", "1 2", "18446744073709551616", "5,"];
        for value in lengths {
            let (framing, anomalies) = request(&format!("Content-Length: {value}\r\n"));
            assert_eq!(framing, Framing::Unknown, "{value:?}");
            assert!(anomalies.contains(&Anomaly::InvalidContentLength), "{value:?}");
        }
        let expected = (Framing::Unknown, vec![Anomaly::DifferingContentLengths]);
        assert_eq!(request("Content-Length: 5, 6\r\n"), expected);
        let expected = (Framing::Body(Length(5)), vec![Anomaly::RepeatedContentLength]);
        assert_eq!(request("Content-Length: 5\r\nContent-Length: 5\r\n"), expected);
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(request(twice), (Framing::Body(Chunked), vec![Anomaly::ChunkedTwice]));
        let expected = (Framing::Unknown, vec![Anomaly::UnknownTransferCoding]);
        assert_eq!(request("Transfer-Encoding: chunked, gzip\r\n"), expected);
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_they_say() {
        let length = "Content-Length: 9\r\n";
        assert_eq!(response("HEAD", 200, length), Framing::Body(Length(0)));
        assert_eq!(response("GET", 204, length), Framing::Body(Length(0)));
        assert_eq!(response("GET", 304, length), Framing::Body(Length(0)));
        assert_eq!(response("GET", 103, length), Framing::Interim);
        assert_eq!(response("GET", 200, length), Framing::Body(Length(9)));
        assert_eq!(response("GET", 200, ""), Framing::Body(Close));
        assert_eq!(response("GET", 200, "Transfer-Encoding: gzip\r\n"), Framing::Body(Close));
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        let head = ResponseHead::parse(text, &HeadRules::default()).unwrap();
        let unasked = of_response(&head, None, &mut Anomalies::default());
        assert_eq!(unasked, Framing::PerhapsBody(Length(9)));
    }

    #[test]
    fn upgrades_and_accepted_connects_end_http() {
        assert_eq!(response("GET", 101, ""), Framing::Tunnel);
        assert_eq!(response("CONNECT", 200, "Content-Length: 9\r\n"), Framing::Tunnel);
        assert_eq!(response("CONNECT", 407, "Content-Length: 9\r\n"), Framing::Body(Length(9)));
    }
}
