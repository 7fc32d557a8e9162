//! What the process must be allowed to do.

use std::env;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::LiveError;

/// Capabilities that loading and attaching take: the verifier lets programs reckon with pointers, as
/// ours do, for `CAP_PERFMON` alone. `CAP_SYS_ADMIN` stands for both that loading takes.
pub(crate) const NEEDED: [(CapabilitySet, &str); 3] = [
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
];

/// Whether the process has the capabilities that a capture takes.
///
/// # Errors
/// [`LiveError::Capability`] names those that are missing, and the commands that help.
pub(super) fn check() -> Result<(), LiveError> {
    // A kernel that can't tell will say so when it is asked to load.
    let Ok(sets) = capabilities(None) else { return Ok(()) };
    let missing = missing(sets.effective);
    if missing.is_empty() {
        return Ok(());
    }
    let agent = env::current_exe().unwrap_or_else(|_| "capture-agent".into());
    Err(LiveError::Capability { missing: missing.join(" and "), agent })
}

fn missing(effective: CapabilitySet) -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(needed, _)| {
            let admin =
                *needed != CapabilitySet::NET_ADMIN && effective.contains(CapabilitySet::SYS_ADMIN);
            !effective.contains(*needed) && !admin
        })
        .map(|(_, name)| *name)
        .collect()
}

/// Lifts the limit on locked memory, by which kernels before 5.11 account maps. Where that is not
/// allowed and matters, creating the maps fails and says so.
pub(super) fn lift_memlock_limit() {
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_missing_capabilities_are_named() {
        assert_eq!(missing(CapabilitySet::empty()), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(missing(CapabilitySet::NET_ADMIN), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(CapabilitySet::BPF | CapabilitySet::PERFMON), ["CAP_NET_ADMIN"]);
        let admin = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN;
        assert!(missing(admin).is_empty());
        assert_eq!(missing(CapabilitySet::BPF | CapabilitySet::NET_ADMIN), ["CAP_PERFMON"]);
    }
}
