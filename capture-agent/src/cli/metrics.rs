//! Arguments for who watches the agent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

/// Arguments for who watches the agent.
#[derive(Clone, Debug, Args)]
pub(crate) struct MetricsArgs {
    /// Serve metrics for Prometheus at http://ADDR/metrics, and whether all is well at /healthz
    ///
    /// A port alone is one of this host's loopback address (127.0.0.1), which no other host reaches; a
    /// port of 0 is one that the kernel chooses, and it is said on standard error. Anybody who reaches
    /// the address can read what it serves: figures, and the names of outputs. In OpenMetrics or in
    /// Prometheus' text format, as the scraper asks. See docs/metrics.md.
    #[arg(long, value_name = "ADDR", value_parser = parse)]
    pub(crate) metrics: Option<SocketAddr>,
}

fn parse(text: &str) -> Result<SocketAddr, String> {
    let loopback = |port: &str| Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), number(port)?));
    if let Some(address) = loopback(text.strip_prefix(':').unwrap_or(text)) {
        return Ok(address);
    }
    if let Some(address) = text.strip_prefix("localhost:").and_then(loopback) {
        return Ok(address);
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    Err(match bare.parse::<IpAddr>() {
        Ok(_) => format!("a port is missing: {text}:9107, for example, or [...]:9107 for IPv6"),
        Err(_) => "it is a port, as 9107, or an address with a port, as 10.0.0.1:9107 or \
                   [::1]:9107; names of hosts are not looked up"
            .to_owned(),
    })
}

/// A port as digits alone.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_loopback() {
        for (text, address) in [
            ("9107", "127.0.0.1:9107"),
            (":9107", "127.0.0.1:9107"),
            ("0", "127.0.0.1:0"),
            ("localhost:9107", "127.0.0.1:9107"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("0.0.0.0:9107", "0.0.0.0:9107"),
            ("[::1]:9107", "[::1]:9107"),
        ] {
            assert_eq!(parse(text), Ok(address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_be() {
        for text in ["", ":", "x", "65536", "+1", "-1", "example.com:80", "10.0.0.1:", "::1:x"] {
            assert!(parse(text).is_err_and(|why| why.contains("9107")), "{text}");
        }
        for text in ["10.0.0.1", "[::1]", "::1"] {
            assert!(parse(text).is_err_and(|why| why.contains("a port is missing")), "{text}");
        }
    }
}
