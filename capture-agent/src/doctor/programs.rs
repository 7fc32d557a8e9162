//! Who sits on the hooks of an interface: XDP, TCX and netkit links, filters of clsact.
//!
//! Order counts: a program sees what the ones before it have let through.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use super::links::{Link, text};
use super::report::ProgramRecord;
use crate::source::live::netlink::{
    EGRESS_PARENT, INGRESS_PARENT, Message, RTM_GETTFILTER, attributes, dump_tc, field_u32,
};

const RTM_NEWTFILTER: u16 = 44;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;
/// Bytes of a `tcmsg`.
const TCMSG_LEN: usize = 20;
/// The part of a `u32` filter's handle that its hash tables, which are listed as filters, have not.
const U32_NODE: u32 = 0xfff;
const NLA_FLAGS: u16 = 0xc000;
const BPF_PROG_QUERY: libc::c_long = 16;
/// A hook takes so many programs at most (`BPF_MPROG_MAX`).
const MAX_PROGRAMS: usize = 64;

/// `bpf_attach_type` of the hooks that keep programs in order.
const CHAINS: [(u32, &str, &str); 4] = [
    (46, "tc_ingress", "tcx"),
    (47, "tc_egress", "tcx"),
    // What the other end sends arrives here.
    (55, "tc_ingress", "netkit"),
    (54, "tc_egress", "netkit"),
];

/// What the kernel calls its programs, by their ids; none where that is not told, which takes
/// `CAP_SYS_ADMIN`.
pub(super) struct Names(HashMap<u32, String>);

impl Names {
    pub(super) fn new() -> Self {
        let known = aya::programs::loaded_programs().flatten();
        Self(known.map(|program| (program.id(), text(program.name()))).collect())
    }

    fn of(&self, id: u32) -> Option<String> {
        self.0.get(&id).filter(|name| !name.is_empty()).cloned()
    }
}

/// The programs on an interface's hooks, and whether some of them could not be looked at.
pub(super) fn on(link: &Link, netlink: &OwnedFd, names: &Names) -> (Vec<ProgramRecord>, bool) {
    let program = |hook, way, id| {
        let name = names.of(id);
        ProgramRecord { hook, way, filter: None, name, id: Some(id) }
    };
    let xdp = link.xdp.iter().map(|(way, id)| program("xdp_ingress", *way, *id));
    let mut all: Vec<_> = xdp.collect();
    let mut is_hidden = false;
    for (chain, hook, way) in CHAINS {
        if way == "netkit" && !link.is("netkit") {
            continue;
        }
        match query(link.index, chain) {
            Ok(ids) => all.extend(ids.into_iter().map(|id| program(hook, way, id))),
            Err(error) => is_hidden |= error.raw_os_error() == Some(libc::EPERM),
        }
    }
    for (parent, hook) in [(INGRESS_PARENT, "tc_ingress"), (EGRESS_PARENT, "tc_egress")] {
        let seen = dump_tc(netlink, RTM_GETTFILTER, (link.index, parent), |message| {
            all.extend(filter(&message, hook, names));
        });
        is_hidden |= seen.is_err();
    }
    (all, is_hidden)
}

/// A filter of clsact. What has no handle only says that filters of this priority follow.
fn filter(message: &Message<'_>, hook: &'static str, names: &Names) -> Option<ProgramRecord> {
    let (head, rest) = message.body.split_at_checked(TCMSG_LEN)?;
    let handle = field_u32(head, 8)?;
    if message.kind != RTM_NEWTFILTER || handle == 0 {
        return None;
    }
    let find = |bytes, wanted| {
        let mut all = attributes(bytes);
        all.find_map(|(kind, value)| (kind & !NLA_FLAGS == wanted).then_some(value))
    };
    let kind = find(rest, TCA_KIND).map(text);
    if kind.as_deref() == Some("u32") && handle & U32_NODE == 0 {
        return None;
    }
    // Each kind of filter has options of its own.
    let options = find(rest, TCA_OPTIONS).filter(|_| kind.as_deref() == Some("bpf"));
    let options = options.unwrap_or_default();
    let id = find(options, TCA_BPF_ID).and_then(|value| field_u32(value, 0));
    let name = id.and_then(|id| names.of(id)).or_else(|| find(options, TCA_BPF_NAME).map(text));
    Some(ProgramRecord { hook, way: "clsact", filter: kind, name, id })
}

/// The part of `bpf_attr` (`linux/bpf.h`) that `BPF_PROG_QUERY` takes.
#[repr(C, align(8))]
#[derive(Default)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    _padding: u32,
    /// Flags and links of programs, and the revision of the chain, which are not asked for.
    _rest: [u64; 4],
}

/// The ids of the programs in a chain. aya asks for their names at once, which takes more
/// privileges, and does not know netkit.
fn query(ifindex: u32, attach_type: u32) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut query = Query {
        target_ifindex: ifindex,
        attach_type,
        prog_ids: ids.as_mut_ptr() as u64,
        count: MAX_PROGRAMS as u32,
        ..Query::default()
    };
    // SAFETY: the command takes a `bpf_attr` of the stated length, and writes at most `count` ids to
    // `prog_ids` and the number of them to `count`; both live until it returns.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut query, size_of::<Query>()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let count = usize::try_from(query.count).unwrap_or(MAX_PROGRAMS);
    Ok(ids.iter().copied().take(count).collect())
}
