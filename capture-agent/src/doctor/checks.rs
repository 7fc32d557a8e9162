//! What there is to say of an interface by itself: its state, its frames, its hooks, its driver.
//!
//! Nothing here asks the kernel.

use super::report::{Finding, InterfaceRecord, ProgramRecord};
use crate::source::live::{HookChoice, LiveConfig};

/// What a page must have room for beside a packet, where XDP has no fragments: the headroom of 256
/// bytes, the `skb_shared_info` behind (320), and an Ethernet header.
const XDP_OVERHEAD: u32 = 256 + 320 + 14;

/// What is known beside the interface.
pub(super) struct Around<'a> {
    pub(super) config: &'a LiveConfig,
    pub(super) cpus: u32,
    pub(super) page_bytes: u32,
    /// Whether its name is spelt out, so that it must work.
    pub(super) is_named: bool,
    /// Whether some of its programs could not be looked at.
    pub(super) is_hidden: bool,
}

/// What there is to say of one that would be captured on.
pub(super) fn findings(iface: &InterfaceRecord, around: &Around<'_>) -> Vec<Finding> {
    let mut found = vec![state(iface, around)];
    found.extend(frames(iface, around));
    found.push(mtu(iface, around.config.hook));
    found.extend(xdp_programs(iface, around));
    found.extend(tc_programs(iface, around));
    if around.config.hook == HookChoice::Xdp {
        found.extend(native(iface, around));
    }
    found.extend(offloads(iface, around));
    found.extend(queues(iface, around));
    found
}

fn state(iface: &InterfaceRecord, around: &Around<'_>) -> Finding {
    let name = &iface.iface;
    if !iface.up && around.is_named {
        return Finding::fault("state", "the interface is down")
            .means("nothing crosses it")
            .advice(format!("`ip link set {name} up`"));
    }
    if !iface.up {
        return Finding::note("state", "the interface is down").means("nothing crosses it yet");
    }
    if iface.carrier == Some(false) {
        return Finding::warning("state", "the interface is up, and its link is down")
            .means("nothing crosses it: no cable, no other end, or one that is down")
            .advice("bring the other end up, or capture on another interface");
    }
    Finding::ok("state", "up")
}

fn frames(iface: &InterfaceRecord, around: &Around<'_>) -> Option<Finding> {
    if iface.frames != "other" {
        return None;
    }
    let advice = "capture on the interface where its packets have Ethernet headers, or on 'lo'";
    let finding = if around.is_named { Finding::fault } else { Finding::warning };
    Some(
        finding("frames", "the interface carries no Ethernet frames")
            .means("it can't be captured on")
            .advice(advice),
    )
}

fn mtu(iface: &InterfaceRecord, hook: HookChoice) -> Finding {
    match iface.mtu {
        Some(mtu) if hook == HookChoice::Tc => {
            Finding::ok("mtu", format!("{mtu} bytes; TC takes any"))
        }
        Some(mtu) => Finding::ok("mtu", format!("{mtu} bytes")),
        None => Finding::unseen("mtu", "the kernel does not tell"),
    }
}

fn xdp_programs(iface: &InterfaceRecord, around: &Around<'_>) -> Vec<Finding> {
    let name = &iface.iface;
    let programs = iface.programs.iter().filter(|program| program.hook == "xdp_ingress");
    let told = |program: &ProgramRecord| {
        let found = format!("another XDP program is on it: {} ({})", shown(program), program.way);
        if around.config.hook == HookChoice::Xdp {
            let off = match program.way {
                "generic" => "xdpgeneric",
                "offloaded" => "xdpoffload",
                _ => "xdp",
            };
            return Finding::fault("xdp", found).means("there can be only one").advice(format!(
                "leave out --hook xdp, or stop who has put it there (`bpftool net`); a forgotten one \
                 goes by `ip link set {name} {off} off`"
            ));
        }
        Finding::warning("xdp", found)
            .means("it sees packets before TC does: what it drops, redirects or answers by itself is not seen")
            .advice("if exchanges are missing, capture where it hands packets on to")
    };
    programs.map(told).collect()
}

fn tc_programs(iface: &InterfaceRecord, around: &Around<'_>) -> Vec<Finding> {
    let on = |hook| iface.programs.iter().filter(move |program| program.hook == hook);
    let listed = |hook| {
        let shown = |program: &ProgramRecord| format!("{} ({})", shown(program), program.way);
        on(hook).map(shown).collect::<Vec<_>>().join(", ")
    };
    let mut found = Vec::new();
    for (hook, direction) in [("tc_ingress", "ingress"), ("tc_egress", "egress")] {
        if on(hook).next().is_some() {
            let what = format!("others are on TC {direction}, in this order: {}", listed(hook));
            found.push(Finding::note("tc", what).means(
                "the agent stands before them, and hands every packet on; what they rewrite or \
                 drop later is shown as it came by",
            ));
        }
    }
    if around.is_hidden {
        found.push(
            Finding::unseen("tc", "who else is on TC can't be looked at")
                .means("that takes CAP_NET_ADMIN, and CAP_SYS_ADMIN for the names of programs")
                .advice("run it with `sudo`"),
        );
    } else if found.is_empty() {
        found.push(Finding::ok("tc", "nobody else is on TC"));
    }
    found
}

