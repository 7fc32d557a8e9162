//! Heads as they are sent, by the grammar and not.

use super::*;

fn request(text: &str) -> Result<RequestHead, Malformed> {
    RequestHead::parse(text.as_bytes(), &HeadRules::default())
}

fn response(text: &str) -> Result<ResponseHead, Malformed> {
    ResponseHead::parse(text.as_bytes(), &HeadRules::default())
}

#[test]
fn a_request_head_gives_its_parts() {
    let text = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nX: 1\r\nx: 2\r\n\r\n";
    let head = request(text).unwrap();
    assert_eq!(head.method(), b"GET");
    assert_eq!(head.target(), b"/a?b");
    assert_eq!(head.head().version(), Some(Version::HTTP_11));
    assert_eq!(head.head().len() as usize, text.len());
    assert_eq!(head.head().value("host"), Some(&b"example.com"[..]));
    assert_eq!(head.head().values("x").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(head.head().anomalies(), Anomalies::default());
}

#[test]
fn a_response_head_gives_its_parts() {
    let head = response("HTTP/1.0 404 Not Found\r\nConnection: close, X\r\n\r\n").unwrap();
    assert_eq!(head.status(), Some(404));
    assert_eq!(head.reason(), b"Not Found");
    assert_eq!(head.head().version(), Some(Version::HTTP_10));
    assert!(head.head().has_token("connection", "CLOSE"));
    assert!(!head.head().has_token("connection", "clo"));
    let bytes = response("HTTP/1.1 200 Schön \r\n\r\n").unwrap();
    assert_eq!(
        (bytes.reason(), bytes.head().anomalies()),
        ("Schön".as_bytes(), Anomalies::default())
    );
    for bare in ["HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n"] {
        let bare = response(bare).unwrap();
        assert_eq!((bare.status(), bare.reason()), (Some(200), &b""[..]));
        assert_eq!(bare.head().anomalies(), Anomalies::default());
    }
}

#[test]
fn secrets_are_not_in_the_stored_head() {
    let text = "GET /?token=c2VjcmV0 HTTP/1.1\r\nHost: h\r\nauthorization: Basic c2VjcmV0\r\n\
                Cookie: s=c2VjcmV0\r\n\r\n";
    let head = request(text).unwrap();
    assert_eq!(head.head().value("Authorization"), Some(REDACTED));
    assert_eq!(head.head().value("cookie"), Some(REDACTED));
    assert_eq!(head.target(), b"/?token=[redacted]");
    assert_eq!(head.head().len() as usize, text.len());
    assert!(!format!("{head:?}").contains(&format!("{:?}", b"c2VjcmV0").replace(['[', ']'], "")));
    let rules = HeadRules { redaction: Redaction::none(), ..HeadRules::default() };
    let shown = RequestHead::parse(text.as_bytes(), &rules).unwrap();
    assert_eq!(shown.head().value("cookie"), Some(&b"s=c2VjcmV0"[..]));
}

/// A head that is not by the grammar: what is odd about it, and its headers.
#[track_caller]
fn assert_odd(head: &Head, anomalies: &[Anomaly], headers: &[(&str, &str)]) {
    assert_eq!(head.anomalies().iter().collect::<Vec<_>>(), anomalies);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let found: Vec<_> = head.headers().map(|(name, value)| (text(name), text(value))).collect();
    let expected: Vec<_> = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_lenient_recipients_take_is_taken_and_marked() {
    use Anomaly::*;
    type Case<'a> = (&'a str, &'a [Anomaly], &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 9] = [
        ("Host: h\n\n", &[BareLineFeed], &[("Host", "h")]),
        (
            "Host: h\r\nA: b\r\n  c\r\n\td\r\n\r\n",
            &[FoldedHeader],
            &[("Host", "h"), ("A", "b c d")],
        ),
        (
            "Host: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
            &[FoldedFramingHeader, FoldedHeader],
            &[("Host", "h"), ("Transfer-Encoding", "chunked")],
        ),
        ("Host : h\r\n\r\n", &[SpaceBeforeColon], &[("Host", "h")]),
        ("Host: h\r\nno colon\r\n\r\n", &[InvalidHeader], &[("Host", "h"), ("no colon", "")]),
        ("Host: h\r\na b: c\r\n\r\n", &[InvalidHeader], &[("Host", "h"), ("a b", "c")]),
        ("Host: h\r\nA: b\0\rc\r\n\r\n", &[ControlCharacters], &[("Host", "h"), ("A", "b\0\rc")]),
        ("Host: h\r\nHost: i\r\n\r\n", &[RepeatedHost], &[("Host", "h"), ("Host", "i")]),
        ("A: b\r\n\r\n", &[MissingHost], &[("A", "b")]),
    ];
    for (fields, anomalies, headers) in cases {
        // One that ends in LF alone does so everywhere.
        let end = if fields.contains('\r') { "\r\n" } else { "\n" };
        let head = request(&format!("GET / HTTP/1.1{end}{fields}")).unwrap();
        assert_odd(head.head(), anomalies, headers);
    }
}

#[test]
fn odd_start_lines_are_taken_and_marked() {
    use Anomaly::*;
    let cases: [(&str, &[u8], &[Anomaly]); 8] = [
        ("GET  /a HTTP/1.1", b"/a", &[OddStartLine]),
        ("GET /a b HTTP/1.1", b"/a b", &[OddStartLine]),
        ("GET\t/a HTTP/1.1", b"/a", &[OddStartLine]),
        ("GET /a HTTP/1.1 ", b"/a", &[OddStartLine]),
        ("GET /a http/1.1", b"/a", &[OddStartLine]),
        ("GET /a HTTP/1.2", b"/a", &[OddVersion]),
        ("GET /a HTTP/2.0", b"/a", &[OddVersion]),
        ("GET /\x01 HTTP/1.1", b"/\x01", &[ControlCharacters, OddStartLine]),
    ];
    for (line, target, anomalies) in cases {
        let head = request(&format!("{line}\r\nHost: h\r\n\r\n")).unwrap();
        assert_eq!(head.target(), target, "{line}");
        assert_odd(head.head(), anomalies, &[("Host", "h")]);
    }
    for line in [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200OK",
        "http/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
    ] {
        let head = response(&format!("{line}\r\n\r\n")).unwrap();
        assert_eq!((head.status(), head.reason()), (Some(200), &b"OK"[..]), "{line}");
        assert_odd(head.head(), &[OddStartLine], &[]);
    }
}

#[test]
fn what_is_no_head_is_refused() {
    for text in ["GET\r\n\r\n", "GET / FTP/1.1\r\n\r\n", " GET / HTTP/1.1\r\n\r\n", "\r\n\r\n"] {
        assert_eq!(request(text), Err(Malformed), "{text:?}");
    }
    for text in ["HTTP/1.1 2OO OK\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n"] {
        assert_eq!(response(text), Err(Malformed), "{text:?}");
    }
}

#[test]
fn headers_past_the_limit_are_left_out_but_for_those_of_framing() {
    let rules = HeadRules { max_headers: 2, ..HeadRules::default() };
    let text = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\nContent-Length: 3\r\n\r\n";
    let head = RequestHead::parse(text.as_bytes(), &rules).unwrap();
    let headers = [("Host", "h"), ("A", "b"), ("Content-Length", "3")];
    assert_odd(head.head(), &[Anomaly::TooManyHeaders], &headers);
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(200));
    let head = request(&text).unwrap();
    assert_eq!(head.head().headers().count(), 201);
    assert_eq!(head.head().anomalies(), Anomalies::default());
}

