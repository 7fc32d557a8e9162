//! Control groups (version 2) by their id, which is the inode of their folder: cgroups(7).
//!
//! There may be no such hierarchy, or one beside version 1's, and it may be mounted anywhere, or not
//! at all where `ip netns exec` has put another `/sys` over it: then what the process that started
//! this one sees counts, or the first one of the host.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container;

/// Most groups that are looked at in one walk: a host with more has each service's all the same,
/// for those are near the top.
const MAX_WALKED: usize = 65_536;

/// A control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) path: Arc<str>,
    pub(super) container: Option<Arc<str>>,
}

impl Group {
    pub(super) fn new(path: &str) -> Self {
        Self { path: Arc::from(path), container: container::id(path).map(Arc::from) }
    }
}

/// Where the groups are to be seen; `None` where they are nowhere.
pub(crate) fn mount() -> Option<PathBuf> {
    [std::process::id(), parent_id(), 1].into_iter().find_map(|pid| {
        let process = Path::new("/proc").join(pid.to_string());
        let mounts = fs::read_to_string(process.join("mountinfo")).ok()?;
        let point = mount_point(&mounts)?;
        let seen = process.join("root").join(point.strip_prefix('/')?);
        fs::metadata(&seen).is_ok().then_some(seen)
    })
}

/// The first mount of type cgroup2: proc_pid_mountinfo(5).
fn mount_point(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        file_system.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4))?
    })
}

/// All groups below the mount point, those near the top first.
pub(super) fn walk(mount: &Path) -> HashMap<u64, Group> {
    let mut groups = HashMap::new();
    let Ok(top) = fs::metadata(mount) else { return groups };
    groups.insert(top.ino(), Group::new("/"));
    let mut level = vec![String::new()];
    while !level.is_empty() && groups.len() < MAX_WALKED {
        let mut below = Vec::new();
        for parent in &level {
            let Ok(entries) = fs::read_dir(mount.join(parent.trim_start_matches('/'))) else {
                continue; // gone meanwhile
            };
            let folders =
                entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            for folder in folders {
                let path = format!("{parent}/{}", folder.file_name().to_string_lossy());
                groups.insert(folder.ino(), Group::new(&path));
                below.push(path);
            }
        }
        level = below;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_point_is_that_of_version_2() {
        let hybrid = "\
24 29 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
25 24 0:23 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
26 24 0:24 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,name=systemd
";
        assert_eq!(mount_point(hybrid), Some("/sys/fs/cgroup/unified"));
        let v1 = "26 24 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(mount_point(v1), None);
        assert_eq!(mount_point("nonsense\n - cgroup2 x"), None);
    }

    #[test]
    fn a_folder_is_a_group_by_its_inode() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("system.slice/lxc.payload.web1");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("cgroup.procs"), "").unwrap();
        let groups = walk(top.path());
        let group = |path: &Path| groups[&fs::metadata(path).unwrap().ino()].clone();
        assert_eq!(groups.len(), 3);
        assert_eq!(&*group(top.path()).path, "/");
        assert_eq!(&*group(&deep).path, "/system.slice/lxc.payload.web1");
        assert_eq!(group(&deep).container.as_deref(), Some("web1"));
    }
}
