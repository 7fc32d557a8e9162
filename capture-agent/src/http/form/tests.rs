use proptest::prelude::*;

use super::*;

const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

/// What comes out of a body that is given in these pieces, with a gap between two where one is
/// empty; and its fields.
fn read(content_type: &str, redaction: &Redaction, pieces: &[&[u8]]) -> (Vec<u8>, Vec<Field>) {
    let mut form = Form::of(content_type.as_bytes(), Some(ListRules::default())).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        if piece.is_empty() {
            form.gap(redaction, &mut |bytes| out.extend_from_slice(bytes));
        } else {
            form.push(piece, redaction, &mut |bytes| out.extend_from_slice(bytes));
        }
    }
    form.finish(true, redaction, &mut |bytes| out.extend_from_slice(bytes));
    (out, form.into_fields())
}

/// The body as it is shown, which is the same however it is cut.
#[track_caller]
fn shown(content_type: &str, body: &str) -> String {
    let usual = Redaction::default();
    let (whole, fields) = read(content_type, &usual, &[body.as_bytes()]);
    for size in 1..body.len() {
        let pieces: Vec<_> = body.as_bytes().chunks(size).collect();
        assert_eq!(read(content_type, &usual, &pieces), (whole.clone(), fields.clone()), "{size}");
    }
    let (plain, _) = read(content_type, &Redaction::none(), &[body.as_bytes()]);
    assert_eq!(String::from_utf8_lossy(&plain), body);
    for field in fields {
        assert!(!contains(&field.value, b"SECRET"), "{field:?}");
    }
    String::from_utf8(whole).unwrap()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

fn fields(content_type: &str, body: &str) -> Vec<(String, String, u64)> {
    let (_, fields) = read(content_type, &Redaction::default(), &[body.as_bytes()]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    fields.into_iter().map(|field| (text(field.name), text(field.value), field.bytes)).collect()
}

fn part(head: &str, value: &str) -> String {
    format!("--b\r\n{head}\r\n\r\n{value}\r\n")
}

fn named(name: &str, value: &str) -> String {
    part(&format!("Content-Disposition: form-data; name=\"{name}\""), value)
}

#[test]
fn what_is_a_form_is_told_by_its_type() {
    let is_form = |content_type: &str| Form::of(content_type.as_bytes(), None).is_some();
    assert!(is_form(" Application/X-WWW-Form-URLencoded ; charset=utf-8"));
    assert!(is_form("MULTIPART/form-data;boundary=\"a b\""));
    assert!(!is_form("multipart/mixed; boundary=b"));
    assert!(!is_form("application/json"));
    assert!(!is_form(""));
}

#[test]
fn secret_values_are_hidden_and_the_others_stay() {
    for (body, expected) in [
        ("", ""),
        ("a", "a"),
        ("&&a=1&b&=c&d=", "&&a=1&b&=c&d="),
        ("a=1&password=SECRET&b=2", "a=1&password=[redacted]&b=2"),
        ("password=SECRET", "password=[redacted]"),
        ("password=&b", "password=&b"),
        ("p%61ssword=SECRET", "p%61ssword=[redacted]"),
        ("user%5Bpin%5D=SECRET&user[otp]=SECRET", "user%5Bpin%5D=[redacted]&user[otp]=[redacted]"),
        ("access+token=SECRET", "access+token=[redacted]"),
        ("pin=SE=CRET;SECRET&b", "pin=[redacted]&b"),
        ("a=1;pin=SECRET;c=3&d=4", "a=1;pin=[redacted];c=3&d=4"),
        ("a;pin=SECRET;c=3&d=4", "a;pin=[redacted];c=3&d=4"),
        ("a=1;pin=%5;c=3&d=4", "a=1;pin=[redacted];c=3&d=4"),
    ] {
        assert_eq!(shown(URLENCODED, body), expected);
    }
    let long = format!("{}=SECRET&a=b", "a".repeat(5_000));
    assert!(!read(URLENCODED, &Redaction::default(), &[long.as_bytes()]).0.contains(&b'S'));
}

#[test]
fn fields_are_listed_as_the_application_meant_them() {
    let list = fields(URLENCODED, "a+b=c%20d%+%4&f&%3D=%26&password=SECR%45T&x=1;pin=22&&g=");
    let expected = [
        ("a b", "c d% %4", 7),
        ("f", "", 0),
        ("=", "&", 1),
        ("password", "[redacted]", 6),
        ("x", "1;pin=[redacted]", 8),
        ("g", "", 0),
    ];
    assert_eq!(list, expected.map(|(name, value, bytes)| (name.into(), value.into(), bytes)));
    let list = fields(URLENCODED, "x=1;pin=%5;y=%4");
    assert_eq!(list, [("x".into(), "1;pin=[redacted];y=%4".into(), 13)]);
}

#[test]
fn a_list_has_its_limits() {
    let rules = ListRules { max_fields: 2, max_value_bytes: 3 };
    let mut form = Form::of(URLENCODED.as_bytes(), Some(rules)).unwrap();
    form.push(b"a=1234&b=123&c=1&d", &Redaction::default(), &mut |_| {});
    form.finish(false, &Redaction::default(), &mut |_| {});
    assert_eq!(form.left_out(), 2);
    let fields = form.into_fields();
    assert_eq!((&*fields[0].value, fields[0].bytes, fields[0].truncated), (&b"123"[..], 4, true));
    assert_eq!((&*fields[1].value, fields[1].bytes, fields[1].truncated), (&b"123"[..], 3, false));
    assert_eq!(fields.len(), 2);
}

#[test]
fn the_last_field_of_a_body_that_was_cut_is_not_complete() {
    for (whole, content_type, body) in [
        (true, URLENCODED, "a=1&b=2"),
        (false, URLENCODED, "a=1&b=2"),
        (true, MULTIPART, &(named("a", "1") + &named("b", "2") + "--b--")),
        (false, MULTIPART, &(named("a", "1") + &named("b", "2"))),
    ] {
        let mut form = Form::of(content_type.as_bytes(), Some(ListRules::default())).unwrap();
        form.push(body.as_bytes(), &Redaction::default(), &mut |_| {});
        form.finish(whole, &Redaction::default(), &mut |_| {});
        let complete: Vec<_> = form.fields().iter().map(|field| field.complete).collect();
        assert_eq!(complete, [true, whole], "{body}");
    }
}

#[test]
fn after_a_gap_everything_is_hidden_to_the_end_of_the_field() {
    let usual = Redaction::default();
    for (before, after, expected) in [
        ("a=1", "SECRET&b=2", "a=1[redacted]&b=2"),
        ("a=1&pass", "word=SECRET&b=2", "a=1&pass[redacted]&b=2"),
        ("pin=SEC", "RET&b=2", "pin=[redacted]&b=2"),
        ("pin=SEC", "&b=2", "pin=[redacted]&b=2"),
        ("a=1;", "pin=SECRET;b=1&c=2", "a=1;[redacted]&c=2"),
    ] {
        let pieces = [before.as_bytes(), b"", after.as_bytes()];
        let (out, _) = read(URLENCODED, &usual, &pieces);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let (out, _) = read(URLENCODED, &Redaction::none(), &pieces);
        assert_eq!(String::from_utf8(out).unwrap(), [before, after].concat());
    }
}

#[test]
fn secret_parts_are_hidden_and_the_others_stay() {
    let body = |secret: &str| {
        let file = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain";
        let content = "x\r\n--bb\r\n--b-\r\n--b-- x\r\n -\n--\r\r\n";
        let first = part(file, content) + &named("password", secret) + &named("a", "");
        format!("\r\n{first}--b \t\r\nContent-Disposition: form-data; name=c\n\nd\n--b--\r\n\r\n")
    };
    assert_eq!(shown(MULTIPART, &body("SE\r\n--bCRET\r\n")), body("[redacted]"));
    let (_, list) = read(MULTIPART, &Redaction::default(), &[body("secret").as_bytes()]);
    assert_eq!(list[0].filename.as_deref(), Some(&b"a.txt"[..]));
    assert_eq!(list[0].content_type.as_deref(), Some(&b"text/plain"[..]));
    assert!(list.iter().all(|field| field.complete));
    let list = fields(MULTIPART, &body("secret"));
    let content = "x\r\n--bb\r\n--b-\r\n--b-- x\r\n -\n--\r\r\n";
    let expected = [
        ("f", content, content.len() as u64),
        ("password", "[redacted]", 6),
        ("a", "", 0),
        ("c", "d", 1),
    ];
    assert_eq!(list, expected.map(|(name, value, bytes)| (name.into(), value.into(), bytes)));
}

#[test]
fn a_secret_part_is_known_by_any_name_that_somebody_may_read() {
    for name in [
        "name=password",
        "name=\"password\"",
        "name = \"password\"",
        "NAME=\"password\"",
        "name='pin'",
        "name=\"user[pin]\"",
        "name=\"pass\\\"word\"",
        "name=\"p%69n\"",
        "name*=utf-8''p%69n",
        "name*=UTF-16''p%00i%00n%00",
        "name*0=\"pi\"; name*1=\"n\"",
        "name*1=\"n\"; name*0=\"pi\"",
        "name*0*=utf-8''p; name*1*=%69n",
        "name=\"=?utf-8?B?cGlu?=\"",
        "name=a; name=pin",
        "name=a; name*=''pin",
        "filename=\"x; name=a\"; name=\"pin\"",
        "filename=\"x\\\"; name=\\\"pin\"; name=\"a\"",
        "name=\"a\\\"; name=\\\"pin\"",
        "name=\"a\\\"; name=\"pin\"",
        "name=\"pin",
        "name=a\"; name=pin",
        "name",
        "filename=x",
        "\r\n name=pin",
        "\r\n\tname=\r\n\tpin",
        "name=\"a\"\r\nContent-Disposition: form-data; name=pin",
        "name=\"a\"\rContent-Disposition: form-data; name=pin",
        "name=\"a\"\r\nContent-Disposition : form-data; name=pin",
        "name=\"a\"\r\nX: y\rContent-Disposition: form-data; name=pin",
        "name=\"a\"\r\nno colon",
        "name=\"a\"\r\nCookie: a",
    ] {
        let head = format!("content-disposition:form-data; {name}");
        let body = part(&head, "SECRET") + &named("z", "1") + "--b--\r\n";
        let out = shown(MULTIPART, &body);
        assert!(!out.contains("SECRET"), "{out}");
        assert!(out.contains("[redacted]\r\n--b\r\n"), "{out}");
        assert!(out.ends_with("name=\"z\"\r\n\r\n1\r\n--b--\r\n"), "{out}");
    }
    for head in [
        "Content-Disposition: form-data; name=\"a\\\"b\"; filename=\"C:\\dir\\f.txt\"",
        "Content-Disposition: form-data; name=\"a%22b\"; filename*=utf-8''%e2%82%ac.txt",
        "Content-Type: text/plain\r\nContent-Disposition:\r\n form-data; name=a;",
    ] {
        let body = part(head, "open") + "--b--\r\n";
        assert_eq!(shown(MULTIPART, &body), body);
    }
}

#[test]
fn what_belongs_to_no_sound_part_is_hidden() {
    let tail = named("z", "1") + "--b--";
    for (before, expected) in [
        ("SECRET\r\n", "[redacted]\r\n"),
        ("\r\nSECRET", "\r\n[redacted]"),
        ("--b\r\n\r\nSECRET\r\n", "--b\r\n[redacted]\r\n"),
        ("--b\r\nContent-Disposition: form-data; name=pin\r\nSECRET\r\n", "--b\r\n[redacted]"),
        ("--b--\r\n\r\nSECRET\r\n", "--b--\r\n\r\n[redacted]\r\n"),
    ] {
        let join = if before.ends_with('\n') { "" } else { "\r\n" };
        let expected = format!("{expected}{join}{tail}");
        assert_eq!(shown(MULTIPART, &format!("{before}{join}{tail}")), expected);
    }
    for body in ["--b\r\nContent-Disposition: form-data; name=pin\r\nSECRET", "--b", "--b\r\n"] {
        assert!(!shown(MULTIPART, body).contains("SECRET"));
    }
    let endless = ["--b\r\nX: ", &"a".repeat(20_000), "\r\n\r\nSECRET\r\n", &tail].concat();
    let (out, _) = read(MULTIPART, &Redaction::default(), &[endless.as_bytes()]);
    assert_eq!(String::from_utf8(out).unwrap(), format!("--b\r\n[redacted]\r\n{tail}"));
}

#[test]
fn without_a_sound_boundary_the_whole_body_is_hidden() {
    for params in [
        "",
        ";",
        "; boundary",
        "; boundary=",
        "; boundary=\"b",
        "; boundary=b; boundary=c",
        " boundary=b",
        "; boundary=\"b\" c",
    ] {
        let body = named("a", "SECRET") + "--b--";
        let content_type = format!("multipart/form-data{params}");
        assert_eq!(shown(&content_type, &body), "[redacted]", "{params}");
    }
    let long = format!("multipart/form-data; boundary={}", "b".repeat(300));
    assert_eq!(shown(&long, "SECRET"), "[redacted]");
    // The body has another boundary than its type.
    assert_eq!(shown("multipart/form-data; boundary=c", "--b\r\nSECRET"), "[redacted]");
    let body = named("a", "1") + "--b--";
    for params in ["; charset=utf-8; Boundary=\"b\"", ";boundary=b;", "; boundary=b; boundary=b"] {
        assert_eq!(shown(&format!("multipart/form-data{params}"), &body), body, "{params}");
    }
}

#[test]
fn after_a_gap_parts_are_hidden_to_the_next_delimiter() {
    let body = named("a", "open") + &named("pin", "SECRET") + &named("z", "1") + "--b--";
    let usual = Redaction::default();
    for start in 1..body.len() {
        for end in start..body.len() {
            let (before, after) = (&body.as_bytes()[..start], &body.as_bytes()[end..]);
            let (out, fields) = read(MULTIPART, &usual, &[before, b"", after]);
            let values = fields.into_iter().flat_map(|field| field.value);
            let all: Vec<u8> = out.iter().copied().chain(values).collect();
            // Capitals stand in the secret, and in two words of the heads.
            let capitals: Vec<_> = all.iter().filter(|byte| b"SERT".contains(byte)).collect();
            assert!(capitals.is_empty(), "{start} {end} {}", String::from_utf8_lossy(&out));
            let (plain, _) = read(MULTIPART, &Redaction::none(), &[before, b"", after]);
            assert_eq!(plain, [before, after].concat());
        }
    }
}

#[test]
fn a_multipart_inside_of_a_part_is_one_value() {
    let inner = "--i\r\nContent-Disposition: file; filename=x\r\n\r\ny\r\n--i--";
    let head =
        "Content-Disposition: form-data; name=f\r\nContent-Type: multipart/mixed; boundary=i";
    let body = part(head, inner) + "--b--\r\n";
    assert_eq!(shown(MULTIPART, &body), body);
    assert_eq!(fields(MULTIPART, &body), [("f".into(), inner.into(), inner.len() as u64)]);
}

#[test]
fn hostile_bodies_take_little_memory() {
    let lines: [&[u8]; 6] = [b"&", b"a", b"--b\r\n", b"\r\n--", b"--b \t", b"name=a;\r\n"];
    for content_type in [URLENCODED, MULTIPART] {
        for line in lines {
            let mut form = Form::of(content_type.as_bytes(), Some(ListRules::default())).unwrap();
            form.push(
                b"--b\r\nContent-Disposition: form-data; name=\"",
                &Redaction::default(),
                &mut |_| {},
            );
            for _ in 0..100 {
                form.push(&line.repeat(1_000), &Redaction::default(), &mut |_| {});
            }
            assert!(form.memory() < 512 << 10, "{} {line:?}", form.memory());
        }
    }
}

/// Pieces of which bodies are made that are hard to read.
fn odd_body() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "--b",
        "--b\r\n",
        "\r\n--b\r\n",
        "\r\n--b--\r\n",
        "\n--b\n",
        "\r\n\r\n",
        "\n\n",
        "\r",
        "\n",
        "-",
        "--",
        "b",
        " ",
        "Content-Disposition: form-data; name=\"a\"\r\n\r\n",
        "Content-Disposition: form-data; name=pin\r\n\r\n",
        "name=",
        "pin=",
        "&",
        ";",
        "=",
        "%",
        "%4",
        "password",
        "value",
        "\"",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..24)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn cuts_change_nothing(body in odd_body(), size in 1_usize..9) {
        for content_type in [URLENCODED, MULTIPART] {
            for redaction in [Redaction::default(), Redaction::none()] {
                let whole = read(content_type, &redaction, &[&body]);
                let cut: Vec<_> = body.chunks(size).collect();
                prop_assert_eq!(read(content_type, &redaction, &cut), whole);
            }
        }
    }

    #[test]
    fn what_is_not_hidden_stays_byte_for_byte(body in odd_body()) {
        for content_type in [URLENCODED, MULTIPART, "multipart/form-data"] {
            let (out, _) = read(content_type, &Redaction::none(), &[&body]);
            prop_assert_eq!(&out, &body);
        }
    }

    #[test]
    fn masked_bytes_stay_as_many(body in odd_body(), size in 1_usize..9, gap in 0_usize..99) {
        for content_type in [URLENCODED, MULTIPART, "multipart/form-data"] {
            let mut form = Form::masked(content_type.as_bytes()).unwrap();
            let mut out = Vec::new();
            let usual = Redaction::default();
            let mut given = 0;
            for (number, part) in body.chunks(size).enumerate() {
                form.push(part, &usual, &mut |bytes| out.extend_from_slice(bytes));
                given += part.len();
                if number == gap {
                    form.gap(&usual, &mut |bytes| out.extend_from_slice(bytes));
                    prop_assert_eq!(out.len(), given);
                }
            }
            form.finish(false, &usual, &mut |bytes| out.extend_from_slice(bytes));
            prop_assert_eq!(out.len(), body.len());
            let is_masked = |(shown, sent): (&u8, &u8)| shown == sent || *shown == b'*';
            prop_assert!(out.iter().zip(&body).all(is_masked));
        }
    }

    #[test]
    fn no_byte_of_a_secret_part_is_left(before in odd_body(), secret in "[A-Z\r\n -]{0,12}") {
        let secret = format!("Q{secret}").replace("--", "Q");
        let head = b"\r\n--b\r\nContent-Disposition: form-data; name=pin\r\n\r\n";
        let body = [&before, &head[..], secret.as_bytes(), b"\r\n--b--"].concat();
        let (out, fields) = read(MULTIPART, &Redaction::default(), &[&body]);
        prop_assert!(!out.contains(&b'Q'));
        let mut masked = Vec::new();
        let mut form = Form::masked(MULTIPART.as_bytes()).unwrap();
        form.push(&body, &Redaction::default(), &mut |bytes| masked.extend_from_slice(bytes));
        form.finish(true, &Redaction::default(), &mut |bytes| masked.extend_from_slice(bytes));
        prop_assert!(!masked.contains(&b'Q'));
        prop_assert!(fields.iter().all(|field| !field.value.contains(&b'Q')));
    }
}
