//! What this process may do, by the kernel's account of it (capabilities(7)).

use std::fs;

use anyhow::{Context as _, Result};

/// Bits of `CapEff` that the end-to-end tests need, with their names.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (39, "CAP_BPF")];

pub(crate) struct Privileges {
    uid: u32,
    capabilities: u64,
}

impl Privileges {
    pub(crate) fn own() -> Result<Self> {
        let status =
            fs::read_to_string("/proc/self/status").context("can't read own privileges")?;
        Self::parse(&status).context("no privileges in /proc/self/status")
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
        Some(Self {
            // Real, effective, saved, file system.
            uid: field("Uid:")?.split_whitespace().nth(1)?.parse().ok()?,
            capabilities: u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?,
        })
    }

    pub(crate) fn root(&self) -> bool {
        self.uid == 0
    }

    /// Why network namespaces and BPF programs are out of reach, if they are, and what to do.
    pub(crate) fn obstacle(&self) -> Option<String> {
        if !self.root() {
            let sudo = r#"sudo env "PATH=$PATH" "HOME=$HOME" cargo xtask test"#;
            return Some(format!("not root; all tests: {sudo}"));
        }
        let missing: Vec<_> = NEEDED
            .iter()
            .filter(|(bit, _)| self.capabilities & (1 << bit) == 0)
            .map(|(_, name)| *name)
            .collect();
        (!missing.is_empty())
            .then(|| format!("root without {}; in a container: --privileged", missing.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacle(uid: u32, capabilities: &str) -> Option<String> {
        let status = format!("Name:\txtask\nUid:\t1000\t{uid}\t0\t0\nCapEff:\t{capabilities}\n");
        Privileges::parse(&status).unwrap().obstacle()
    }

    #[test]
    fn effective_user_and_capabilities_decide() {
        assert_eq!(obstacle(0, "000001ffffffffff"), None);
        assert!(obstacle(1000, "0000000000000000").unwrap().starts_with("not root; "));
        // What a container's root has.
        let container = obstacle(0, "00000000a80425fb").unwrap();
        assert!(container.starts_with("root without CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF; "));
    }
}
