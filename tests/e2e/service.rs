//! The service that systemd is given: what it may do is enough, and systemd takes it.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::fetch::{assert_captured, fetch};
use crate::support::lab::{Family, Lab};
use crate::support::live::{AGENT, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::{Process, run};

const DIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist");

fn unit() -> String {
    fs::read_to_string(Path::new(DIST).join("capture-agent.service")).unwrap()
}

/// The values of a key of the unit.
fn values(unit: &str, key: &str) -> Vec<String> {
    let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_capabilities_of_the_service_are_enough() {
    let unit = unit();
    let capabilities = values(&unit, "AmbientCapabilities");
    assert_eq!(capabilities, values(&unit, "CapabilityBoundingSet"));
    let names = capabilities.iter().map(|name| name.strip_prefix("CAP_").unwrap());
    let granted: Vec<_> = names.map(|name| format!("+{}", name.to_lowercase())).collect();
    let granted = granted.join(",");

    let folder = TempDir::new().unwrap();
    let settings = folder.path().join("settings.toml");
    fs::write(&settings, "format = 'jsonl'\n[run]\niface = ['eth0']\nworkers = 1\n").unwrap();
    let settings = settings.display();
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    // Nobody may look into the folders on the way to the agent, so it gets there by descriptors.
    let script = format!(
        "exec 8< '{settings}' 9< '{AGENT}'
         exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \
             --inh-caps=-all,{granted} --ambient-caps=-all,{granted} --bounding-set=-all,{granted} \
             /proc/self/fd/9 run --config /dev/fd/8"
    );
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", lab.server)).args(["bash", "-c", &script]);
    let agent = Agent::started(Process::start(&mut command));
    let made = vec![fetch(&lab.client, &Lab::url(Family::V4, "/a.txt"), "")];
    let ended = agent.stop();
    let exchanges = ended.objects("exchange");
    assert_captured(&exchanges, made);
    assert_eq!(exchanges[0]["process"]["name"], "nginx");
}

#[test]
fn systemd_takes_the_unit() {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("capture-agent.service");
    let unit = unit().replace("/usr/local/bin/capture-agent ", &format!("{AGENT} "));
    assert!(unit.contains(AGENT));
    fs::write(&copy, unit).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output();
    let output = output.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("capture-agent.service"), "{stderr}");
}

#[test]
fn the_settings_that_come_with_it_hold() {
    let settings = Path::new(DIST).join("capture-agent.toml");
    let mut command = Command::new(AGENT);
    let shown = run(command.args(["config", "run", "--config"]).arg(&settings));
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("rotate").contains("1h,100MB"), "{shown}");
    assert!(line("keep").contains("capture-agent.toml:"), "{shown}");
}
