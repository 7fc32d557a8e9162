//! Interfaces upon interfaces: where a packet passes several of them, it would be seen as often.
//!
//! Nothing here asks the kernel: it is told the interfaces, and which of them are chosen.

use std::fmt::Write as _;

use super::links::Link;
use super::report::Finding;

/// The kinds of interfaces that hand on the packets of the one that they are upon, as they are.
/// Tunnels are not among them: below, their packets lie in others, which are not looked into.
const UPON: [&str; 6] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "dsa"];
/// The kinds that put several ports together to one.
const TEAMS: [&str; 2] = ["bond", "team"];

/// How an interface stands to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// The first is a port of the second.
    Port,
    /// The second is upon the first.
    Carries,
    /// They are the two ends of a pair.
    Pair,
    /// Both are ports of one bridge.
    Neighbours,
}

fn is_upon(upper: &Link, lower: &Link) -> bool {
    let hands_on = upper.kind.as_deref().is_some_and(|kind| UPON.contains(&kind));
    hands_on && upper.link_netns.is_none() && upper.link == Some(lower.index)
}

fn is_pair(one: &Link, other: &Link) -> bool {
    let meant = |from: &Link, to: &Link| from.link_netns.is_none() && from.link == Some(to.index);
    one.is_pair() && other.is_pair() && meant(one, other) && meant(other, one)
}

/// How `one` stands to `other`, where packets of one are packets of the other.
fn relation(one: &Link, other: &Link, all: &[Link]) -> Option<Relation> {
    let is_bridge = |index| all.iter().any(|link| link.index == index && is_bridge(link));
    if one.master == Some(other.index) {
        Some(Relation::Port)
    } else if is_upon(other, one) {
        Some(Relation::Carries)
    } else if is_pair(one, other) {
        Some(Relation::Pair)
    } else if one.master.is_some()
        && one.master == other.master
        && one.master.is_some_and(is_bridge)
    {
        Some(Relation::Neighbours)
    } else {
        None
    }
}

fn is_bridge(link: &Link) -> bool {
    link.is("bridge") || link.is("openvswitch")
}

fn is_team(link: &Link) -> bool {
    link.kind.as_deref().is_some_and(|kind| TEAMS.contains(&kind))
}

/// The other end of a pair, where it is in the same namespace.
pub(super) fn peer<'a>(link: &Link, all: &'a [Link]) -> Option<&'a Link> {
    all.iter().find(|other| is_pair(link, other))
}

/// The interface that one is upon.
pub(super) fn lower<'a>(link: &Link, all: &'a [Link]) -> Option<&'a Link> {
    all.iter().find(|other| is_upon(link, other))
}

/// The bridge, bond or the like that one is a port of.
pub(super) fn master<'a>(link: &Link, all: &'a [Link]) -> Option<&'a Link> {
    all.iter().find(|other| link.master == Some(other.index))
}

/// What there is to say, each with the name of the interface that it is about.
pub(super) fn findings(all: &[Link], chosen: &[&Link], forwards: bool) -> Vec<(String, Finding)> {
    let mut found = Vec::new();
    for one in chosen {
        for other in chosen {
            let relation = relation(one, other, all);
            // What is the same both ways is said once.
            let is_said = !matches!(relation, Some(Relation::Pair | Relation::Neighbours));
            if let Some(relation) = relation.filter(|_| is_said || one.index < other.index) {
                found.push((one.name.clone(), twice(relation, one, other)));
            }
        }
        found.extend(smaller(one, all).map(|finding| (one.name.clone(), finding)));
        let of_others = all.iter().filter(|link| chosen.iter().all(|it| it.index != link.index));
        let of_others = of_others.filter_map(|other| missed(one, other, all));
        found.extend(of_others.map(|finding| (one.name.clone(), finding)));
    }
    found.extend(groups(all));
    let apart = chosen.iter().filter(|link| !link.is_loopback()).count();
    if forwards
        && apart > 1
        && let Some(first) = chosen.iter().find(|link| !link.is_loopback())
    {
        let names = names(chosen.iter().copied().filter(|link| !link.is_loopback()));
        let finding = Finding::note("stack", format!("the host forwards packets between {names}"))
            .means(
                "what comes in by one and leaves by another is seen on both; its exchange comes once, \
                 unless addresses are translated in between",
            )
            .advice("where that is not wanted, capture on one of them");
        found.push((first.name.clone(), finding));
    }
    found
}

