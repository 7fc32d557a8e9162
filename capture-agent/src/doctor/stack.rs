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
    hands_on && !upper.link_elsewhere && upper.link == Some(lower.index)
}

fn is_pair(one: &Link, other: &Link) -> bool {
    let meant = |from: &Link, to: &Link| !from.link_elsewhere && from.link == Some(to.index);
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
