use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use proptest::prelude::*;

use super::*;

/// What came out, and how it ended.
type Decoded = (Vec<u8>, Result<(), DecodeError>);

fn decoder(codings: &str, limits: Limits) -> Decoder {
    Decoder::new([codings.as_bytes()].into_iter(), limits).unwrap().unwrap()
}

fn decode_pieces<'a>(
    codings: &str,
    pieces: impl Iterator<Item = &'a [u8]>,
    limits: Limits,
) -> Decoded {
    let mut decoder = decoder(codings, limits);
    let mut text = Vec::new();
    for piece in pieces {
        let _ = decoder.push(piece, &mut |piece| text.extend_from_slice(piece));
    }
    let ended = decoder.finish(&mut |piece| text.extend_from_slice(piece));
    (text, ended)
}

fn decode(codings: &str, bytes: &[u8]) -> Decoded {
    decode_pieces(codings, [bytes].into_iter(), Limits::default())
}

/// Bare DEFLATE, or with the wrapping of zlib.
pub(in crate::http) fn deflated(text: &[u8], zlib: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 100);
    let status = Compress::new(Compression::default(), zlib)
        .compress_vec(text, &mut bytes, FlushCompress::Finish)
        .unwrap();
    assert_eq!(status, Status::StreamEnd);
    bytes
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(text);
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    [&header[..], &deflated(text, false), &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()]
        .concat()
}

fn br(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let params = ::brotli::enc::BrotliEncoderParams { quality: 5, lgwin: 22, ..Default::default() };
    ::brotli::BrotliCompress(&mut &text[..], &mut bytes, &params).unwrap();
    bytes
}

fn zstandard(text: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(text, 3).unwrap()
}

type Encode = fn(&[u8]) -> Vec<u8>;

const CODINGS: [(&str, Encode); 6] = [
    ("gzip", gzip),
    ("deflate", |text| deflated(text, true)),
    ("deflate", |text| deflated(text, false)),
    ("br", br),
    ("zstd", zstandard),
    ("br, gzip", |text| gzip(&br(text))),
];

/// Words that compress as prose does.
fn prose(words: usize) -> Vec<u8> {
    let mut seed = 1_u32;
    let mut text = Vec::new();
    for _ in 0..words {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend_from_slice(format!("{:x} ", seed >> 18).as_bytes());
    }
    text
}

#[test]
fn what_the_reference_tools_write_is_read() {
    let hello = b"hello hello hello, world\n";
    // gzip 1.12 with a name, zlib's own, zlib's own and bare, brotli 1.0.9, zstd 1.5 with a checksum.
    let fixtures: [(&str, &str); 5] = [
        (
            "x-gzip",
            "1f8b08086db5026b000368656c6c6f2e74787400cb48cdc9c957c840903a0ae5f94539295c00\
             d670d75219000000",
        ),
        ("deflate", "78dacb48cdc9c957c840903a0ae5f94539295c00792908fb"),
        ("deflate", "cb48cdc9c957c840903a0ae5f94539295c00"),
        ("br", "0b0c8068656c6c6f2068656c6c6f2068656c6c6f2c20776f726c640a03"),
        ("zstd", "28b52ffd2419a500007068656c6c6f202c20776f726c640a0100314a11aecb4e2b"),
    ];
    for (coding, hex) in fixtures {
        let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let bytes: Vec<_> = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
        assert_eq!(decode(coding, &bytes), (hello.to_vec(), Ok(())), "{coding}");
    }
}

#[test]
fn names_come_in_any_case_and_with_space_around_them() {
    let none = |member: &str| {
        let members = [member.as_bytes()].into_iter();
        Decoder::new(members, Limits::default()).map(|decoder| decoder.is_none())
    };
    assert_eq!(none(""), Ok(true));
    assert_eq!(none("identity"), Ok(true));
    assert_eq!(none(" , Identity\t,"), Ok(true));
    assert_eq!(none(" GZip\t"), Ok(false));
    assert_eq!(none("X-GZIP"), Ok(false));
    assert_eq!(none("identity, Br"), Ok(false));
    assert_eq!(none("compress"), Err(UnknownCoding));
    assert_eq!(none("gzip, aes128gcm"), Err(UnknownCoding));
    assert_eq!(none("gzip;q=1"), Err(UnknownCoding));
    assert_eq!(none("gzip,gzip,br,zstd"), Ok(false));
    assert_eq!(none("gzip,gzip,gzip,gzip,gzip"), Err(UnknownCoding));
}

