//! What `run` would do, by doing it: load, attach, and take off again.

use std::sync::Arc;

use capture_ebpf::Hook;

use super::report::{AttachedRecord, Finding, HookRecord, VerdictRecord};
use crate::source::live::{
    Attachment, HookChoice, LiveConfig, LiveError, LiveSource, Notice, TcAttach, Way,
};

/// What came of it, and what there is to say beside.
pub(super) fn run(config: &LiveConfig) -> (VerdictRecord, Vec<Finding>) {
    match attempt(config) {
        Ok(notices) => {
            let attached = notices.iter().filter_map(|notice| match notice {
                Notice::Attached(attachment) => Some(attached(attachment, config)),
                _ => None,
            });
            let attached = attached.collect();
            let findings = notices.iter().filter_map(finding).collect();
            (VerdictRecord { works: true, attached, reasons: Vec::new() }, findings)
        }
        Err(error) => {
            let reasons = reasons(config, &error);
            (VerdictRecord { reasons, ..VerdictRecord::default() }, Vec::new())
        }
    }
}

/// As `run` begins.
fn attempt(config: &LiveConfig) -> Result<Vec<Notice>, LiveError> {
    LiveSource::check(&config.netns, &config.ifaces)?;
    let (mut source, _readers) = LiveSource::open(config)?;
    let notices = source.notices().cloned().collect();
    source.detach();
    Ok(notices)
}

/// `run` names the first thing that is in its way. Here each interface is told, by trying it alone.
fn reasons(config: &LiveConfig, first: &LiveError) -> Vec<String> {
    let mut reasons = vec![first.to_string()];
    let netns = || config.netns.iter().map(|netns| vec![netns.clone()]);
    let places: Vec<_> = if config.netns.is_empty() { vec![Vec::new()] } else { netns().collect() };
    let is_one = places.len() == 1 && config.ifaces.len() <= 1;
    let is_of_all = matches!(first, LiveError::Capability { .. } | LiveError::NoKernelHalf);
    if is_one || is_of_all {
        return reasons;
    }
    for netns in places {
        let ifaces: Vec<_> = config.ifaces.iter().map(|iface| vec![iface.clone()]).collect();
        let ifaces = if ifaces.is_empty() { vec![Vec::new()] } else { ifaces };
        for ifaces in ifaces {
            let alone = LiveConfig { netns: netns.clone(), ifaces, ..config.clone() };
            let reason = attempt(&alone).err().map(|error| error.to_string());
            reasons.extend(reason.filter(|reason| !reasons.contains(reason)));
        }
    }
    reasons
}

fn finding(notice: &Notice) -> Option<Finding> {
    let of =
        |netns: &Option<Arc<str>>| netns.as_ref().map(|netns| format!(" in namespace {netns}"));
    match notice {
        Notice::LeftOut { iface, netns, reason } => Some(
            Finding::warning("left_out", format!("`run` leaves it out: {reason}"))
                .means("it matches a pattern, and can't be captured on; the others are")
                .advice("nothing, unless it is one that you want")
                .of(netns.as_deref(), iface),
        ),
        Notice::NoMatch { pattern, netns } => {
            let of = of(netns).unwrap_or_default();
            Some(
                Finding::note("no_match", format!("no interface{of} matches '{pattern}' yet"))
                    .means("`run` waits for one to come"),
            )
        }
        Notice::Attached(Attachment { iface, netns, native_refused: Some(reason), .. }) => Some(
            Finding::note("xdp_refused", format!("the driver did not take XDP: {reason}"))
                .means("XDP is generic here: it comes after most of what TC costs")
                .advice(
                    "leave out --hook xdp; or see the kernel's log (`dmesg`) for what the driver \
                     asks for: a smaller MTU, fewer or more queues, LRO off",
                )
                .of(netns.as_deref(), iface),
        ),
        _ => None,
    }
}

fn attached(attachment: &Attachment, config: &LiveConfig) -> AttachedRecord {
    let hooks = attachment.hooks.iter().map(|(hook, way)| HookRecord {
        hook: match hook {
            Hook::TcIngress => "tc_ingress",
            Hook::TcEgress => "tc_egress",
            Hook::XdpIngress => "xdp_ingress",
        },
        way: match way {
            Way::XdpNative => "native",
            Way::XdpGeneric => "generic",
            Way::Tcx => "tcx",
            Way::Clsact => "clsact",
        },
        why: why(attachment, config, *hook, *way),
    });
    AttachedRecord {
        netns: attachment.netns.as_deref().map(str::to_owned),
        iface: attachment.iface.clone(),
        hooks: hooks.collect(),
    }
}

/// Why this hook, and why this way onto it.
fn why(attachment: &Attachment, config: &LiveConfig, hook: Hook, way: Way) -> String {
    let is_alone = attachment.hooks.len() == 1;
    let hook = match hook {
        Hook::TcIngress if is_alone => "a packet on loopback passes both ways, and is seen once",
        Hook::TcIngress => "TC costs least: segments are merged before it",
        Hook::TcEgress => "what is sent is seen by TC alone",
        Hook::XdpIngress if config.hook == HookChoice::Xdp => "--hook xdp asks for it",
        Hook::XdpIngress => "it is asked for",
    };
    let way = match (way, config.tc) {
        (Way::XdpNative, _) => "the driver runs XDP programs itself".to_owned(),
        (Way::XdpGeneric, _) => {
            let reason = attachment.native_refused.as_deref().unwrap_or("it has no XDP");
            format!("generic, for the driver does not take it ({reason})")
        }
        (Way::Tcx, TcAttach::Tcx) | (Way::Clsact, TcAttach::Clsact) => {
            "--tc-attach asks for this way".to_owned()
        }
        (Way::Tcx, _) => {
            "by TCX, which this kernel has, and which goes with the agent by itself".to_owned()
        }
        (Way::Clsact, _) => {
            "by a filter of clsact, for this kernel has no TCX (Linux 6.6)".to_owned()
        }
    };
    format!("{hook}; {way}")
}
