//! The interface of the default route, from the kernel's routing tables as text.

use std::fs;

use super::LiveError;

const RTF_UP: u32 = 0x0001;
const RTF_REJECT: u32 = 0x0200;

/// The interface of the default route of the namespace that the calling thread is in: IPv4's, or
/// else IPv6's.
///
/// # Errors
/// [`LiveError::NoDefaultRoute`] where there is neither.
pub(crate) fn default_route_iface() -> Result<String, LiveError> {
    let table = |path| fs::read_to_string(path).unwrap_or_default();
    ipv4_default(&table("/proc/thread-self/net/route"))
        .or_else(|| ipv6_default(&table("/proc/thread-self/net/ipv6_route")))
        .ok_or(LiveError::NoDefaultRoute)
}

/// Lines of: interface, destination, gateway, flags, reference count, use, metric, mask, …
fn ipv4_default(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [iface, "00000000", _, flags, _, _, metric, "00000000", ..] = fields[..] else {
            return None;
        };
        route(iface, flags, metric.parse().ok()?)
    });
    routes.min().map(|(_, iface)| iface)
}

/// Lines of: destination, its prefix length, source, its prefix length, next hop, metric,
/// reference count, use, flags, interface.
fn ipv6_default(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, "00", _, _, _, metric, _, _, flags, iface] = fields[..] else {
            return None;
        };
        let any = destination.bytes().all(|digit| digit == b'0');
        route(iface, flags, u32::from_str_radix(metric, 16).ok()?).filter(|_| any)
    });
    routes.min().map(|(_, iface)| iface)
}

/// Metric and interface of a route that is in use.
fn route(iface: &str, flags: &str, metric: u32) -> Option<(u32, String)> {
    let flags = u32::from_str_radix(flags, 16).ok()?;
    (flags & RTF_UP != 0 && flags & RTF_REJECT == 0).then(|| (metric, iface.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n";

    #[test]
    fn the_ipv4_default_route_with_the_lowest_metric_counts() {
        let table = format!(
            "{HEAD}eth1\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
             eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth2\t00000000\t0100000A\t0002\t0\t0\t1\t00000000\t0\t0\t0\n\
             eth3\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
        );
        assert_eq!(ipv4_default(&table).as_deref(), Some("eth0"));
        assert_eq!(ipv4_default(HEAD), None);
        assert_eq!(ipv4_default("eth0\t00000000\n\n"), None);
    }

    #[test]
    fn the_ipv6_default_route_is_not_the_one_that_rejects() {
        let zero = "00000000000000000000000000000000";
        let reject = format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n");
        assert_eq!(ipv6_default(&reject), None);
        let table = format!(
            "{reject}fe80{} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth1\n\
             {zero} 00 {zero} 00 fe80{} 00000400 00000001 00000000 00450003 eth0\n",
            &zero[4..],
            &zero[4..],
        );
        assert_eq!(ipv6_default(&table).as_deref(), Some("eth0"));
    }
}