#[test]
fn the_coding_that_was_applied_last_is_undone_first() {
    let text = prose(500);
    let bytes = zstandard(&br(&gzip(&deflated(&text, true))));
    assert_eq!(decode("deflate, gzip, br, zstd", &bytes), (text.clone(), Ok(())));
    let members = [&b"deflate"[..], b"gzip", b"br", b"zstd"].into_iter();
    let mut decoder = Decoder::new(members, Limits::default()).unwrap().unwrap();
    let mut decoded = Vec::new();
    let mut sink = |piece: &[u8]| decoded.extend_from_slice(piece);
    decoder.push(&bytes, &mut sink).unwrap();
    decoder.finish(&mut sink).unwrap();
    assert_eq!(decoded, text);
}

#[test]
fn cuts_make_no_difference() {
    let text = prose(20_000);
    for (coding, encode) in CODINGS {
        let bytes = encode(&text);
        for step in [1, 2, 3, 7, 1000, 1024, 5000, bytes.len()] {
            let (decoded, ended) = decode_pieces(coding, bytes.chunks(step), Limits::default());
            assert_eq!(ended, Ok(()), "{coding} by {step}");
            assert!(decoded == text, "{coding} by {step}");
        }
    }
}

#[test]
fn a_prefix_says_all_that_it_can() {
    let text = prose(1_500);
    for (coding, encode) in CODINGS {
        let bytes = encode(&text);
        assert!(bytes.len() > 3_000, "{coding}");
        let mut before = 0;
        for len in (1..bytes.len()).step_by(3) {
            let (decoded, ended) = decode(coding, &bytes[..len]);
            assert_eq!(ended, Err(DecodeError::Truncated), "{coding} {len}");
            assert!(text.starts_with(&decoded), "{coding} {len}");
            assert!(decoded.len() >= before, "{coding} {len}");
            before = decoded.len();
            // zstd's blocks come out whole, and all of this is one.
            if coding != "zstd" && len > bytes.len() / 2 {
                let share = text.len() * len / bytes.len();
                assert!(decoded.len() + 1_000 > share, "{coding} {len}: {}", decoded.len());
            }
        }
    }
}

#[test]
fn blocks_of_zstd_come_out_when_they_are_whole() {
    let text = prose(200_000);
    let bytes = zstandard(&text);
    let (decoded, ended) = decode("zstd", &bytes[..bytes.len() / 2]);
    assert_eq!(ended, Err(DecodeError::Truncated));
    assert!(text.starts_with(&decoded));
    assert!(decoded.len() > text.len() / 2 - (128 << 10), "{}", decoded.len());
}

#[test]
fn a_body_that_never_comes_is_fine_and_costs_nothing() {
    for (coding, _) in CODINGS {
        let mut decoder = decoder(coding, Limits::default());
        decoder.push(b"", &mut |_| panic!()).unwrap();
        assert!(decoder.memory() < 1_000, "{}", decoder.memory());
        assert_eq!(decoder.finish(&mut |_| panic!()), Ok(()));
    }
}

#[test]
fn memory_is_what_is_allocated() {
    let text = prose(100_000);
    let memory = |coding, bytes: &[u8]| {
        let mut decoder = decoder(coding, Limits::default());
        decoder.push(bytes, &mut |_| {}).unwrap();
        decoder.memory()
    };
    for (coding, encode) in CODINGS {
        assert!(memory(coding, &encode(&text[..1000])) < 2_500, "nothing is decoded yet");
    }
    let inflate = memory("gzip", &gzip(&text));
    assert!((50_000..70_000).contains(&inflate), "{inflate}");
    let window = text.len().next_power_of_two();
    for (coding, encode) in [("br", br as Encode), ("zstd", zstandard)] {
        let memory = memory(coding, &encode(&text));
        assert!((text.len()..window + 300_000).contains(&memory), "{coding} {memory}");
    }
}

