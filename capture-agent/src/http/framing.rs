//! How long a body is: the rules of RFC 9112 section 6.3, in their order.

use super::exchange::{Anomalies, Anomaly};
use super::head::{Head, RequestHead, ResponseHead};

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes, often 0.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Everything until the sender closes.
    Close,
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
    if head.value("transfer-encoding").is_some() {
        note_both_lengths(head, anomalies);
        if ends_in_chunked(head) {
            return Framing::Chunked;
        }
        anomalies.add(Anomaly::UnknownTransferCoding);
        return Framing::Unknown;
    }
    match content_length(head) {
        ContentLength::Absent => Framing::Length(0),
        ContentLength::Valid(length) => Framing::Length(length),
        ContentLength::Invalid => {
            anomalies.add(Anomaly::InvalidContentLength);
            Framing::Unknown
        }
    }
}

/// Framing of a response's body. `method` is that of the request it answers, where it is known.
#[must_use]
pub fn of_response(
    response: &ResponseHead,
    method: Option<&[u8]>,
    anomalies: &mut Anomalies,
) -> Framing {
    let head = response.head();
    let status = response.status();
    if response.is_interim() {
        return Framing::Interim;
    }
    if status == 101 || (method == Some(b"CONNECT") && (200..300).contains(&status)) {
        return Framing::Tunnel;
    }
    if method == Some(b"HEAD") || matches!(status, 204 | 304) {
        return Framing::Length(0);
    }
    if head.value("transfer-encoding").is_some() {
        note_both_lengths(head, anomalies);
        return if ends_in_chunked(head) { Framing::Chunked } else { Framing::Close };
    }
    match content_length(head) {
        ContentLength::Absent => Framing::Close,
        ContentLength::Valid(length) => Framing::Length(length),
        ContentLength::Invalid => {
            anomalies.add(Anomaly::InvalidContentLength);
            Framing::Close
        }
    }
}

/// Both at once is what request smuggling is made of (RFC 9112 section 6.1).
fn note_both_lengths(head: &Head, anomalies: &mut Anomalies) {
    if head.value("content-length").is_some() {
        anomalies.add(Anomaly::LengthAndTransferEncoding);
    }
}

/// Whether the last transfer coding is chunked (RFC 9112 section 6.1).
fn ends_in_chunked(head: &Head) -> bool {
    let codings = head.values("transfer-encoding").last().unwrap_or_default();
    let last = codings.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// Repeated values that agree are one value (RFC 9112 section 6.3, rule 5).
fn content_length(head: &Head) -> ContentLength {
    let mut length = ContentLength::Absent;
    for value in head.values("content-length").flat_map(|v| v.split(|byte| *byte == b',')) {
        match (decimal(value.trim_ascii()), &length) {
            (Some(new), ContentLength::Absent) => length = ContentLength::Valid(new),
            (Some(new), ContentLength::Valid(old)) if new == *old => {}
            _ => return ContentLength::Invalid,
        }
    }
    length
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
        assert_eq!(request("").0, Framing::Length(0));
        assert_eq!(request("Content-Length: 12\r\n").0, Framing::Length(12));
        assert_eq!(request("Transfer-Encoding: gzip, Chunked\r\n").0, Framing::Chunked);
        assert_eq!(request("Content-Length: 5\r\nContent-Length: 5, 5\r\n").0, Framing::Length(5));
    }

    #[test]
    fn broken_framing_is_named() {
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        let expected = (Framing::Chunked, vec![Anomaly::LengthAndTransferEncoding]);
        assert_eq!(request(both), expected);
        let lengths = ["-1", "+1", "0x10", "", "1 2", "18446744073709551616", "5, 6"];
        for value in lengths {
            let (framing, anomalies) = request(&format!("Content-Length: {value}\r\n"));
            assert_eq!(framing, Framing::Unknown, "{value:?}");
            assert_eq!(anomalies, [Anomaly::InvalidContentLength], "{value:?}");
        }
        let expected = (Framing::Unknown, vec![Anomaly::UnknownTransferCoding]);
        assert_eq!(request("Transfer-Encoding: chunked, gzip\r\n"), expected);
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_they_say() {
        let length = "Content-Length: 9\r\n";
        assert_eq!(response("HEAD", 200, length), Framing::Length(0));
        assert_eq!(response("GET", 204, length), Framing::Length(0));
        assert_eq!(response("GET", 304, length), Framing::Length(0));
        assert_eq!(response("GET", 103, length), Framing::Interim);
        assert_eq!(response("GET", 200, length), Framing::Length(9));
        assert_eq!(response("GET", 200, ""), Framing::Close);
        assert_eq!(response("GET", 200, "Transfer-Encoding: gzip\r\n"), Framing::Close);
    }

    #[test]
    fn upgrades_and_accepted_connects_end_http() {
        assert_eq!(response("GET", 101, ""), Framing::Tunnel);
        assert_eq!(response("CONNECT", 200, "Content-Length: 9\r\n"), Framing::Tunnel);
        assert_eq!(response("CONNECT", 407, "Content-Length: 9\r\n"), Framing::Length(9));
    }
}
