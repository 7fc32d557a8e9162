//! The host on which the documentation's commands are run: a web shop with clients that go on
//! asking, the interfaces and files that the commands name, and stand-ins for what isn't there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::known::STAND_INS;
use crate::support::lab::{Lab, WIRE};
use crate::support::live::AGENT;
use crate::support::nginx::Nginx;
use crate::support::pages::root;
use crate::support::process::{Process, run};
use crate::support::wait;

/// A shop on nginx. `gone` is never answered, `report.csv` takes its time.
const SHOP: &str = r"
  server {
    listen 80; listen 8080; server_name shop.example.com;
    types { text/html html; application/json json; image/png png; audio/mpeg mp3; text/csv csv; }
    location / { root FILES; }
    location = /login { return 303 /; }
    location = /api/broken { return 503; }
    location = /gone { return 444; }
    location = /report.csv { root FILES; limit_rate 30k; }
  }
";

/// What clients do, over and over; after each round there is a line more in the file `$ROUNDS`. They
/// pause while there is a file `$HOLD`, and then there is `$HELD`.
const CLIENTS: &str = r#"
ask() {
  if [ -e "$HOLD" ]; then
    touch "$HELD"
    while [ -e "$HOLD" ]; do sleep 0.05; done
    rm "$HELD"
  fi
  curl --silent --output /dev/null --max-time 20 --resolve '*:80:10.77.0.1' --resolve '*:8080:10.77.0.1' "$@"
}
shop=http://shop.example.com
while :; do
  ask $shop/
  ask $shop/api/cart.json -H 'Authorization: Bearer 0123456789' -H 'User-Agent:'
  ask "$shop/login?next=/cart&token=0123456789" -d 'user=alice&password=secret'
  ask $shop/img/logo.png
  ask $shop/song.mp3
  ask $shop/report.csv
  ask $shop/api/broken
  ask $shop/missing
  ask $shop/gone
  ask $shop:8080/api/cart.json
  echo >> "$ROUNDS"
  sleep 0.1
done
"#;

/// What the host has beside `eth0`: a route, a namespace with an interface, a mirror port, a name for
/// the shop. What commands write to `/etc` and `/usr` goes nowhere.
const SETUP: &str = r#"
set -e
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run/netns
ip netns add blue
ip link add veth0 type veth peer name eth0 netns blue
ip address add 10.78.0.1/24 dev veth0
ip link set veth0 up
ip -netns blue address add 10.78.0.2/24 dev eth0
ip -netns blue link set eth0 up
ip link add mon0 type veth peer name tap0
ip link set mon0 up
ip link set tap0 up
ip route add default via 10.77.0.2
mount -t tmpfs tmpfs "$SCRATCH"
for folder in etc usr; do
  mkdir "$SCRATCH/$folder" "$SCRATCH/$folder.work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$SCRATCH/$folder,workdir=$SCRATCH/$folder.work" "/$folder"
done
echo '10.77.0.1 shop.example.com' >> /etc/hosts
echo ready
exec sleep infinity
"#;

/// A host. All that runs on it ends when it is dropped.
pub(super) struct Host {
    /// Holds the namespaces in which commands are run.
    holder: Process,
    _clients: Process,
    _nginx: Nginx,
    folder: TempDir,
    // The last to go, with whatever still runs.
    _lab: Lab,
}

impl Host {
    /// A host whose clients ask already.
    pub(super) fn new() -> Self {
        let lab = Lab::new();
        let folder = tempfile::tempdir().unwrap();
        let nginx = shop(&lab, folder.path());
        let mut holder = lab.server.command("bash");
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let mut holder = Process::start(holder.args(["-c", SETUP]).env("SCRATCH", scratch));
        wait::until("the host is set up", || {
            assert!(!holder.has_ended(), "{}", holder.stderr());
            holder.stdout().ends_with(b"ready\n")
        });
        let mut clients = lab.client.command("bash");
        clients.args(["-c", CLIENTS]);
        for name in ["ROUNDS", "HOLD", "HELD"] {
            clients.env(name, folder.path().join(name));
        }
        let clients = Process::start(&mut clients);
        let host = Self { holder, _clients: clients, _nginx: nginx, folder, _lab: lab };
        host.lay_out();
        host
    }

    /// How often clients have asked for everything.
    pub(super) fn rounds(&self) -> usize {
        fs::read(self.folder.path().join("ROUNDS")).map_or(0, |lines| lines.len())
    }

    /// Has clients pause, with nothing on its way, while `body` runs.
    pub(super) fn in_silence<T>(&self, body: impl FnOnce() -> T) -> T {
        let (hold, held) = (self.folder.path().join("HOLD"), self.folder.path().join("HELD"));
        fs::write(&hold, "").unwrap();
        wait::until("clients pause", || held.exists());
        let came = body();
        fs::remove_file(hold).unwrap();
        wait::until("clients go on", || !held.exists());
        came
    }

    /// `command`, to be run as a shell does, in a group of processes of its own.
    pub(super) fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("nsenter");
        let home = self.home();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.folder.path().join("bin").display());
        shell.args(["--target", &self.holder.pid().to_string(), "--net", "--mount"]);
        shell.arg(format!("--wdns={}", home.display()));
        shell.args(["bash", "-c", &format!("set -o pipefail\n{command}")]);
        shell.env("PATH", path).env("HOME", &home).env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
        shell.env("NGINX", self._nginx.pid().to_string());
        shell.process_group(0);
        shell
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The files that commands name, and the programs of [`STAND_INS`].
    fn lay_out(&self) {
        let (home, bin) = (self.home(), self.folder.path().join("bin"));
        fs::create_dir_all(home.join("target/release")).unwrap();
        fs::create_dir(&bin).unwrap();
        symlink(AGENT, bin.join("capture-agent")).unwrap();
        symlink(AGENT, home.join("target/release/capture-agent")).unwrap();
        for folder in ["examples", "docs", "dist"] {
            symlink(fs::canonicalize(root()).unwrap().join(folder), home.join(folder)).unwrap();
        }
        for (name, script, _why) in STAND_INS {
            let file = bin.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::copy(root().join("examples/capture.pcap"), home.join("capture.pcap")).unwrap();
        run(&mut self.shell(
            "for name in capture 1 2; do \
             capture-agent read capture.pcap --quiet --output text:/dev/null --record $name.pcapng || exit; \
             done; gzip 2.pcapng; echo GET / > README.txt",
        ));
    }
}

fn shop(lab: &Lab, folder: &Path) -> Nginx {
    let files = folder.join("shop");
    let content: [(&str, Vec<u8>); 5] = [
        ("index.html", b"<!doctype html><title>Shop</title><h1>Shop</h1>\n".to_vec()),
        (
            "api/cart.json",
            b"{\"items\":[{\"name\":\"lamp\",\"price\":25}],\"total\":25}\n".to_vec(),
        ),
        ("img/logo.png", [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 600]].concat()),
        ("song.mp3", [b"ID3\x04\0\0\0\0\0\0".as_slice(), &[0x55; 3000]].concat()),
        ("report.csv", b"2026-11-22,lamp,25\n".repeat(2000)),
    ];
    for (name, content) in content {
        let path = files.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    // nginx reads its files as its own user would.
    for at in [folder, &files, &files.join("api"), &files.join("img")] {
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let servers = SHOP.replace("FILES", files.to_str().unwrap());
    let nginx = Nginx::start_with_servers(&lab.server, &servers);
    assert!(lab.server.ip(&format!("link show {WIRE}")).contains("UP"));
    nginx
}