#[test]
fn gzip_has_members_and_padding() {
    let [a, b] = [gzip(b"first "), gzip(b"second")];
    let both = b"first second".to_vec();
    assert_eq!(decode("gzip", &[&a[..], &b].concat()), (both.clone(), Ok(())));
    assert_eq!(decode("gzip", &[&a[..], &b, &[0; 700]].concat()), (both.clone(), Ok(())));
    for tail in [&b"x"[..], b"\x00x", b"\x00\x1f\x8b", b"\x1fx"] {
        let bytes = [&a[..], &b, tail].concat();
        assert_eq!(decode("gzip", &bytes), (both.clone(), Err(DecodeError::Malformed)), "{tail:?}");
    }
    let broken_off = [&a[..], &b[..9]].concat();
    assert_eq!(decode("gzip", &broken_off), (b"first ".to_vec(), Err(DecodeError::Truncated)));
    let header = [0x1f, 0x8b, 8, 0x1f, 0, 0, 0, 0, 0, 3, 2, 0, 1, 2, b'n', 0, b'c', 0, 7, 7];
    let bytes = [&header[..], &a[10..]].concat();
    assert_eq!(decode("gzip", &bytes), (b"first ".to_vec(), Ok(())));
}

#[test]
fn gzip_that_is_none_or_has_changed_is_malformed() {
    let good = gzip(b"text");
    let changed = |n: usize| {
        let mut bytes = good.clone();
        bytes[n] ^= 0x80;
        decode("gzip", &bytes)
    };
    for n in [0, 1, 2, 3] {
        assert_eq!(changed(n), (vec![], Err(DecodeError::Malformed)), "{n}");
    }
    for n in [good.len() - 8, good.len() - 1] {
        assert_eq!(changed(n), (b"text".to_vec(), Err(DecodeError::Malformed)), "{n}");
    }
    // A second member that refers to the text of the first.
    let mut compress = Compress::new(Compression::default(), false);
    let mut blocks = [vec![], vec![]];
    for part in &mut blocks {
        part.reserve(1000);
        compress.compress_vec(b"a long enough text", part, FlushCompress::Sync).unwrap();
    }
    let member = [&good[..10], &blocks[1]].concat();
    let bytes = [gzip(b"a long enough text"), member].concat();
    assert_eq!(
        decode("gzip", &bytes),
        (b"a long enough texta".to_vec(), Err(DecodeError::Malformed))
    );
}

#[test]
fn bare_deflate_that_begins_as_zlib_does_is_told_by_what_follows() {
    // A stored block of 156 bytes whose padding makes its first two bytes those of zlib.
    let stored = [&[0x78, 0x9c, 0x00, 0x63, 0xff][..], &[b'x'; 156], &[1, 0, 0, 0xff, 0xff]];
    let bytes = stored.concat();
    for step in [1, 2, 5, bytes.len()] {
        let decoded = decode_pieces("deflate", bytes.chunks(step), Limits::default());
        assert_eq!(decoded, (vec![b'x'; 156], Ok(())), "{step}");
    }
}

#[test]
fn what_came_before_an_error_is_said() {
    // An uncompressed block, and the header of one with the reserved bit set.
    let bytes = [b"\x40\x00\x10hello", &[0b1110][..]].concat();
    assert_eq!(decode("br", &bytes), (b"hello".to_vec(), Err(DecodeError::Malformed)));
    // A stored block, and the header of one of the reserved type.
    let stored = [b"\x00\x05\x00\xfa\xffhello", &[0b110][..]].concat();
    assert_eq!(decode("deflate", &stored), (b"hello".to_vec(), Err(DecodeError::Malformed)));
    // A raw block, and the header of one of the reserved type.
    let frame = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0, 0], &[5 << 3, 0, 0]].concat();
    let bytes = [&frame[..], b"hello", &[3 << 1, 0, 0]].concat();
    assert_eq!(decode("zstd", &bytes), (b"hello".to_vec(), Err(DecodeError::Malformed)));
}

#[test]
fn nothing_comes_after_the_end() {
    for (coding, encode) in CODINGS {
        let bytes = [encode(b"text"), b"more".to_vec()].concat();
        assert_eq!(decode(coding, &bytes), (b"text".to_vec(), Err(DecodeError::Malformed)));
    }
}

