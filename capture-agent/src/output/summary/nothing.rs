//! Why there is no exchange, as far as that can be told.

use capture_ebpf::Verdict;

use super::losses::{is_of_files, verdict};
use crate::event::Stats;

/// What to say where none came out; `None` where nothing is odd about it.
pub(super) fn why(stats: &Stats) -> Option<String> {
    let engine = &stats.engine;
    if engine.exchanges > 0 {
        return None;
    }
    let seen: u64 = stats.packets.iter().map(|packets| packets.packets.seen).sum();
    let is_of_files = is_of_files(stats);
    if seen == 0 {
        let says = if is_of_files {
            "There is no packet in there."
        } else {
            "No packet came by. Is it the interface that clients come in by? What stays on this host \
             is on `lo`."
        };
        return Some(says.to_owned());
    }
    if engine.segments > 0 {
        return Some(
            "There was TCP, but no HTTP/1 in it. What is encrypted (HTTPS, as on port 443) cannot \
             be read, and HTTP/2 is not."
                .to_owned(),
        );
    }
    let reasons = [
        (Verdict::OtherPort, "of other ports: --port takes them, --port any all of them"),
        (Verdict::OtherHost, "of other hosts than --host"),
        (Verdict::NotSampled, "of flows that --sample leaves out"),
        (Verdict::NotTcp, "not TCP"),
        (Verdict::NotIp, "not IP"),
        (Verdict::PureAck, "acknowledgements alone"),
    ];
    let counted = reasons.map(|(kind, what)| (verdict(stats, kind), what));
    let reasons = counted.into_iter().filter(|(count, _)| *count > 0);
    let reasons: Vec<_> = reasons.map(|(count, what)| format!("{count} {what}")).collect();
    (!reasons.is_empty()).then(|| format!("Packets were left out: {}.", reasons.join("; ")))
}
