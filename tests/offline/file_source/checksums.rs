//! `--verify-checksums`: what is wrong is left out, what cannot be known is not.

use std::fs;

use super::*;
use crate::support::agent::Agent;
use crate::support::packets::{Family, TUNNELS, fragments};
use crate::support::pcap::{Conversation, pcap_of};

fn segments() -> [Tcp; 4] {
    let odd = b"GET / HTTP/1.1\r\n\r\nx";
    let even = &odd[..18];
    [
        Tcp::new(CLIENT, SERVER, 1, even),
        Tcp::new(CLIENT, SERVER, 1, odd),
        Tcp::new(CLIENT_V6, SERVER_V6, 7, even),
        Tcp::new(CLIENT_V6, SERVER_V6, 7, odd),
    ]
}

fn verify(file: Vec<u8>) -> Reading {
    let source = FileSource::from_reader(Box::new(Cursor::new(file)), "test.pcap", everything());
    drain(source.map(|source| source.verify_checksums(true)))
}

fn verify_packets<P: AsRef<[u8]>>(packets: impl IntoIterator<Item = P>) -> Reading {
    verify(capture_of_packets(packets))
}

/// The packet with one byte of its payload other than it was sent.
fn corrupted(tcp: &Tcp) -> Vec<u8> {
    let mut packet = tcp.ip();
    *packet.last_mut().unwrap() ^= 1;
    packet
}

#[test]
fn right_ones_pass_and_wrong_ones_have_a_verdict_of_their_own() {
    for tcp in segments() {
        assert_eq!(verify_packets([tcp.ip()]).segments, [Seen::of(&tcp, 0, 0)]);
        verify_packets([corrupted(&tcp)]).assert_verdicts(&[(Verdict::BadChecksum, 1)]);
    }
    let mut header = segments()[0].ip();
    header[8] ^= 1;
    verify_packets([header]).assert_verdicts(&[(Verdict::BadChecksum, 1)]);
}

#[test]
fn wrong_ones_pass_unless_asked_for() {
    for tcp in segments() {
        assert_eq!(read_packets([corrupted(&tcp)]).segments.len(), 1);
    }
}

#[test]
fn a_segment_that_was_not_captured_whole_cannot_be_checked() {
    for tcp in segments() {
        let packet = corrupted(&tcp);
        let file = Pcap::new(Order::Little, Variant::Micros, RAW_IP);
        let file = file.cut_packet(0, &packet[..packet.len() - 1], packet.len());
        assert_eq!(verify(file.bytes()).segments.len(), 1);
    }
}

#[test]
fn padding_is_not_summed_up() {
    let tcp = Tcp::new(CLIENT, SERVER, 1, b"x");
    let mut packet = tcp.ip();
    packet.extend([0xee; 7]);
    assert_eq!(verify_packets([packet]).segments, [Seen::of(&tcp, 0, 0)]);
}

#[test]
fn a_routing_header_hides_the_receiver_that_was_summed_up() {
    for (segments_left, verdict) in [(0, Verdict::BadChecksum), (1, Verdict::HandedOver)] {
        let mut packet = corrupted(&segments()[2]);
        packet[6] = 43;
        packet.splice(40..40, [6, 0, 4, segments_left, 0, 0, 0, 0]);
        packet[5] += 8;
        verify_packets([packet]).assert_verdicts(&[(verdict, 1)]);
    }
}

#[test]
fn reassembled_and_tunnelled_segments_are_checked() {
    for tcp in segments() {
        for (name, wrap) in TUNNELS {
            for (packet, is_right) in [(tcp.ip(), true), (corrupted(&tcp), false)] {
                let parts = fragments(&wrap(Family::V4, &packet), 1, 24);
                let others = parts.len() as u64 - 1;
                let reading = verify_packets(&parts);
                assert_eq!(reading.segments.len(), usize::from(is_right), "{name}");
                reading.assert_verdicts(&if is_right {
                    [(Verdict::HandedOver, 1), (Verdict::Reassembled, others)]
                } else {
                    [(Verdict::BadChecksum, 1), (Verdict::BadChecksum, others)]
                });
            }
        }
    }
}

#[test]
fn the_command_leaves_them_out_if_asked_and_says_so() {
    let mut segments = Conversation::new(CLIENT, SERVER)
        .open()
        .client_sends(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .close()
        .segments();
    // A copy of the request that was damaged on its way, before the one that arrived.
    let mut file = pcap_of(&segments[..4]);
    let damaged = file.len() - 10;
    file[damaged] ^= 1;
    file.extend(&pcap_of(&segments.split_off(3))[24..]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pcap");
    fs::write(&path, &file).unwrap();
    let output = Agent::read(&path).args(["--verify-checksums"]).run();
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(output.stdout.contains("GET h/  200"), "{output:?}");
    assert!(output.stderr.contains("1 packets with wrong checksums left out"), "{output:?}");
    let output = Agent::read(&path).run();
    assert!(!output.stdout.contains("GET h/  200"), "{output:?}");
    assert!(!output.stderr.contains("checksum"), "{output:?}");
}