#[test]
fn zstd_has_frames_and_skippable_ones() {
    let skippable = [&0x184d_2a53_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"skip!"].concat();
    let frames = [zstandard(b"one "), skippable.clone(), zstandard(b"two")].concat();
    assert_eq!(decode("zstd", &frames), (b"one two".to_vec(), Ok(())));
    assert_eq!(decode("zstd", &skippable), (vec![], Ok(())));
    let broken_off = decode("zstd", &skippable[..9]);
    assert_eq!(broken_off, (vec![], Err(DecodeError::Truncated)));
    // The magic number of version 0.7, which was no RFC.
    let old = decode("zstd", &[&0xfd2f_b527_u32.to_le_bytes()[..], &[0; 20]].concat());
    assert_eq!(old, (vec![], Err(DecodeError::Malformed)));
}

#[test]
fn a_window_beyond_that_of_rfc_9659_is_refused() {
    let frame = |window: u8| {
        let magic = 0xfd2f_b528_u32.to_le_bytes();
        [&magic[..], &[0, window], &[0x01 | 3 << 3, 0, 0], b"abc"].concat()
    };
    assert_eq!(decode("zstd", &frame(13 << 3)), (b"abc".to_vec(), Ok(())));
    assert_eq!(decode("zstd", &frame(13 << 3 | 1)), (vec![], Err(DecodeError::Limit)));
    assert_eq!(decode("zstd", &frame(0xff)), (vec![], Err(DecodeError::Limit)));
    // The large windows of brotli: 0x11 announces one.
    assert_eq!(decode("br", &[0x11, 0x1e, 0, 0]).1, Err(DecodeError::Malformed));
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("deflate", deflated(&zeros, false)),
        ("br", br(&zeros)),
        ("zstd", zstandard(&zeros)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
        ("br, zstd", zstandard(&br(&zeros))),
    ];
    for (codings, bomb) in bombs {
        let limits = Limits { max_ratio: 50, ..Limits::default() };
        let mut decoder = decoder(codings, limits);
        let mut count = 0;
        let mut sink = |piece: &[u8]| count += piece.len() as u64;
        let _ = decoder.push(&bomb, &mut sink);
        let ended = decoder.finish(&mut sink);
        assert_eq!(ended, Err(DecodeError::Limit), "{codings}");
        assert_eq!(decoder.memory(), 0, "{codings}: nothing more will be decoded");
        let allowed = limits.by_ratio(bomb.len() as u64);
        assert!((limits.free_bytes..=allowed).contains(&count), "{codings}: {count}");
        let by_byte = decode_pieces(codings, bomb.chunks(1), limits);
        assert_eq!((by_byte.0.len() as u64, by_byte.1), (count, Err(DecodeError::Limit)));
    }
}

#[test]
fn no_more_comes_out_than_the_most_there_may_be() {
    let text = prose(1_000);
    for (coding, encode) in CODINGS {
        let max = |max_bytes| Limits { max_bytes, ..Limits::default() };
        let bytes = encode(&text);
        let all = decode_pieces(coding, [&bytes[..]].into_iter(), max(text.len() as u64));
        assert_eq!(all, (text.clone(), Ok(())), "{coding}");
        let less = decode_pieces(coding, [&bytes[..]].into_iter(), max(1_234));
        assert_eq!(less, (text[..1_234].to_vec(), Err(DecodeError::Limit)), "{coding}");
    }
}

#[test]
fn an_error_is_the_last_word() {
    let mut decoder = decoder("gzip", Limits::default());
    let mut sink = |_: &[u8]| panic!();
    assert_eq!(decoder.push(&[b'x'; GRAIN_BYTES], &mut sink), Err(DecodeError::Malformed));
    assert_eq!(decoder.push(&gzip(b"x"), &mut sink), Err(DecodeError::Malformed));
    assert_eq!(decoder.push(b"", &mut sink), Err(DecodeError::Malformed));
    assert_eq!(decoder.finish(&mut sink), Err(DecodeError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_make_no_difference_to_what_is_broken(
        which in 0..CODINGS.len(),
        words in 1_usize..1_000,
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        step in 1_usize..2_000,
    ) {
        let (coding, encode) = CODINGS[which];
        let mut bytes = encode(&prose(words));
        for (place, byte) in breaks {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let whole = decode(coding, &bytes);
        for step in [1, step] {
            let cut = decode_pieces(coding, bytes.chunks(step), Limits::default());
            prop_assert!(cut == whole, "{}", coding);
        }
    }
}
