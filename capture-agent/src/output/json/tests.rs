use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn json(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    Json(&mut bytes).record(value).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn assert_same(value: &impl Serialize) {
    assert_eq!(json(value), serde_json::to_string(value).unwrap());
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tagged {
    OneThing(Thing),
}

#[derive(Serialize, Default)]
struct Thing {
    text: String,
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u16>,
    unknown: Option<u32>,
    known: Option<bool>,
    list: Vec<Small>,
    ip: Option<IpAddr>,
    #[serde(flatten)]
    others: Others,
}

#[derive(Serialize, Default)]
struct Others {
    one: u8,
    two: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Small {
    FirstOne,
    Second,
}

#[test]
fn records_are_written_as_serde_json_writes_them() {
    assert_same(&Tagged::OneThing(Thing::default()));
    assert_same(&Thing {
        text: "a\"b".to_owned(),
        number: u64::MAX,
        left_out: Some(7),
        unknown: None,
        known: Some(false),
        list: vec![Small::FirstOne, Small::Second],
        ip: Some(IpAddr::from([192, 0, 2, 1])),
        others: Others { one: 1, two: Some("\n".to_owned()) },
    });
    assert_same(&Vec::<Thing>::new());
    let ip = "2001:db8::ffff".parse().unwrap();
    assert_same(&[Thing { ip: Some(ip), ..Thing::default() }].as_slice());
}

#[test]
fn every_byte_is_escaped_as_it_has_to_be_wherever_it_stands() {
    for len in 0..=35 {
        for at in 0..len {
            for odd in (0..=0x7f).map(char::from).chain(['é', '\u{2028}', '😀']) {
                let text: String = (0..len).map(|i| if i == at { odd } else { 'x' }).collect();
                assert_same(&text);
                assert_eq!(shown(text.as_bytes()), serde_json::to_string(&text).unwrap());
            }
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    let mut written = Vec::new();
    Json(&mut written).bytes_or_null(Some(bytes));
    String::from_utf8(written).unwrap()
}

#[test]
fn bytes_that_are_no_text_are_shown_wherever_they_stand() {
    for len in 0..=35 {
        for at in 0..len {
            let bytes: Vec<u8> = (0..len).map(|i| if i == at { 0xff } else { b'x' }).collect();
            let expected = format!("\"{}\\\\xff{}\"", "x".repeat(at), "x".repeat(len - at - 1));
            assert_eq!(shown(&bytes), expected);
        }
    }
}

#[test]
fn numbers_of_any_length_are_written() {
    for number in [0, 9, 10, 99, 100, 255, 256, 65_536, u64::MAX] {
        assert_same(&number);
    }
}

#[test]
fn what_no_record_has_is_refused() {
    assert!(Json(&mut Vec::new()).record(&1.5).is_err());
    assert!(Json(&mut Vec::new()).record(&(1, 2)).is_err());
}

proptest! {
    #[test]
    fn texts_are_written_as_serde_json_writes_them(
        texts in prop::collection::vec("(?s).{0,40}|[ -~]{0,600}|[a\n\"]{250,260}", 0..8),
    ) {
        assert_same(&texts.as_slice());
        let shown = texts.concat();
        let mut bytes = Vec::new();
        Json(&mut bytes).collect_str(&format_args!("{}{}", shown, 7)).unwrap();
        prop_assert_eq!(bytes, serde_json::to_vec(&format!("{shown}7")).unwrap());
    }
}
