//! The interfaces of one network namespace: looked at, and what there is to say of them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use super::checks::{self, Around};
use super::ethtool::Ethtool;
use super::links::{self, Link};
use super::netns::{self, Ends};
use super::programs::{self, Names};
use super::report::{Finding, InterfaceRecord, XdpRecord};
use super::{netdev, stack};
use crate::source::live::{IfacePattern, LiveConfig, Namespace, default_route_iface, netlink};

/// What was seen of a namespace.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) interfaces: Vec<InterfaceRecord>,
    pub(super) findings: Vec<Finding>,
    pub(super) ends: Ends,
}

/// Looks at a namespace, on a thread that has nothing else to do.
pub(super) fn look(
    namespace: Option<&Namespace>,
    others: &[Option<Namespace>],
    config: &LiveConfig,
    names: &Names,
    cpus: u32,
) -> Seen {
    let netns = namespace.map(|namespace| &**namespace.name());
    let entered = namespace.map_or(Ok(()), Namespace::enter).map_err(|error| error.to_string());
    let asked = entered.and_then(|()| Asker::new().map_err(|error| error.to_string()));
    let listed = asked.and_then(|asker| {
        let all = links::list(&asker.netlink).map_err(|error| error.to_string())?;
        Ok((asker, all))
    });
    match listed {
        Ok((asker, all)) => {
            let ids = others.iter().flatten().map(|other| netns::id_of(&asker.netlink, other));
            let ids = ids.collect();
            let here = Surroundings { netns, config, names, cpus, asker, all };
            let (interfaces, findings) = here.examine();
            let ends = Ends::new(&here.all, &interfaces, ids);
            Seen { interfaces, findings, ends }
        }
        Err(reason) => {
            let of = netns.map_or_else(String::new, |netns| format!(" of namespace {netns}"));
            let found = format!("the interfaces{of} can't be looked at: {reason}");
            let finding = Finding::unseen("interfaces", found);
            let findings = vec![Finding { netns: netns.map(str::to_owned), ..finding }];
            Seen { findings, ..Seen::default() }
        }
    }
}

/// What asks the kernel about the namespace.
struct Asker {
    netlink: OwnedFd,
    ethtool: Ethtool,
    xdp: HashMap<u32, XdpRecord>,
}

impl Asker {
    fn new() -> io::Result<Self> {
        Ok(Self { netlink: netlink::socket()?, ethtool: Ethtool::new()?, xdp: netdev::xdp() })
    }
}

struct Surroundings<'a> {
    netns: Option<&'a str>,
    config: &'a LiveConfig,
    names: &'a Names,
    cpus: u32,
    asker: Asker,
    all: Vec<Link>,
}

impl Surroundings<'_> {
    fn examine(&self) -> (Vec<InterfaceRecord>, Vec<Finding>) {
        let mut found = Vec::new();
        let wanted = self.wanted(&mut found);
        let is_wanted = |link: &&Link| wanted.iter().any(|pattern| pattern.matches(&link.name));
        let chosen: Vec<_> = self.all.iter().filter(is_wanted).collect();
        let mut records = Vec::new();
        for link in &self.all {
            let is_chosen = is_wanted(&link);
            // Where some were asked for, others are named only where they stand to those.
            if !is_chosen && !self.config.ifaces.is_empty() {
                continue;
            }
            let (record, is_hidden) = self.record(link, is_chosen);
            if is_chosen {
                let is_named = wanted.iter().any(|it| it.is_name() && it.matches(&link.name));
                let around = Around {
                    config: self.config,
                    cpus: self.cpus,
                    page_bytes: u32::try_from(rustix::param::page_size()).unwrap_or(u32::MAX),
                    is_named,
                    is_hidden,
                };
                let said = checks::findings(&record, &around);
                found.extend(said.into_iter().map(|finding| finding.of(self.netns, &link.name)));
            }
            records.push(record);
        }
        let stacked = stack::findings(&self.all, &chosen, forwards());
        let is_shown = |name: &str| records.iter().any(|record| record.iface == name);
        let stacked = stacked.into_iter().filter(|(name, _)| is_shown(name));
        found.extend(stacked.map(|(name, finding)| finding.of(self.netns, &name)));
        (records, found)
    }

    /// What `run` takes: what is asked for, or else the default route's interface.
    fn wanted(&self, found: &mut Vec<Finding>) -> Vec<IfacePattern> {
        if !self.config.ifaces.is_empty() {
            return self.config.ifaces.clone();
        }
        if let Ok(iface) = default_route_iface() {
            return vec![IfacePattern::name(&iface)];
        }
        let fit = |link: &&Link| {
            link.up && (link.is_loopback() || link.is_ethernet()) && link.master.is_none()
        };
        let fit = self.all.iter().filter(fit).map(|link| format!("--iface {}", link.name));
        let fit: Vec<_> = fit.collect();
        let finding = Finding::fault("route", "there is no default route to tell the interface by")
            .means("`run` needs to be told one")
            .advice(format!("name one: {}", fit.join(", ")));
        found.push(Finding { netns: self.netns.map(str::to_owned), ..finding });
        Vec::new()
    }

    fn record(&self, link: &Link, chosen: bool) -> (InterfaceRecord, bool) {
        let name = |link: Option<&Link>| link.map(|link| link.name.clone());
        let Asker { netlink, ethtool, xdp } = &self.asker;
        let queues = ethtool.queues(&link.name).filter(|(rx, _)| *rx > 0);
        let (rx, tx) = queues.unzip();
        let (programs, is_hidden) = programs::on(link, netlink, self.names);
        let record = InterfaceRecord {
            netns: self.netns.map(str::to_owned),
            iface: link.name.clone(),
            ifindex: link.index,
            chosen,
            frames: match link {
                link if link.is_loopback() => "loopback",
                link if link.is_ethernet() => "ethernet",
                _ => "other",
            },
            kind: link.kind.clone(),
            driver: ethtool.driver(&link.name),
            up: link.up,
            carrier: link.carrier,
            mtu: link.mtu,
            rx_queues: rx.or(link.rx_queues),
            tx_queues: tx.or(link.tx_queues),
            master: name(stack::master(link, &self.all)),
            lower: name(stack::lower(link, &self.all)),
            peer: name(stack::peer(link, &self.all)),
            peer_elsewhere: link.is_pair() && link.link_netns.is_some(),
            offloads: ethtool.offloads(&link.name),
            xdp: xdp.get(&link.index).cloned().unwrap_or_default(),
            programs,
        };
        (record, is_hidden)
    }
}

/// Whether the namespace that the calling thread is in hands packets on between interfaces.
fn forwards() -> bool {
    ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"].iter().any(|name| {
        fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|text| text.trim() != "0")
    })
}
