use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::flow::Direction::{ToClient, ToServer};

mod cuts;

const KEEP: Rules = Rules {
    keep_bytes: 1 << 20,
    limits: Limits { max_bytes: 1 << 30, max_ratio: 200, free_bytes: 1 << 20, max_codings: 4 },
};
const SHARED: Option<Deflate> =
    Some(Deflate { server_no_context_takeover: false, client_no_context_takeover: false });
const BY_ITSELF: Option<Deflate> =
    Some(Deflate { server_no_context_takeover: true, client_no_context_takeover: true });

/// Bytes that were seen, or how many were not.
type Part<'a> = Result<&'a [u8], u64>;

/// Reads parts, the time of each one more than that of the one before.
fn read_parts(receiver: &mut Receiver, parts: &[Part<'_>], rules: &Rules) -> Vec<Message> {
    let mut messages = Vec::new();
    for (time, part) in parts.iter().enumerate() {
        let mut sink = |message| messages.push(message);
        match part {
            Ok(bytes) => receiver.data(bytes, Timestamp(time as u64), rules, &mut sink),
            Err(len) => receiver.gap(*len, Missing::Unseen, None, rules, &mut sink),
        }
    }
    messages
}

fn read(direction: Direction, deflate: Option<Deflate>, bytes: &[u8]) -> Vec<Message> {
    read_parts(&mut Receiver::new(direction, deflate), &[Ok(bytes)], &KEEP)
}

fn one(direction: Direction, deflate: Option<Deflate>, bytes: &[u8]) -> Message {
    let mut messages = read(direction, deflate, bytes);
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0)
}

fn content(message: &Message) -> &str {
    std::str::from_utf8(&message.content).unwrap()
}

fn odd(message: &Message) -> Vec<Anomaly> {
    message.anomalies.iter().collect()
}

/// An unmasked frame, its length in as few bytes as it takes.
fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        len @ 0..126 => vec![len as u8],
        len @ 126..=0xffff => [&[126][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[127][..], &(len as u64).to_be_bytes()].concat(),
    };
    [&[flags][..], &len, payload].concat()
}

/// The same, masked.
fn masked(flags: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = frame(flags, payload);
    bytes[1] |= 0x80;
    let header = bytes.len() - payload.len();
    for (byte, mask) in bytes[header..].iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    bytes.splice(header..header, mask);
    bytes
}

/// Messages as a sender with one history compresses them.
fn compressed(texts: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut compress = Compress::new(Compression::default(), false);
    let compress = |text: &&[u8]| {
        let mut bytes = Vec::with_capacity(text.len() + 100);
        compress.compress_vec(text, &mut bytes, FlushCompress::Sync).unwrap();
        assert_eq!(bytes.split_off(bytes.len() - 4), [0, 0, 0xff, 0xff]);
        bytes
    };
    texts.iter().map(compress).collect()
}

