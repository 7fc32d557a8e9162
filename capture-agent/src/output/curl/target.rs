//! Where a request goes: a URL that curl sends as it was, and the server that was asked.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::http::head::RequestHead;
use crate::segment::Endpoint;

/// Where a request goes.
pub(super) struct Target<'a> {
    pub(super) url: Vec<u8>,
    /// The server, where curl would not find it by the URL.
    pub(super) connect_to: Option<String>,
    /// What is sent in the request line, where curl would not send the URL's path for it.
    pub(super) request_target: Option<&'a [u8]>,
    /// The value of the field `Host`, where the URL has curl send it as it is.
    pub(super) host: Option<&'a [u8]>,
}

pub(super) fn of(head: &RequestHead, server: Endpoint) -> Target<'_> {
    let address = authority(server);
    let host = head.head().value("host").filter(|host| is_authority(host));
    let authority = host.unwrap_or(address.as_bytes());
    let target = head.target();
    let is_sent = is_sent_as_it_is(target);
    let url = [&b"http://"[..], authority, if is_sent { target } else { b"/" }].concat();
    let with_port = server.to_string();
    let is_found = authority == address.as_bytes() || authority == with_port.as_bytes();
    Target {
        url,
        connect_to: (!is_found).then(|| format!("::{with_port}")),
        request_target: (!is_sent).then_some(target),
        host: host.filter(|host| is_kept(host)),
    }
}

/// A server as part of a URL; the port of HTTP goes without saying.
fn authority(server: Endpoint) -> String {
    let text = server.to_string();
    match text.strip_suffix(":80") {
        Some(host) if server.port == 80 => host.to_owned(),
        _ => text,
    }
}

/// Whether this can be nothing else in a URL than a host, with a port or without.
fn is_authority(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if !host.ends_with(b"]") => host.split_at(at),
        _ => (host, &b""[..]),
    };
    let port = std::str::from_utf8(port).unwrap_or("?").trim_start_matches(':');
    let literal = name.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]"));
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let is_host = match literal {
        Some(address) => {
            std::str::from_utf8(address).is_ok_and(|it| it.parse::<Ipv6Addr>().is_ok())
        }
        None => !name.is_empty() && name.iter().all(is_name),
    };
    is_host && (port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether curl sends this host as it stands in a URL: the port of HTTP it leaves out, and an address
/// it writes in the usual way, also one that is a number as in `127.1`.
fn is_kept(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_usual = |port: &str| port != "80" && !port.is_empty() && !port.starts_with('0');
    let literal = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    port.is_none_or(is_usual)
        && match literal {
            Some(text) => text.parse::<Ipv6Addr>().is_ok_and(|it| it.to_string() == text),
            None => !name.starts_with(|it: char| it.is_ascii_digit()) || is_no_number(name),
        }
}

/// Whether this is an address as it is usually written, or none in any way.
fn is_no_number(name: &str) -> bool {
    let is_of_number = |it: char| it.is_ascii_hexdigit() || matches!(it, 'x' | 'X' | '.');
    name.parse::<Ipv4Addr>().is_ok() || !name.chars().all(is_of_number)
}

/// Whether curl sends this path and query as they are: neither spaces, fragments and what is beyond
/// ASCII nor dots for folders are in it, which it encodes, cuts away and resolves.
fn is_sent_as_it_is(target: &[u8]) -> bool {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%[]{}".contains(byte);
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = String::from_utf8_lossy(path).to_ascii_lowercase().replace("%2e", ".");
    let has_dots = path.split('/').any(|part| matches!(part, "." | ".."));
    target.starts_with(b"/") && target.iter().all(is_plain) && !has_dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_only_if_it_can_be_nothing_else() {
        for host in ["h", "example.com:8080", "[::1]", "[::1]:80", "a_b-c.d", "10.0.0.1"] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
        for odd in
            ["", "a/b", "u@h", "h:x", "h:70000", "h:0", "a b", "[x]", "h#", "::1", "a:1:2", "h?"]
        {
            assert!(!is_authority(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn a_host_that_curl_would_change_is_given_as_a_field() {
        for host in ["h", "Example.com:8080", "[::1]:81", "10.0.0.1", "10.0.0.1:81", "3com.com"] {
            assert!(is_kept(host.as_bytes()), "{host}");
        }
        for odd in ["h:80", "h:", "h:081", "127.1", "0x7f.1", "010.0.0.1", "[0:0::1]", "2130706433"]
        {
            assert!(!is_kept(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn a_target_that_curl_would_change_is_given_as_such() {
        for target in ["/", "/a?b=c&d=%20", "/.well-known/x", "/a..b", "/x?../y", "/[1]{2}"] {
            assert!(is_sent_as_it_is(target.as_bytes()), "{target}");
        }
        for odd in ["*", "", "http://h/", "/a b", "/a#b", "/../b", "/a/%2E%2e/b", "/ü", "/a\\b"] {
            assert!(!is_sent_as_it_is(odd.as_bytes()), "{odd}");
        }
    }
}