/// Both are captured on, and packets of one are packets of the other.
fn twice(relation: Relation, one: &Link, other: &Link) -> Finding {
    let (a, b) = (shown(one), shown(other));
    let (found, advice) = match relation {
        Relation::Port if is_bridge(other) => (
            format!("{a} is a port of the bridge {b}, and both are captured on"),
            format!(
                "capture on {b} for what the host itself says, or on the ports for all that passes; not on both"
            ),
        ),
        Relation::Port => (
            format!("{a} is a port of {b}, and both are captured on"),
            format!("capture on {b} alone: it has the traffic of all its ports"),
        ),
        Relation::Carries => (
            format!("{b} is upon {a}, and both are captured on"),
            format!("capture on {a} alone, which has the traffic of {b} too, or on {b} alone"),
        ),
        Relation::Pair => (
            format!("{a} and {b} are the two ends of a pair, and both are captured on"),
            format!("capture on one of them: --iface {}", one.name),
        ),
        Relation::Neighbours => (
            format!("{a} and {b} are ports of one bridge, and both are captured on"),
            "where what one says to the other is to be seen once, capture on one of them"
                .to_owned(),
        ),
    };
    Finding::warning("stack", found)
        .means(
            "a packet that passes both is seen twice, and costs twice; its exchange comes once, and \
             names the interface that saw it first",
        )
        .advice(advice)
}

/// What one sends is not taken by the one that it goes to next, which has a smaller MTU.
fn smaller(one: &Link, all: &[Link]) -> Option<Finding> {
    let bridge = || master(one, all).filter(|master| is_bridge(master));
    let next = peer(one, all).into_iter().chain(bridge());
    let (mtu, next) =
        next.filter_map(|next| Some((next.mtu?, next))).min_by_key(|(mtu, _)| *mtu)?;
    let own = one.mtu?;
    (own > mtu).then(|| {
        let found = format!("MTU {own} is too large for {}, which has {mtu}", shown(next));
        Finding::warning("mtu", found)
            .means("larger packets are dropped there: they are seen, and never answered")
            .advice(format!("`ip link set {} mtu {mtu}`", one.name))
    })
}

/// One is captured on, and the other is not, though its packets may be meant.
fn missed(one: &Link, other: &Link, all: &[Link]) -> Option<Finding> {
    if one.master == Some(other.index) && is_team(other) {
        let kind = other.kind.as_deref().unwrap_or_default();
        return Some(
            Finding::warning(
                "stack",
                format!("{} is a port of the {kind} {}", shown(one), shown(other)),
            )
            .means("traffic goes over its other ports too, now or after a failure, and is not seen")
            .advice(format!("capture on it: --iface {}", other.name)),
        );
    }
    if one.master == Some(other.index) && is_bridge(other) {
        return Some(
            Finding::note(
                "stack",
                format!("{} is a port of the bridge {}", shown(one), shown(other)),
            )
            .means("what passes other ports of the bridge is not seen"),
        );
    }
    let is_first_port = || all.iter().find(|port| port.master == Some(one.index)).map(|p| p.index);
    if other.master == Some(one.index) && is_bridge(one) && is_first_port() == Some(other.index) {
        return Some(
            Finding::note("stack", format!("{} is a bridge", shown(one)))
                .means("what its ports say to each other does not come by the bridge itself")
                .advice(format!(
                    "to see that, capture on the ports instead: {}",
                    names(all.iter().filter(|port| port.master == Some(one.index)))
                )),
        );
    }
    None
}

