//! What a live capture can do on this host, what is wrong, and what to do about it.
//!
//! Two ways to find out: looking ([`host`], [`links`], [`ethtool`], [`netdev`], [`programs`],
//! [`netns`]), which
//! works without privileges as far as the kernel tells, and [`trial`], which does what `run` does up
//! to the first packet. Whether `run` would work is told by the trial alone; looking says why.
//!
//! Invariant: what was attached is taken off before this returns, and nothing else is changed.

mod checks;
mod ethtool;
mod host;
mod links;
mod netdev;
mod netns;
mod programs;
pub mod report;
mod stack;
mod surroundings;
pub mod text;
mod trial;

use std::thread;

pub use self::report::{Finding, Line, Report, Severity, schema};
use crate::source::live::{LiveConfig, Namespace};

/// What a driver without XDP says: `EOPNOTSUPP`.
const NOT_SUPPORTED: &str = "(os error 95)";

/// Examines the host for a capture as `config` has it.
#[must_use]
pub fn examine(config: &LiveConfig) -> Report {
    let host = host::look();
    let mut findings = host::findings(&host, config);
    let mut interfaces = Vec::new();
    // Who sits on the hooks is looked at before the trial sits there, too.
    let names = programs::Names::new();
    let namespaces = namespaces(config);
    let mut ends = Vec::new();
    for namespace in &namespaces {
        let look =
            || surroundings::look(namespace.as_ref(), &namespaces, config, &names, host.cpus);
        // A thread of its own, for it may enter another namespace and could not come back.
        let seen = thread::scope(|scope| scope.spawn(look).join());
        let seen = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        interfaces.extend(seen.interfaces);
        findings.extend(seen.findings);
        ends.push(seen.ends);
    }
    let name = |namespace: &Option<Namespace>| Some(namespace.as_ref()?.name().to_string());
    findings.extend(netns::findings(&namespaces.iter().map(name).collect::<Vec<_>>(), &ends));
    let (verdict, said) = trial::run(config);
    // Where the driver has none, that is said already; it may have said no for another reason.
    let is_known = |finding: &Finding| {
        let of = |record: &&report::InterfaceRecord| finding.iface.as_ref() == Some(&record.iface);
        let record = interfaces.iter().find(of);
        let has_none = finding.found.contains(NOT_SUPPORTED);
        finding.check == "xdp_refused"
            && has_none
            && record.is_some_and(|it| it.xdp.native == Some(false))
    };
    findings.extend(said.into_iter().filter(|finding| !is_known(finding)));
    Report { host, interfaces, findings, verdict }
}

/// Those that can be found; the trial tells of others.
fn namespaces(config: &LiveConfig) -> Vec<Option<Namespace>> {
    if config.netns.is_empty() {
        return vec![None];
    }
    let each = || {
        let each = config.netns.iter().map(std::slice::from_ref);
        each.flat_map(Namespace::find).flatten().collect()
    };
    Namespace::find(&config.netns).unwrap_or_else(|_| each()).into_iter().map(Some).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{PortSet, Sample, Selection};
    use crate::source::live::{HookChoice, TcAttach};

    /// A capture by this hook.
    pub(super) fn config(hook: HookChoice) -> LiveConfig {
        let ports = PortSet::any();
        let selection = Selection { ports, hosts: Vec::new(), sample: Sample::default() };
        LiveConfig {
            netns: Vec::new(),
            ifaces: Vec::new(),
            hook,
            tc: TcAttach::Auto,
            sensor: None,
            selection,
            kernel_log: None,
            workers: None,
            ring_bytes: None,
            latency: std::time::Duration::ZERO,
            budget: None,
        }
    }
}
