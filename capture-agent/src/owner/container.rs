//! The container that a control group is of, where its path tells.
//!
//! Nobody specifies those names; these are the ones that Docker, Podman, containerd, CRI-O and
//! Kubernetes (with either cgroup driver), LXC and systemd-nspawn make. The monitor that a runtime
//! keeps beside a container is not in it.

/// The id of the innermost container in the path, or the name where the runtime has no ids.
pub(super) fn id(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    (0..parts.len()).rev().find_map(|n| {
        let parent = n.checked_sub(1).and_then(|n| parts.get(n)).copied().unwrap_or_default();
        of_part(parent, parts.get(n)?)
    })
}

fn of_part(parent: &str, part: &str) -> Option<String> {
    if part.contains("conmon") || part.starts_with("lxc.monitor") {
        return None;
    }
    hex_id(part)
        .map(str::to_owned)
        .or_else(|| part.strip_prefix("lxc.payload.").map(str::to_owned))
        .or_else(|| matches!(parent, "lxc" | "lxc.payload").then(|| part.to_owned()))
        .or_else(|| nspawn(part))
        .filter(|id| !id.is_empty())
}

/// 64 hexadecimal digits: `ID`, `docker-ID.scope`, `…-podUID.slice:cri-containerd:ID`.
fn hex_id(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let last = part.rsplit(['-', ':']).next()?;
    let is_id = last.len() == 64 && last.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then_some(last)
}

/// `systemd-nspawn@NAME.service`, or `machine-NAME.scope`, as which virtual machines are
/// registered too.
fn nspawn(part: &str) -> Option<String> {
    let service = part.strip_prefix("systemd-nspawn@").and_then(|it| it.strip_suffix(".service"));
    let scope = part.strip_prefix("machine-").and_then(|it| it.strip_suffix(".scope"));
    let name = service.or(scope.filter(|it| !it.starts_with("qemu\\x2d")))?;
    Some(name.replace("\\x2d", "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f5b2b1c9a3e6d7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";

    macro_rules! containers {
        ($($name:ident: $path:literal => $id:expr;)*) => {
            $(#[test]
            fn $name() {
                let wanted: Option<&str> = $id;
                assert_eq!(id(&$path.replace("ID", ID)).as_deref(), wanted);
            })*
        };
    }

    containers! {
        docker_by_systemd: "/system.slice/docker-ID.scope" => Some(ID);
        docker_by_cgroupfs: "/docker/ID" => Some(ID);
        docker_in_docker: "/docker/0000000000000000000000000000000000000000000000000000000000000000/docker/ID" => Some(ID);
        docker_with_systemd_inside: "/system.slice/docker-ID.scope/system.slice/nginx.service" => Some(ID);
        nerdctl: "/system.slice/nerdctl-ID.scope" => Some(ID);
        podman_by_systemd: "/machine.slice/libpod-ID.scope/container" => Some(ID);
        podman_without_root: "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container" => Some(ID);
        podman_by_cgroupfs: "/libpod_parent/libpod-ID" => Some(ID);
        podman_s_monitor: "/machine.slice/libpod-conmon-ID.scope" => None;
        containerd_by_systemd: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2ac1e8b4_0f2f_4d0f_8f7d_0c64b8a0b6a1.slice/cri-containerd-ID.scope" => Some(ID);
        containerd_by_cgroupfs: "/kubepods/burstable/pod2ac1e8b4-0f2f-4d0f-8f7d-0c64b8a0b6a1/ID" => Some(ID);
        containerd_with_drivers_mixed_up: "/system.slice/containerd.service/kubepods-besteffort-pod2ac1e8b4_0f2f_4d0f_8f7d_0c64b8a0b6a1.slice:cri-containerd:ID" => Some(ID);
        kind: "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod2ac1e8b4_0f2f_4d0f_8f7d_0c64b8a0b6a1.slice/cri-containerd-ID.scope" => Some(ID);
        crio_by_systemd: "/kubepods.slice/kubepods-pod2ac1e8b4_0f2f_4d0f_8f7d_0c64b8a0b6a1.slice/crio-ID.scope/container" => Some(ID);
        crio_by_cgroupfs: "/kubepods/besteffort/pod2ac1e8b4-0f2f-4d0f-8f7d-0c64b8a0b6a1/crio-ID" => Some(ID);
        crio_s_monitor: "/kubepods.slice/kubepods-pod2ac1e8b4_0f2f_4d0f_8f7d_0c64b8a0b6a1.slice/crio-conmon-ID.scope" => None;
        lxc: "/lxc.payload.web1/system.slice/nginx.service" => Some("web1");
        lxc_4_0: "/lxc.payload/web1" => Some("web1");
        lxc_old: "/lxc/web1" => Some("web1");
        lxc_s_monitor: "/lxc.monitor.web1" => None;
        nspawn_as_a_service: "/machine.slice/systemd-nspawn@web\\x2d1.service/payload/system.slice/nginx.service" => Some("web-1");
        nspawn_by_hand: "/machine.slice/machine-web\\x2d1.scope/payload" => Some("web-1");
        a_virtual_machine: "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator" => None;
        a_service: "/system.slice/nginx.service" => None;
        a_session: "/user.slice/user-1000.slice/session-3.scope" => None;
        a_pod_without_its_container: "/kubepods/burstable/pod2ac1e8b4-0f2f-4d0f-8f7d-0c64b8a0b6a1" => None;
        the_root: "/" => None;
    }

    #[test]
    fn what_is_not_quite_an_id_is_none() {
        for path in [format!("/docker/{}", &ID[1..]), format!("/docker/{ID}0"), ID.to_uppercase()] {
            assert_eq!(id(&path), None, "{path}");
        }
    }
}
