//! However the bytes are cut, and whatever is missing, the messages are the same.

use proptest::prelude::*;

use super::*;

/// Frames that mean something, and some that do not.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof!["[a-zé ]{0,40}", "x{0,300}"].prop_map(String::into_bytes);
    let payload = prop_oneof![
        3 => text.clone(),
        1 => prop::collection::vec(any::<u8>(), 0..50),
    ];
    let flags = prop_oneof![
        6 => prop::sample::select(vec![0x01, 0x02, 0x00, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let plain = (flags, payload, any::<Option<[u8; 4]>>()).prop_map(|(flags, payload, mask)| {
        mask.map_or_else(|| frame(flags, &payload), |mask| masked(flags, &payload, mask))
    });
    let one = prop_oneof![
        3 => plain,
        2 => text.prop_map(|text| frame(0xc1, &compressed(&[&text]).remove(0))),
        1 => prop::collection::vec(any::<u8>(), 1..20),
    ];
    prop::collection::vec(one, 1..12).prop_map(|frames| frames.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_make_no_difference(
        bytes in frames(),
        cuts in prop::collection::vec(1_usize..60, 1..20),
        by_itself in any::<bool>(),
        hole in any::<Option<(prop::sample::Index, u8)>>(),
        keep_bytes in prop::sample::select(vec![0, 10, 1 << 20]),
    ) {
        let rules = Rules { keep_bytes, ..KEEP };
        let (at, len) = hole.map_or((bytes.len(), 0), |(at, len)| (at.index(bytes.len()), len));
        let after = (at + usize::from(len)).min(bytes.len());
        let read = |mut cuts: Box<dyn FnMut() -> usize>| {
            let mut parts = Vec::new();
            for (n, mut rest) in [&bytes[..at], &bytes[after..]].into_iter().enumerate() {
                if n == 1 && after > at {
                    parts.push(Err((after - at) as u64));
                }
                while !rest.is_empty() {
                    let (piece, more) = rest.split_at(cuts().min(rest.len()));
                    parts.push(Ok(piece));
                    rest = more;
                }
            }
            let deflate = if by_itself { BY_ITSELF } else { SHARED };
            let mut receiver = Receiver::new(ToServer, deflate);
            let mut messages = read_parts(&mut receiver, &parts, &rules);
            receiver.finish(State::Cut, &mut |message| messages.push(message));
            for message in &mut messages {
                (message.first_byte, message.last_byte) = Default::default();
                assert!(message.content.len() <= keep_bytes);
            }
            messages
        };
        let whole = read(Box::new(|| usize::MAX));
        let mut cuts = cuts.into_iter().cycle();
        prop_assert_eq!(&whole, &read(Box::new(|| 1)));
        prop_assert_eq!(&whole, &read(Box::new(move || cuts.next().unwrap())));
    }
}