/// XDP in the driver: whether it can be, and how large packets may be.
fn native(iface: &InterfaceRecord, around: &Around<'_>) -> Vec<Finding> {
    let driver = iface.driver.as_deref().unwrap_or("of this interface");
    let limit = around.page_bytes.saturating_sub(XDP_OVERHEAD);
    let mut found = Vec::new();
    match (iface.xdp.native, iface.xdp.frags, iface.mtu) {
        (Some(false), ..) => found.push(
            Finding::note("xdp_driver", format!("the driver {driver} has no XDP here"))
                .means("XDP is generic here: packets have been through most of what TC costs")
                .advice("leave out --hook xdp"),
        ),
        (Some(true), Some(false), Some(mtu)) if mtu > limit => found.push(
            Finding::warning(
                "xdp_mtu",
                format!(
                    "MTU {mtu} is too large for XDP in the driver {driver}, which takes packets of \
                     up to {limit} bytes, in one piece"
                ),
            )
            .means("the driver refuses it, so that XDP is generic, or keeps large packets from it")
            .advice(format!(
                "leave out --hook xdp, or lower it: `ip link set {} mtu {limit}`",
                iface.iface
            )),
        ),
        (Some(true), frags, _) => {
            let frags = if frags == Some(true) { ", in fragments too" } else { "" };
            found.push(Finding::ok("xdp_driver", format!("the driver {driver} has XDP{frags}")));
        }
        (None, ..) => found.push(
            Finding::unseen("xdp_driver", "the kernel does not tell whether the driver has XDP")
                .means("Linux 6.3 and later do; trying tells as well"),
        ),
    }
    if iface.xdp.native == Some(true) && iface.offloads.lro == Some(true) {
        found.push(
            Finding::warning("lro", "segments are merged by the network card (LRO)")
                .means("many drivers refuse XDP then")
                .advice(format!("`ethtool -K {} lro off`", iface.iface)),
        );
    }
    found
}

fn offloads(iface: &InterfaceRecord, around: &Around<'_>) -> Option<Finding> {
    let offloads = &iface.offloads;
    let by_tc = around.config.hook == HookChoice::Tc;
    // Ports of a veth without XDP get segments as they were sent, which GRO would not change.
    let is_card = iface.kind.is_none() && iface.frames == "ethernet";
    if by_tc && is_card && offloads.gro == Some(false) && offloads.lro != Some(true) {
        let name = &iface.iface;
        return Some(
            Finding::note("offloads", "segments that arrive are not merged (GRO is off)")
                .means("TC looks at each of them, which costs several times as much")
                .advice(format!("`ethtool -K {name} gro on`")),
        );
    }
    let named = [
        ("GRO", offloads.gro),
        ("LRO", offloads.lro),
        ("TSO", offloads.tso),
        ("GSO", offloads.gso),
        ("checksums in", offloads.rx_checksum),
        ("checksums out", offloads.tx_checksum),
    ];
    let on: Vec<_> =
        named.iter().filter(|(_, is_on)| *is_on == Some(true)).map(|(name, _)| *name).collect();
    let all = if on.is_empty() { "none".to_owned() } else { on.join(", ") };
    Some(Finding::ok("offloads", all))
}

fn queues(iface: &InterfaceRecord, around: &Around<'_>) -> Option<Finding> {
    let is_card = iface.kind.is_none() && iface.frames == "ethernet";
    let queues = iface.rx_queues.filter(|_| is_card)?;
    if queues == 1 && around.cpus > 1 {
        let name = &iface.iface;
        return Some(
            Finding::note(
                "queues",
                format!("one queue for arriving packets, and {} CPUs", around.cpus),
            )
            .means("one CPU takes in all packets, and runs the kernel half on them")
            .advice(format!(
                "more queues where the card has them (`ethtool -l {name}`), or spread packets: \
                     write a mask of CPUs to /sys/class/net/{name}/queues/rx-0/rps_cpus"
            )),
        );
    }
    Some(Finding::ok("queues", format!("{queues} for arriving packets, {} CPUs", around.cpus)))
}