#[test]
fn the_examples_of_rfc_6455_section_5_7() {
    let hello = one(ToClient, None, b"\x81\x05Hello");
    let opcode = hello.opcode;
    assert_eq!((opcode, content(&hello), hello.masked), (Opcode::Text, "Hello", false));
    assert_eq!((hello.wire_bytes, hello.bytes, hello.frames), (5, Some(5), 1));
    assert_eq!((hello.state, hello.truncated, hello.compressed), (State::Complete, false, false));
    assert_eq!(odd(&hello), []);

    let hello = one(ToServer, None, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!((hello.opcode, content(&hello), hello.masked), (Opcode::Text, "Hello", true));
    assert_eq!(odd(&hello), []);

    let hello = one(ToClient, None, b"\x01\x03Hel\x80\x02lo");
    assert_eq!((hello.opcode, content(&hello), hello.frames), (Opcode::Text, "Hello", 2));
    assert_eq!(odd(&hello), []);

    let ping = one(ToClient, None, b"\x89\x05Hello");
    assert_eq!((ping.opcode, content(&ping), odd(&ping)), (Opcode::Ping, "Hello", vec![]));
    let pong = one(ToServer, None, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!((pong.opcode, content(&pong), odd(&pong)), (Opcode::Pong, "Hello", vec![]));

    for len in [256, 65_536] {
        let payload = vec![7; len];
        let binary = one(ToClient, None, &frame(0x82, &payload));
        assert_eq!((binary.opcode, binary.bytes), (Opcode::Binary, Some(len as u64)));
        assert_eq!((binary.content == payload, odd(&binary)), (true, vec![]));
    }
}

#[test]
fn the_examples_of_rfc_7692_section_7_2_3() {
    let examples: [&[u8]; 6] = [
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
        b"\xc1\x0b\x00\x05\x00\xfa\xffHello\x00",
        b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        // The last block of all, and not the byte that section 7.2.3.4 puts after it.
        b"\xc1\x07\xf3\x48\xcd\xc9\xc9\x07\x00",
    ];
    for example in examples {
        let hello = one(ToClient, SHARED, example);
        assert_eq!((content(&hello), hello.bytes), ("Hello", Some(5)), "{example:x?}");
        assert!(hello.compressed && hello.state == State::Complete);
        assert_eq!(odd(&hello), []);
        // Section 7.2.3.2: the second one refers to the first.
        let twice = [example, b"\xc1\x05\xf2\x00\x11\x00\x00"].concat();
        let messages = read(ToClient, SHARED, &twice);
        assert_eq!((content(&messages[1]), odd(&messages[1])), ("Hello", vec![]), "{example:x?}");
        let again = [example, example].concat();
        let messages = read(ToClient, BY_ITSELF, &again);
        assert_eq!((content(&messages[1]), odd(&messages[1])), ("Hello", vec![]));
    }
    let none = one(ToClient, SHARED, b"\xc1\x01\x00");
    assert_eq!((none.bytes, odd(&none)), (Some(0), vec![]));
    for before in examples {
        let messages = read(ToClient, SHARED, &[before, b"\xc1\x00"].concat());
        assert_eq!((messages[1].bytes, odd(&messages[1])), (Some(0), vec![]));
    }
}

#[test]
fn control_messages_come_out_between_the_fragments() {
    let bytes = [
        frame(0x01, b"one "),
        frame(0x89, b"ping"),
        frame(0x00, b"two "),
        frame(0x8a, b""),
        frame(0x80, b"three"),
        frame(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let messages = read(ToClient, SHARED, &bytes);
    let seen: Vec<_> = messages.iter().map(|m| (m.opcode, content(m), m.frames)).collect();
    let expected = [
        (Opcode::Ping, "ping", 1),
        (Opcode::Pong, "", 1),
        (Opcode::Text, "one two three", 3),
        (Opcode::Close, "bye", 1),
    ];
    assert_eq!(seen, expected);
    assert_eq!((messages[3].close_code, messages[3].wire_bytes), (Some(1000), 5));
    assert!(messages.iter().all(|message| odd(message).is_empty()));
}

#[test]
fn times_are_those_of_the_first_and_the_last_byte() {
    let text = [frame(0x01, b"ab"), frame(0x80, b"c")].concat();
    let pieces: Vec<_> = text.chunks(1).map(Ok).collect();
    let messages = read_parts(&mut Receiver::new(ToClient, None), &pieces, &KEEP);
    assert_eq!((messages[0].first_byte, messages[0].last_byte), (Timestamp(0), Timestamp(6)));
}

#[test]
fn a_mask_goes_on_wherever_the_decoder_stops() {
    let mut seed = 1_u32;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    let noise: Vec<_> = noise.take(9_000).collect();
    let small = compressed(&[b"odd", &noise]);
    assert!(small[0].len() & 3 != 0 && small[1].len() > 8_000);
    let bytes = [masked(0xc1, &small[0], [1, 2, 3, 4]), masked(0xc2, &small[1], [5, 6, 7, 8])];
    let messages = read(ToServer, SHARED, &bytes.concat());
    assert_eq!((messages[1].bytes, odd(&messages[1])), (Some(9_000), vec![]));
    assert_eq!(messages[1].content, noise);
}

#[test]
fn as_much_is_kept_as_is_wanted_and_the_rest_is_counted() {
    let rules = |keep_bytes| Rules { keep_bytes, ..KEEP };
    let text = vec![b'a'; 5_000];
    let small = compressed(&[&text]).remove(0);
    for (flags, payload) in [(0x81, &text), (0x82, &text), (0xc1, &small), (0xc2, &small)] {
        let bytes = masked(flags, payload, [1, 2, 3, 4]);
        for (keep, truncated) in [(0, false), (1_234, true), (4_999, true), (5_000, false)] {
            let mut receiver = Receiver::new(ToServer, SHARED);
            let messages = read_parts(&mut receiver, &[Ok(&bytes)], &rules(keep));
            let message = &messages[0];
            assert_eq!(message.content, text[..keep], "{flags:x} {keep}");
            assert_eq!((message.truncated, message.bytes), (truncated, Some(5_000)));
            assert_eq!(message.wire_bytes, payload.len() as u64);
        }
    }
}

#[test]
fn what_is_odd_is_said() {
    let cases: [(Direction, &[u8], Anomaly); 21] = [
        (ToServer, b"\x81\x01x", Anomaly::UnmaskedClientFrame),
        (ToClient, b"\x81\x81\0\0\0\0x", Anomaly::MaskedServerFrame),
        (ToClient, b"\x91\x01x", Anomaly::ReservedBits),
        (ToClient, b"\xa1\x01x", Anomaly::ReservedBits),
        (ToClient, b"\xc1\x01x", Anomaly::ReservedBits),
        (ToClient, b"\xc9\x01x", Anomaly::ReservedBits),
        (ToClient, b"\x83\x01x", Anomaly::ReservedOpcode),
        (ToClient, b"\x8b\x01x", Anomaly::ReservedOpcode),
        (ToClient, b"\x81\x7e\0\x01x", Anomaly::NonMinimalLength),
        (ToClient, b"\x81\x7f\0\0\0\0\0\0\0\x01x", Anomaly::NonMinimalLength),
        (ToClient, b"\x81\x7f\x80\0\0\0\0\0\0\x01x", Anomaly::ImpossibleLength),
        (ToClient, b"\x09\x01x", Anomaly::FragmentedControl),
        (ToClient, b"\x80\x01x", Anomaly::UnexpectedContinuation),
        (ToClient, b"\x81\x02\xc3\x28", Anomaly::InvalidUtf8),
        (ToClient, b"\x81\x01\xc3", Anomaly::InvalidUtf8),
        (ToClient, b"\x88\x04\x03\xe8\xc3\x28", Anomaly::InvalidUtf8),
        (ToClient, b"\x88\x01\x03", Anomaly::InvalidClose),
        (ToClient, b"\x88\x02\x03\xe7", Anomaly::InvalidClose),
        (ToClient, b"\x88\x02\x03\xee", Anomaly::InvalidClose),
        (ToClient, b"\x88\x02\x03\xf7", Anomaly::InvalidClose),
        (ToClient, b"\x88\x02\x13\x88", Anomaly::InvalidClose),
    ];
    for (direction, bytes, anomaly) in cases {
        let message = one(direction, None, bytes);
        assert_eq!(odd(&message), [anomaly], "{bytes:x?}");
    }
    let long = one(ToClient, None, &frame(0x89, &[0; 126]));
    assert_eq!((odd(&long), long.bytes), (vec![Anomaly::LongControl], Some(126)));
    for flags in [0xc9, 0xc3] {
        let message = one(ToClient, SHARED, &frame(flags, b"x"));
        assert!(odd(&message).contains(&Anomaly::ReservedBits), "{flags:x}");
        assert!(!message.compressed);
    }
    let fine: [&[u8]; 4] =
        [b"\x88\0", b"\x88\x02\x03\xe8", b"\x88\x02\x0f\xa0", b"\x88\x02\x13\x87"];
    for bytes in fine {
        assert_eq!(odd(&one(ToClient, None, bytes)), []);
    }
}

#[test]
fn a_message_that_another_interrupts_is_cut() {
    let bytes = [frame(0x01, b"one"), frame(0x82, b"two"), frame(0x80, b"three")].concat();
    let messages = read(ToClient, None, &bytes);
    let seen: Vec<_> = messages.iter().map(|m| (m.opcode, content(m), m.state, odd(m))).collect();
    let expected = [
        (Opcode::Text, "one", State::Cut, vec![Anomaly::InterruptedMessage]),
        (Opcode::Binary, "two", State::Complete, vec![]),
        (Opcode::Continuation, "three", State::Complete, vec![Anomaly::UnexpectedContinuation]),
    ];
    assert_eq!(seen, expected);
    assert_eq!(messages[0].bytes, None);
}

#[test]
fn nothing_is_read_after_an_impossible_length() {
    let bytes = [&frame(0x01, b"one")[..], b"\x80\x7f\xff\0\0\0\0\0\0\0", &frame(0x81, b"x")];
    let mut receiver = Receiver::new(ToClient, None);
    let messages = read_parts(&mut receiver, &[Ok(&bytes.concat())], &KEEP);
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].state, content(&messages[0])), (State::Cut, "one"));
    assert_eq!(odd(&messages[0]), [Anomaly::ImpossibleLength]);
    assert!(receiver.is_deaf());
}

#[test]
fn a_hole_inside_a_payload_is_passed_over() {
    let bytes = [masked(0x81, b"hello world", [9, 8, 7, 6]), masked(0x81, b"x", [1; 4])].concat();
    let header = 6;
    for (from, to) in [(2, 5), (0, 3), (5, 11), (0, 11)] {
        let (before, after) = (&bytes[..header + from], &bytes[header + to..]);
        let lost = (to - from) as u64;
        let mut receiver = Receiver::new(ToServer, None);
        let messages = read_parts(&mut receiver, &[Ok(before), Err(lost), Ok(after)], &KEEP);
        let message = &messages[0];
        assert_eq!((message.state, message.lost_bytes, message.bytes), (State::Gap, lost, None));
        assert_eq!(message.content, b"hello world"[..from], "content ends at the hole");
        assert_eq!((message.wire_bytes, message.truncated), (11 - lost, true));
        assert_eq!((content(&messages[1]), messages[1].state), ("x", State::Complete));
        assert!(!receiver.is_deaf());
    }
}

#[test]
fn a_hole_elsewhere_ends_it() {
    let parts: [(&[Part<'_>], Option<&str>); 4] = [
        (&[Ok(b"\x81\x05hel"), Err(3), Ok(b"\x81\x01x")], Some("hel")),
        (&[Ok(b"\x01\x03hel"), Err(3), Ok(b"\x81\x01x")], Some("hel")),
        (&[Ok(b"\x01\x03hel\x80"), Err(1), Ok(b"\x81\x01x")], Some("hel")),
        (&[Err(1), Ok(b"\x81\x01x")], None),
    ];
    for (parts, unfinished) in parts {
        let mut receiver = Receiver::new(ToClient, None);
        let messages = read_parts(&mut receiver, parts, &KEEP);
        let seen: Vec<_> = messages.iter().map(|m| (content(m), m.state)).collect();
        assert_eq!(seen, unfinished.map(|text| (text, State::Gap)).into_iter().collect::<Vec<_>>());
        assert!(messages.iter().all(|message| message.lost_bytes > 0));
        assert!(receiver.is_deaf());
    }
}

#[test]
fn what_is_not_over_comes_out_at_the_end() {
    let mut receiver = Receiver::new(ToClient, SHARED);
    let bytes = [&frame(0x41, b"\xf2\x48\xcd")[..], b"\x89\x05pi"].concat();
    assert_eq!(read_parts(&mut receiver, &[Ok(&bytes)], &KEEP), []);
    assert!(receiver.memory() > 4_000);
    let mut messages = Vec::new();
    receiver.finish(State::Open, &mut |message| messages.push(message));
    let seen: Vec<_> = messages.iter().map(|m| (content(m), m.state, m.bytes)).collect();
    assert_eq!(seen, [("He", State::Open, None), ("pi", State::Open, None)]);
    assert_eq!(receiver.memory(), 0);
}

#[test]
fn a_history_with_a_hole_is_of_no_use() {
    let texts: [&[u8]; 3] = [b"first message", b"second message", b"third message"];
    let small = compressed(&texts);
    let [first, second, third] = [0, 1, 2].map(|n| frame(0xc1, &small[n]));
    let plain = frame(0x81, b"plain");
    let after = [third, plain].concat();
    let parts = [Ok(&first[..]), Ok(&second[..6]), Err(second.len() as u64 - 6), Ok(&after)];
    let messages = read_parts(&mut Receiver::new(ToClient, SHARED), &parts, &KEEP);
    let seen: Vec<_> = messages.iter().map(|m| (content(m), m.bytes, odd(m))).collect();
    assert_eq!(seen[0], ("first message", Some(13), vec![]));
    assert!("second message".starts_with(seen[1].0) && seen[1].1.is_none());
    assert_eq!(seen[2], ("", None, vec![Anomaly::ContextLost]));
    assert_eq!(messages[2].state, State::Complete);
    assert_eq!(seen[3], ("plain", Some(5), vec![]));

    // Where each message stands by itself, only the one with the hole suffers.
    let third = frame(0xc1, &compressed(&texts[2..]).remove(0));
    let parts = [Ok(&first[..]), Ok(&second[..6]), Err(second.len() as u64 - 6), Ok(&third)];
    let messages = read_parts(&mut Receiver::new(ToClient, BY_ITSELF), &parts, &KEEP);
    assert_eq!((content(&messages[2]), odd(&messages[2])), ("third message", vec![]));
}

#[test]
fn compressed_bytes_that_are_none_are_malformed() {
    let whole = compressed(&[b"a message that is long enough, long enough"]).remove(0);
    for payload in [b"\xff\xff\xff", &whole[..whole.len() - 3]] {
        let bytes = [frame(0xc1, payload), frame(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00")].concat();
        let messages = read(ToClient, SHARED, &bytes);
        assert_eq!(odd(&messages[0]), [Anomaly::MalformedDeflate], "{payload:x?}");
        assert_eq!((messages[0].bytes, messages[0].state), (None, State::Complete));
        assert_eq!(odd(&messages[1]), [Anomaly::ContextLost]);
        let messages = read(ToClient, BY_ITSELF, &bytes);
        assert_eq!((content(&messages[1]), odd(&messages[1])), ("Hello", vec![]));
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0; 16 << 20];
    let bomb = frame(0xc2, &compressed(&[&zeros]).remove(0));
    let rules = Rules { keep_bytes: usize::MAX, ..KEEP };
    let most = rules.limits.by_ratio(bomb.len().next_multiple_of(1024) as u64) as usize;
    let whole = read_parts(&mut Receiver::new(ToClient, SHARED), &[Ok(&bomb)], &rules);
    assert_eq!((odd(&whole[0]), whole[0].bytes), (vec![Anomaly::DecodingLimit], None));
    assert!((1 << 20..most).contains(&whole[0].content.len()));
    let pieces: Vec<_> = bomb.chunks(1).map(Ok).collect();
    let cut = read_parts(&mut Receiver::new(ToClient, SHARED), &pieces, &rules);
    assert!(cut[0].content == whole[0].content, "cuts make no difference");

    // Many small ones are no better.
    let small = frame(0xc2, &compressed(&[&zeros[..500_000]]).remove(0));
    let many = small.repeat(30);
    let messages = read_parts(&mut Receiver::new(ToClient, BY_ITSELF), &[Ok(&many)], &rules);
    let total: usize = messages.iter().map(|message| message.content.len()).sum();
    assert!(total < rules.limits.by_ratio(many.len().next_multiple_of(1024) as u64) as usize);
    assert!(messages.iter().any(|message| odd(message) == [Anomaly::DecodingLimit]));
}

#[test]
fn memory_is_bounded_by_what_is_kept() {
    let rules = Rules { keep_bytes: 1_000, ..KEEP };
    let mut receiver = Receiver::new(ToServer, SHARED);
    let fragments = masked(0x02, &[1; 100_000], [1, 2, 3, 4]);
    assert_eq!(read_parts(&mut receiver, &[Ok(&fragments)], &rules), []);
    let more = masked(0x00, &[1; 100_000], [1, 2, 3, 4]).repeat(10);
    assert_eq!(read_parts(&mut receiver, &[Ok(&more)], &rules), []);
    assert!(receiver.memory() <= 2_000, "{}", receiver.memory());

    // Of a history, little more than twice its size is needed: the decoder has a copy of its
    // own. Of none, nothing.
    let text = vec![b'x'; 300_000];
    let message = frame(0xc1, &compressed(&[&text]).remove(0));
    let mut receiver = Receiver::new(ToClient, SHARED);
    assert_eq!(read_parts(&mut receiver, &[Ok(&message)], &rules).len(), 1);
    assert!((32_000..90_000).contains(&receiver.memory()), "{}", receiver.memory());
    let mut receiver = Receiver::new(ToClient, BY_ITSELF);
    assert_eq!(read_parts(&mut receiver, &[Ok(&message)], &rules).len(), 1);
    assert_eq!(receiver.memory(), 0);
}