/// Bonds, teams and the like with their ports, and the interfaces that are upon another one.
fn groups(all: &[Link]) -> Vec<(String, Finding)> {
    let ports = |of: &Link| {
        let index = Some(of.index);
        all.iter().filter(move |link| link.master == index)
    };
    let with_ports = all.iter().filter(|link| ports(link).next().is_some());
    with_ports
        .map(|of| {
            let kind = of.kind.as_deref().unwrap_or("master");
            let found = format!("the {kind} {} has the ports {}", shown(of), names(ports(of)));
            let (means, advice) = if is_bridge(of) {
                (
                    "what comes in by a port passes the port, and the bridge too where it is for the host",
                    format!(
                        "for what the host itself says: --iface {}; for what passes between ports, and to \
                         and from containers and guests behind them: the ports",
                        of.name
                    ),
                )
            } else {
                (
                    "what comes in by a port passes the port and then this one",
                    format!("capture on {0} alone: --iface {0}", of.name),
                )
            };
            (of.name.clone(), Finding::note("stack", found).means(means).advice(advice))
        })
        .collect()
}

/// So many names are listed; hosts with containers have hundreds of ports.
const LISTED: usize = 8;

fn names<'a>(links: impl Iterator<Item = &'a Link>) -> String {
    let all: Vec<_> = links.map(shown).collect();
    let mut listed = all.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > LISTED {
        let _ = write!(listed, " and {} more", all.len() - LISTED);
    }
    listed
}