/// A program for people; it gives itself its name.
fn shown(program: &ProgramRecord) -> String {
    let name = program.name.as_deref().or(program.filter.as_deref());
    match (name, program.id) {
        (Some(name), Some(id)) => format!("'{}' (id {id})", name),
        (Some(name), None) => format!("'{}'", name),
        (None, Some(id)) => format!("id {id}"),
        (None, None) => "one without a name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::tests::config;

    /// A card as there are many, with nothing wrong.
    fn card() -> InterfaceRecord {
        let offloads = OffloadsRecord { gro: Some(true), lro: Some(false), ..Default::default() };
        InterfaceRecord {
            iface: "eth0".to_owned(),
            frames: "ethernet",
            driver: Some("ixgbe".to_owned()),
            up: true,
            carrier: Some(true),
            mtu: Some(1500),
            rx_queues: Some(8),
            offloads,
            xdp: XdpRecord { native: Some(true), frags: Some(false) },
            ..InterfaceRecord::default()
        }
    }

    /// What is said by each check that has more to say than that all is well.
    fn said(iface: &InterfaceRecord, hook: HookChoice) -> Vec<(&'static str, Severity)> {
        let config = config(hook);
        let around =
            Around { config: &config, cpus: 8, page_bytes: 4096, is_named: true, is_hidden: false };
        let found = findings(iface, &around).into_iter();
        let odd = found.filter(|finding| finding.severity != Severity::Ok);
        odd.map(|finding| (finding.check, finding.severity)).collect()
    }

    use super::super::report::{OffloadsRecord, XdpRecord};
    use HookChoice::{Tc, Xdp};
    use Severity::{Fault, Note, Unseen, Warning};

    #[test]
    fn of_a_card_with_nothing_wrong_nothing_is_said() {
        assert_eq!(said(&card(), Tc), []);
        assert_eq!(said(&card(), Xdp), []);
    }

    #[test]
    fn an_mtu_is_too_large_for_xdp_without_fragments_alone() {
        let fits = InterfaceRecord { mtu: Some(3506), ..card() };
        let large = InterfaceRecord { mtu: Some(3507), ..card() };
        assert_eq!(said(&fits, Xdp), []);
        assert_eq!(said(&large, Xdp), [("xdp_mtu", Warning)]);
        assert_eq!(said(&large, Tc), []);
        let xdp = XdpRecord { native: Some(true), frags: Some(true) };
        assert_eq!(said(&InterfaceRecord { xdp, ..large.clone() }, Xdp), []);
        let xdp = XdpRecord { native: Some(false), frags: Some(false) };
        assert_eq!(said(&InterfaceRecord { xdp, ..large.clone() }, Xdp), [("xdp_driver", Note)]);
        let xdp = XdpRecord::default();
        assert_eq!(said(&InterfaceRecord { xdp, ..large }, Xdp), [("xdp_driver", Unseen)]);
    }

    #[test]
    fn offloads_that_cost_or_hinder_are_named() {
        let with = |gro, lro| {
            let offloads = OffloadsRecord { gro: Some(gro), lro: Some(lro), ..Default::default() };
            InterfaceRecord { offloads, ..card() }
        };
        assert_eq!(said(&with(false, false), Tc), [("offloads", Note)]);
        assert_eq!(said(&with(false, false), Xdp), []);
        assert_eq!(said(&with(true, true), Xdp), [("lro", Warning)]);
        assert_eq!(said(&with(true, true), Tc), []);
    }

    #[test]
    fn one_queue_is_little_for_many_cpus() {
        let one = InterfaceRecord { rx_queues: Some(1), ..card() };
        assert_eq!(said(&one, Tc), [("queues", Note)]);
        let veth = InterfaceRecord { kind: Some("veth".to_owned()), ..one };
        assert_eq!(said(&veth, Tc), []);
    }

    #[test]
    fn a_link_that_is_down_and_an_interface_that_is_down_are_two_things() {
        let unplugged = InterfaceRecord { carrier: Some(false), ..card() };
        assert_eq!(said(&unplugged, Tc), [("state", Warning)]);
        let down = InterfaceRecord { up: false, ..unplugged };
        assert_eq!(said(&down, Tc), [("state", Fault)]);
    }

    #[test]
    fn programs_of_others_matter_by_their_hook() {
        let program = |hook, way| ProgramRecord {
            hook,
            way,
            filter: None,
            name: Some("theirs".to_owned()),
            id: Some(7),
        };
        let with =
            |programs: &[ProgramRecord]| InterfaceRecord { programs: programs.to_vec(), ..card() };
        let xdp = with(&[program("xdp_ingress", "generic")]);
        assert_eq!(said(&xdp, Xdp), [("xdp", Fault)]);
        assert_eq!(said(&xdp, Tc), [("xdp", Warning)]);
        let both = with(&[program("tc_ingress", "tcx"), program("tc_egress", "netkit")]);
        assert_eq!(said(&both, Tc), [("tc", Note), ("tc", Note)]);
    }
}