#[test]
fn heads_by_the_grammar_are_written_again_as_they_were_sent() {
    for text in [
        "GET /a?b HTTP/1.1\r\nHost:example.com\r\nX:  1\t\r\nx: \u{e4}\r\n\r\n",
        "GET / HTTP/1.0\r\nA: b\r\nEmpty:\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nEmpty:\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut again = Vec::new();
        request(text).unwrap().write_again(&mut again);
        assert_eq!(String::from_utf8(again).unwrap(), text);
    }
    for text in [
        "HTTP/1.1 200 Sch\u{f6}n\r\nA: b\r\n\r\n",
        "HTTP/1.0 404 \r\nA: b\r\n\r\n",
        "HTTP/1.0 404\r\nA:\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let mut again = Vec::new();
        response(text).unwrap().write_again(&mut again);
        assert_eq!(String::from_utf8(again).unwrap(), text);
    }
    let (text, mut again) = ("GET /x HTTP/1.1\nhost : h\r\nno colon\r\n a\r\n\r\n", Vec::new());
    request(text).unwrap().write_again(&mut again);
    assert_eq!(again, b"GET /x HTTP/1.1\r\nhost: h\r\nno colon a: \r\n\r\n");
}

#[test]
fn heads_are_written_again_without_their_secrets() {
    let text = "GET /?token=c2VjcmV0&a=b HTTP/1.1\r\nHost: h\r\nauthorization:Basic c2VjcmV0\r\n\
                X: y\r\n\r\n";
    let mut again = Vec::new();
    request(text).unwrap().write_again(&mut again);
    let shown = text.replace("Basic c2VjcmV0", "[redacted]").replace("c2VjcmV0", "[redacted]");
    assert_eq!(String::from_utf8(again).unwrap(), shown);
}