fn shown(link: &Link) -> String {
    format!("'{}'", link.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn link(name: &str, index: u32, kind: &str) -> Link {
        let kind = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
        let hardware = libc::ARPHRD_ETHER;
        Link { name: name.to_owned(), index, kind, hardware, mtu: Some(1500), ..Link::default() }
    }

    fn port(name: &str, index: u32, kind: &str, master: u32) -> Link {
        Link { master: Some(master), ..link(name, index, kind) }
    }

    fn upon(name: &str, index: u32, kind: &str, lower: u32) -> Link {
        Link { link: Some(lower), ..link(name, index, kind) }
    }

    /// What is said where these are captured on, as interface, severity and text.
    fn said(all: &[Link], chosen: &[&str]) -> Vec<(String, Severity, String)> {
        let chosen: Vec<_> = all.iter().filter(|link| chosen.contains(&&*link.name)).collect();
        let found = findings(all, &chosen, false).into_iter();
        let text = |finding: &Finding| {
            let advice = finding.advice.as_deref().unwrap_or_default();
            format!("{}; {advice}", finding.found)
        };
        found.map(|(name, finding)| (name, finding.severity, text(&finding))).collect()
    }

    #[track_caller]
    fn assert_said(all: &[Link], chosen: &[&str], on: &str, severity: Severity, words: &[&str]) {
        let said = said(all, chosen);
        let is_it = |(name, it, text): &&(String, Severity, String)| {
            name == on && *it == severity && words.iter().all(|word| text.contains(word))
        };
        assert_eq!(
            said.iter().filter(is_it).count(),
            1,
            "{on} {severity:?} {words:?} in {said:#?}"
        );
    }

    fn warnings(all: &[Link], chosen: &[&str]) -> usize {
        let said = said(all, chosen);
        said.iter().filter(|(_, severity, _)| *severity == Severity::Warning).count()
    }

    #[test]
    fn a_bond_is_captured_on_and_not_its_slaves() {
        for kind in ["bond", "team"] {
            let all = [port("eth0", 2, "", 9), port("eth1", 3, "", 9), link("up0", 9, kind)];
            let alone = ["'eth0' is a port of the", "'up0'", "--iface up0"];
            assert_said(&all, &["eth0"], "eth0", Severity::Warning, &alone);
            let both = ["'eth1' is a port of 'up0', and both", "capture on 'up0' alone"];
            assert_said(&all, &["eth1", "up0"], "eth1", Severity::Warning, &both);
            assert_eq!(warnings(&all, &["up0"]), 0);
            // Whoever has not chosen yet is told what to choose.
            let ports = ["has the ports 'eth0', 'eth1'", "capture on up0 alone"];
            assert_said(&all, &[], "up0", Severity::Note, &ports);
        }
    }

    #[test]
    fn a_vlan_and_the_like_show_what_is_below() {
        for kind in UPON {
            let all = [link("eth0", 2, ""), upon("eth0.5", 3, kind, 2)];
            let words = ["'eth0.5' is upon 'eth0'", "capture on 'eth0' alone"];
            assert_said(&all, &["eth0", "eth0.5"], "eth0", Severity::Warning, &words);
            assert_eq!(warnings(&all, &["eth0"]) + warnings(&all, &["eth0.5"]), 0);
        }
        // In a tunnel packets lie in others, and what is below is in another namespace's numbers.
        let elsewhere = Link { link_netns: Some(1), ..upon("eth0.5", 3, "vlan", 2) };
        for apart in [upon("vxlan0", 3, "vxlan", 2), elsewhere] {
            let all = [link("eth0", 2, ""), apart.clone()];
            assert_eq!(said(&all, &["eth0", &apart.name]), []);
        }
    }

    #[test]
    fn the_ends_of_a_pair_are_said_once() {
        let all = [upon("v0", 2, "veth", 3), upon("v1", 3, "veth", 2)];
        assert_eq!(warnings(&all, &["v0", "v1"]), 1);
        assert_eq!(warnings(&all, &["v0"]), 0);
        // The same numbers, and the other ends are elsewhere.
        let apart = all.map(|link| Link { link_netns: Some(0), ..link });
        assert_eq!(said(&apart, &["v0", "v1"]), []);
    }

    #[test]
    fn ports_of_a_bridge_are_neighbours_and_those_of_a_bond_are_not() {
        let bridge = [port("v0", 2, "veth", 9), port("v1", 3, "veth", 9), link("br0", 9, "bridge")];
        let words = ["'v0' and 'v1' are ports of one bridge"];
        assert_said(&bridge, &["v0", "v1"], "v0", Severity::Warning, &words);
        let of = ["'v0', 'v1'", "--iface br0"];
        assert_said(&bridge, &[], "br0", Severity::Note, &of);
        let bond = [port("eth0", 2, "", 9), port("eth1", 3, "", 9), link("bond0", 9, "bond")];
        let said = said(&bond, &["eth0", "eth1"]);
        assert!(said.iter().all(|(.., text)| !text.contains("ports of one bridge")), "{said:#?}");
    }

    #[test]
    fn a_port_with_a_larger_mtu_than_its_bridge_is_named() {
        let large = Link { mtu: Some(9000), ..port("v0", 2, "veth", 9) };
        let all = [large, link("br0", 9, "bridge")];
        let words = ["MTU 9000 is too large for 'br0', which has 1500"];
        assert_said(&all, &["v0"], "v0", Severity::Warning, &words);
        assert_eq!(warnings(&all, &["br0"]), 0);
    }

    #[test]
    fn a_host_that_forwards_shows_packets_on_two() {
        let all = [link("eth0", 2, ""), link("eth1", 3, "")];
        let chosen: Vec<_> = all.iter().collect();
        let said = findings(&all, &chosen, true);
        let [(on, finding)] = &said[..] else { panic!("{said:#?}") };
        assert_eq!((on.as_str(), finding.severity), ("eth0", Severity::Note));
        assert!(finding.found.contains("'eth0', 'eth1'"), "{finding:?}");
        assert_eq!(findings(&all, &chosen[..1], true), []);
        assert_eq!(findings(&all, &chosen, false), []);
    }

    #[test]
    fn of_very_many_ports_some_are_named() {
        let mut all = vec![link("br0", 9, "bridge")];
        all.extend((0..300).map(|n| port(&format!("v{n}"), 10 + n, "veth", 9)));
        assert_said(&all, &[], "br0", Severity::Note, &["'v7' and 292 more"]);
    }
}
