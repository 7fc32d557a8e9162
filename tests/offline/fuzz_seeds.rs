//! The seeds of the fuzz targets, which the corpus in the repository has been grown from, are in it:
//! `UPDATE_CORPUS=1 cargo test --test offline seeds` writes them.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::packets::{Family, TUNNELS, fragments};
use crate::support::pcap::{
    ETHERNET, IF_NAME, IF_TSOFFSET, IF_TSRESOL, Order, Pcap, Pcapng, RAW_IP, Tcp, Variant,
    ethernet, pcap_of,
};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus");
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Holds a file of the corpus to what it is made of.
#[track_caller]
fn seed(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(CORPUS).join(target);
    let file = folder.join(name);
    if env::var_os("UPDATE_CORPUS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, bytes).unwrap();
    }
    assert!(fs::read(&file).unwrap_or_default() == bytes, "{} is not up to date", file.display());
}

fn pair(family: u8) -> [Tcp; 2] {
    let (client, server) = match family {
        4 => ("10.0.0.5:51234", "10.0.0.1:80"),
        _ => ("[2001:db8::5]:51234", "[2001:db8::1]:80"),
    };
    let mut response = Tcp::new(server, client, 1, RESPONSE);
    response.ack = 1 + REQUEST.len() as u32;
    [Tcp::new(client, server, 1, REQUEST), response]
}

/// A capture of these Ethernet frames.
fn capture(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let file = Pcap::new(Order::Little, Variant::Micros, ETHERNET);
    let add = |file: Pcap, (n, frame): (u64, Vec<u8>)| file.packet(n * 1_000, &frame);
    (1_700_000_000_000..).zip(frames).fold(file, add).bytes()
}

#[test]
fn the_seeds_of_frames_are_in_the_corpus() {
    let [request, response] = pair(4);
    for (name, order, variant, link) in [
        ("micros", Order::Little, Variant::Micros, ETHERNET),
        ("nanos-big-endian", Order::Big, Variant::Nanos, ETHERNET),
        ("kuznetzov-raw-ip", Order::Little, Variant::Kuznetzov, RAW_IP),
    ] {
        let frame = |tcp: &Tcp| if link == RAW_IP { tcp.ip() } else { tcp.ethernet() };
        let file = Pcap::new(order, variant, link).packet(1_000, &frame(&request));
        let cut = &frame(&response)[..60];
        seed("frames", &format!("pcap-{name}"), &file.cut_packet(2_000, cut, 95).bytes());
    }
    let frame = request.ethernet();
    let options: [(u16, &[u8]); 3] =
        [(IF_NAME, b"eth0"), (IF_TSRESOL, &[9]), (IF_TSOFFSET, &[0, 0, 0, 0, 0, 0, 0, 9])];
    let file = Pcapng::new(Order::Little)
        .interface(ETHERNET, 0, &options)
        .packet(0, 1_700_000_000_000_000_000, &frame, frame.len())
        .section(Order::Big)
        .interface(ETHERNET, 40, &[])
        .simple(&frame[..40], frame.len())
        .obsolete(0, 7, &response.ethernet(), 95)
        .block(0x0bad, b"unknown");
    seed("frames", "pcapng-all-blocks", &file.bytes());

    let both = pcap_of(&[request.clone(), response.clone()]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&both).unwrap();
    seed("frames", "gzip", &packed.finish().unwrap());
    seed("frames", "zstd", &zstd::encode_all(&both[..], 3).unwrap());
    seed("frames", "ipv6", &pcap_of(&pair(6)));
    seed("frames", "vlan", &capture([ethernet(&[(0x88a8, 7), (0x8100, 9)], &request.ip())]));

    for family in [4, 6] {
        let [request, _] = pair(family);
        let parts = fragments(&request.ip(), 77, 16).into_iter().rev();
        let parts = parts.map(|packet| ethernet(&[], &packet));
        seed("frames", &format!("fragments-ipv{family}"), &capture(parts));
    }
    for (name, wrap) in TUNNELS {
        let packet = wrap(Family::V4, &request.ip());
        let name =
            format!("tunnel-{}", name.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "-"));
        seed("frames", &name, &capture([ethernet(&[], &packet)]));
    }
}

#[test]
fn the_seeds_of_dialogues_are_in_the_corpus() {
    // Odd: byte for byte; then a seed for the cuts, and an even byte for FIN at the end.
    let raw = |name, text: &[u8]| {
        seed("dialogue", name, &[&[1, 0x5e, 0xed, 0], text].concat());
    };
    raw("keep-alive", b"GET /a HTTP/1.1\r\n\r\n\xfeHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\xffPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\xfeHTTP/1.1 204 No Content\r\n\r\n");
    raw("pipelined", b"GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n\xfeHTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    raw("chunked", b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: x\r\n\r\n\xfeHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    raw("until-the-end", b"GET /a HTTP/1.0\r\n\r\n\xfeHTTP/1.0 200 OK\r\n\r\nhello");
    raw("upgrade", b"GET /a HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\xfeHTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi\xff\x81\x02hi");
    raw(
        "tunnel",
        b"CONNECT h:443 HTTP/1.1\r\n\r\n\xfeHTTP/1.1 200 OK\r\n\r\n\x16\x03\x01\xff\x16\x03\x01",
    );
    raw("smuggling", b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n\xfeHTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx");
    raw("malformed-chunk", b"GET /a HTTP/1.1\r\n\r\n\xfeHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\xffGET /b HTTP/1.1\r\n\r\n\xfeHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    raw("not-http", b"\xfe220 mail ESMTP\r\n\xffEHLO x\r\n\xfe250 OK\r\n");
    raw("early-answer", b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nab\xfeHTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n\xffcd");
    // Even: a description of valid messages.
    for n in 0..6_u8 {
        let description: Vec<u8> = (0..60).map(|at: u8| at.wrapping_mul(37 + 2 * n) ^ n).collect();
        seed("dialogue", &format!("valid-{n}"), &[&[0, n, 9, 0], &description[..]].concat());
    }
}
