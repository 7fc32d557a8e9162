//! Each request made is in the output once, with the right method, URL, status and body lengths:
//! over IPv4 and IPv6, with and without VLAN tags, by TC and by XDP.

use std::fs;

use crate::support::client::Connection;
use crate::support::fetch::{Fetch, assert_captured, fetch, fetch_all};
use crate::support::lab::{Family, Lab};
use crate::support::live::Agent;
use crate::support::nginx::Nginx;
use crate::support::vlan::{DOUBLE_TAGGED, TAGGED, Tags, tag};

const TC: &str = "--iface eth0";
const XDP: &str = "--iface eth0 --hook xdp";

macro_rules! captured {
    ($($name:ident: $family:ident, $tags:expr, $hook:expr;)*) => {
        $(#[test]
        fn $name() {
            each_request_is_captured_once(Family::$family, $tags, $hook);
        })*
    };
}

captured! {
    tc_over_ipv4: V4, &[], TC;
    tc_over_ipv6: V6, &[], TC;
    tc_over_ipv4_with_a_vlan_tag: V4, TAGGED, TC;
    tc_over_ipv6_with_a_vlan_tag: V6, TAGGED, TC;
    tc_over_ipv4_with_two_vlan_tags: V4, DOUBLE_TAGGED, TC;
    tc_over_ipv6_with_two_vlan_tags: V6, DOUBLE_TAGGED, TC;
    xdp_over_ipv4: V4, &[], XDP;
    xdp_over_ipv6: V6, &[], XDP;
    xdp_over_ipv4_with_a_vlan_tag: V4, TAGGED, XDP;
    xdp_over_ipv6_with_a_vlan_tag: V6, TAGGED, XDP;
    xdp_over_ipv4_with_two_vlan_tags: V4, DOUBLE_TAGGED, XDP;
    xdp_over_ipv6_with_two_vlan_tags: V6, DOUBLE_TAGGED, XDP;
}

fn each_request_is_captured_once(family: Family, tags: Tags, hook: &str) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("small.bin", &[7; 212]);
    nginx.serve("page.html", "<p>page</p>\n".repeat(10_000).as_bytes());
    let agent = Agent::run(&lab.server, hook);
    let _tags = tag(&lab, tags);

    let made = make_requests(&lab, family, &nginx);

    assert_captured(&agent.stop().objects("exchange"), made);
}

/// One request of each kind that framing and pairing tell apart.
fn make_requests(lab: &Lab, family: Family, nginx: &Nginx) -> Vec<Fetch> {
    let form = nginx.path("form");
    fs::write(&form, "a=1&b=2").expect("file can be written");
    let form = form.display();
    let requests = [
        ("/small.bin", String::new(), "GET", 200),
        ("/small.bin?a=1&b=%2F+x", String::new(), "GET", 200),
        ("/page.html", String::new(), "GET", 200),
        ("/missing", String::new(), "GET", 404),
        ("/moved", String::new(), "GET", 301),
        ("/small.bin", "--header If-None-Match:*".to_owned(), "GET", 304),
        ("/small.bin", "--request DELETE".to_owned(), "DELETE", 405),
        ("/small.bin", "--head".to_owned(), "HEAD", 200),
        ("/chunked/page.html", String::new(), "GET", 200),
        ("/chunked/page.html", "--http1.0".to_owned(), "GET", 200),
        ("/gzip/page.html", "--header Accept-Encoding:gzip".to_owned(), "GET", 200),
        ("/upload/form", format!("--data @{form}"), "POST", 201),
        ("/upload/file", format!("--upload-file {form}"), "PUT", 201),
    ];
    let mut made = Vec::new();
    for (path, options, method, status) in requests {
        let answer = fetch(&lab.client, &Lab::url(family, path), &options);
        assert_eq!((answer.method.as_str(), answer.status), (method, status), "{path}");
        made.push(answer);
    }

    let chunked = format!("--header Transfer-Encoding:chunked --data @{form}");
    let answer = fetch(&lab.client, &Lab::url(family, "/upload/chunked"), &chunked);
    // curl counts the framing of the chunks, the agent what is in them.
    made.push(Fetch { sent: 7, ..answer });

    let on_one_connection = ["/small.bin?1", "/missing?2", "/chunked/page.html?3", "/small.bin?4"];
    let urls = on_one_connection.map(|path| Lab::url(family, path));
    made.extend(fetch_all(&lab.client, &urls, ""));
    made
}

#[test]
fn ipv4_options_by_tc() {
    packets_with_more_headers(Family::V4, TC, Connection::add_ip_options);
}

#[test]
fn ipv4_options_by_xdp() {
    packets_with_more_headers(Family::V4, XDP, Connection::add_ip_options);
}

#[test]
fn ipv6_extension_headers_by_tc() {
    packets_with_more_headers(Family::V6, TC, Connection::add_extension_headers);
}

#[test]
fn ipv6_extension_headers_by_xdp() {
    packets_with_more_headers(Family::V6, XDP, Connection::add_extension_headers);
}

fn packets_with_more_headers(
    family: Family,
    hook: &str,
    add: fn(&Connection) -> std::io::Result<()>,
) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", b"a page");
    let agent = Agent::run(&lab.server, hook);

    let mut connection = Connection::open(&lab, family);
    add(&connection).expect("the kernel adds headers");
    let made = [1, 2].map(|n| connection.get(&format!("/page?{n}"), b"a page"));

    assert_captured(&agent.stop().objects("exchange"), made.to_vec());
}

#[test]
fn a_connection_that_was_open_before() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", b"a page");
    let mut connection = Connection::open(&lab, Family::V4);
    connection.get("/page?before", b"a page");
    let agent = Agent::run(&lab.server, TC);

    let made = connection.get("/page?after", b"a page");

    assert_captured(&agent.stop().objects("exchange"), vec![made]);
}
