//! What is attached to an interface, and what a process holds in the kernel's BPF subsystem.

use std::collections::BTreeSet;
use std::fs;

use aya::programs::tc::{SchedClassifier, TcAttachType};

use super::lab::Namespace;
use super::process::run;

/// An interface as the tools for it show it: everything that attaching could change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// `ip -details link`: flags, queueing, XDP program.
    link: String,
    /// `ethtool -k`: offloads.
    features: String,
    /// `tc qdisc`, `tc filter` on both ways.
    tc: [String; 3],
    /// Ids of the programs in the TCX chains, ingress and egress; `None` before Linux 6.6.
    tcx: [Option<Vec<u32>>; 2],
}

impl Interface {
    /// How `name` in `namespace` is now.
    #[track_caller]
    pub(crate) fn now(namespace: &Namespace, name: &str) -> Self {
        let filters = |way| namespace.tc(&format!("filter show dev {name} {way}"));
        let chains = || {
            [TcAttachType::Ingress, TcAttachType::Egress].map(|way| {
                let (_, programs) = SchedClassifier::query_tcx(name, way).ok()?;
                Some(programs.iter().map(aya::programs::ProgramInfo::id).collect())
            })
        };
        Self {
            link: namespace.ip(&format!("-details link show dev {name}")),
            features: run(namespace.command("ethtool").args(["-k", name])),
            tc: [
                namespace.tc(&format!("qdisc show dev {name}")),
                filters("ingress"),
                filters("egress"),
            ],
            tcx: namespace.enter(chains),
        }
    }
}

/// Ids of BPF objects, each with its kind: `prog_id`, `map_id`, `link_id`.
pub(crate) type Objects = BTreeSet<(String, u32)>;

/// The BPF objects that the process `pid` has open.
pub(crate) fn held_by(pid: u32) -> Objects {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("process is there");
    let described = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    described.flat_map(|text| text.lines().filter_map(object).collect::<Vec<_>>()).collect()
}

fn object(line: &str) -> Option<(String, u32)> {
    let (kind, id) = line.split_once(':')?;
    let known = ["prog_id", "map_id", "link_id"].contains(&kind);
    known.then(|| Some((kind.to_owned(), id.trim().parse().ok()?)))?
}

/// Those of `objects` that the kernel still has.
pub(crate) fn still_there(objects: &Objects) -> Objects {
    let programs = aya::programs::loaded_programs().flatten().map(|it| ("prog_id", it.id()));
    let maps = aya::maps::loaded_maps().flatten().map(|it| ("map_id", it.id()));
    let links = aya::programs::loaded_links().flatten().map(|it| ("link_id", it.id()));
    let present = programs.chain(maps).chain(links).map(|(kind, id)| (kind.to_owned(), id));
    present.filter(|object| objects.contains(object)).collect()
}
