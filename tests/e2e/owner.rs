//! Whose socket the local end of an exchange is: its control group, container and process; `null`
//! where that can't be known, and never somebody else.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::cgroup::Cgroup;
use crate::support::client::Connection;
use crate::support::fetch::fetch;
use crate::support::lab::{Family, Lab, Namespace};
use crate::support::live::{AGENT, Agent, objects};
use crate::support::nginx::Nginx;
use crate::support::process::Process;
use crate::support::wait;

const CONTAINER: &str = "4f5b2b1c9a3e6d7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";

/// The agent in the server's namespace, with `/sys` in sight as on a host: `ip netns exec` puts
/// another one over it.
#[track_caller]
fn agent(namespace: &Namespace, arguments: &str) -> Agent {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).args([AGENT, "run", "--format", "jsonl"]);
    command.args(arguments.split_whitespace());
    Agent::started(Process::start(&mut command))
}

/// What the agent tells of who an exchange's local end is.
fn owner(exchange: &Value) -> Value {
    let of = |name: &str| exchange[name].clone();
    json!([of("local"), of("cgroup"), of("container"), of("process")])
}

fn owners(exchanges: &[Value]) -> Vec<Value> {
    exchanges.iter().map(owner).collect()
}

/// A Python server of one process on port 80, which listens when this returns.
#[track_caller]
fn python(lab: &Lab, cgroup: &Cgroup) -> Process {
    const SERVER: &str = "
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers()
        self.wfile.write(b'ok')
    def log_message(self, *args): pass
server = http.server.HTTPServer(('0.0.0.0', 80), Handler)
print('listens', flush=True)
server.serve_forever()";
    let mut command = cgroup.command(&lab.server, "python3");
    let mut python = Process::start(command.args(["-c", SERVER]));
    wait::until("python listens", || {
        assert!(!python.has_ended(), "python: {}", python.stderr());
        !python.stdout().is_empty()
    });
    python
}

#[test]
fn nginx_is_named_by_worker_and_control_group() {
    let (cgroup, lab) = (Cgroup::new("/nginx.service"), Lab::new());
    let nginx = Nginx::start_by(&mut cgroup.command(&lab.server, "nginx"));
    nginx.serve("page", b"a page");
    for hook in ["--iface eth0", "--iface eth0 --hook xdp"] {
        let agent = agent(&lab.server, hook);
        fetch(&lab.client, &Lab::url(Family::V4, "/page"), "");
        fetch(&lab.client, &Lab::url(Family::V6, "/page"), "");
        let exchanges = agent.stop().objects("exchange");

        let expected = json!(["server", cgroup.path, null, {"pid": nginx.pid(), "name": "nginx"}]);
        assert_eq!(owners(&exchanges), [expected.clone(), expected], "{hook}");
    }
}

#[test]
fn of_several_workers_it_is_the_one_that_holds_the_connection() {
    let (cgroup, lab) = (Cgroup::new(""), Lab::new());
    let nginx = Nginx::start_with_workers(&mut cgroup.command(&lab.server, "nginx"), 3);
    nginx.serve("page", b"a page");
    let agent = agent(&lab.server, "--iface eth0");
    let mut connection = Connection::open(&lab, Family::V4);
    // The first answer may come before the kernel was asked; the name is known all the same.
    let told = wait::poll(|| {
        connection.get("/page", b"a page");
        let exchanges = objects(&agent.stdout(), "exchange");
        assert!(exchanges.iter().all(|it| it["process"]["name"] == "nginx"), "{exchanges:?}");
        exchanges.last()?["process"]["pid"].as_u64()
    });
    let pid = u32::try_from(told.expect("the worker is told")).unwrap();
    assert!(nginx.workers().contains(&pid), "{pid} is none of {:?}", nginx.workers());
    assert!(holds_a_connection(pid), "{pid} has no connection to a client");
    agent.stop();
}

/// Whether a process has an established connection, by what `ss` says.
fn holds_a_connection(pid: u32) -> bool {
    let namespace = format!("/proc/{pid}/ns/net");
    let output = Command::new("nsenter")
        .args([&format!("--net={namespace}"), "ss", "-Htnp", "state", "established"])
        .output()
        .expect("ss starts");
    String::from_utf8_lossy(&output.stdout).contains(&format!("pid={pid},"))
}

#[test]
fn on_loopback_it_is_the_server_in_its_container() {
    let cgroup = Cgroup::new(&format!("/docker/{CONTAINER}"));
    let lab = Lab::new();
    let python = python(&lab, &cgroup);
    let agent = agent(&lab.server, "--iface lo --events exchange,flow");
    fetch(&lab.server, "http://127.0.0.1/", "");
    let ended = agent.stop();

    let process = json!({"pid": python.pid(), "name": name_of(python.pid())});
    let expected = json!(["server", cgroup.path, CONTAINER, process]);
    assert_eq!(owners(&ended.objects("exchange")), std::slice::from_ref(&expected));
    assert_eq!(owners(&ended.objects("flow")), [expected]);
}

fn name_of(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("process is there");
    name.trim_end().to_owned()
}

#[test]
fn a_client_of_the_host_is_named_where_the_server_is_elsewhere() {
    let (cgroup, lab) = (Cgroup::new(""), Lab::new());
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", b"a page");
    // What comes in by XDP tells nothing of who sent it, as what comes from another host does.
    let agent = agent(&lab.client, "--iface eth0 --hook xdp");
    let url = Lab::url(Family::V4, "/page");
    // Until it is known: an exchange does not wait for long while the machine is busy.
    wait::until("the client is named", || {
        let mut curl = cgroup.command(&lab.client, "curl");
        // Slowly, so that it is still there when the kernel is asked.
        let curl = Process::start(curl.args(["--silent", "--limit-rate", "10", &url]));
        let pid = curl.pid();
        let seen = objects(&agent.stdout(), "exchange").len();
        assert_eq!(curl.wait().stdout, b"a page");
        wait::until("it is captured", || objects(&agent.stdout(), "exchange").len() > seen);
        let exchanges = objects(&agent.stdout(), "exchange");
        let exchange = exchanges.last().expect("there is one");
        assert_eq!(exchange["local"], "client");
        let process = &exchange["process"];
        assert!(process.is_null() || *process == json!({"pid": pid, "name": "curl"}), "{process}");
        let cgroup = json!(cgroup.path);
        assert!(exchange["cgroup"].is_null() || exchange["cgroup"] == cgroup, "{exchange}");
        exchange["cgroup"] == cgroup
    });
    agent.stop();
}

#[test]
fn a_server_that_took_over_is_not_taken_for_the_one_before() {
    let (first_group, second_group) = (Cgroup::new("/first"), Cgroup::new("/second"));
    let lab = Lab::new();
    let agent = agent(&lab.server, "--iface eth0");
    let url = Lab::url(Family::V4, "/");
    let mut pids = Vec::new();
    for cgroup in [&first_group, &second_group] {
        let python = python(&lab, cgroup);
        pids.push(python.pid());
        fetch(&lab.client, &url, "");
        python.signal(Signal::KILL);
        python.wait();
    }
    let exchanges = agent.stop().objects("exchange");

    assert_eq!(exchanges.len(), 2);
    for ((exchange, pid), cgroup) in exchanges.iter().zip(pids).zip([first_group, second_group]) {
        assert_eq!(
            (&exchange["local"], &exchange["cgroup"]),
            (&json!("server"), &json!(cgroup.path))
        );
        let told = &exchange["process"]["pid"];
        assert!(told.is_null() || *told == pid, "{told}, not {pid}");
    }
}

#[test]
fn nothing_is_looked_up_where_that_is_not_wanted() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", b"a page");
    let agent = agent(&lab.server, "--iface eth0 --no-owner");
    fetch(&lab.client, &Lab::url(Family::V4, "/page"), "");
    let exchanges = agent.stop().objects("exchange");
    assert_eq!(owners(&exchanges), [json!([null, null, null, null])]);
}

#[test]
fn sockets_are_looked_for_in_the_namespace_of_the_capture() {
    let (cgroup, lab) = (Cgroup::new(""), Lab::new());
    let nginx = Nginx::start_by(&mut cgroup.command(&lab.server, "nginx"));
    nginx.serve("page", b"a page");
    let arguments = format!("run --format jsonl --iface lo --netns {}", lab.server);
    let mut command = Command::new(AGENT);
    let agent = Agent::started(Process::start(command.args(arguments.split_whitespace())));
    fetch(&lab.server, "http://127.0.0.1/page", "");
    let exchanges = agent.stop().objects("exchange");

    let expected = json!(["server", cgroup.path, null, {"pid": nginx.pid(), "name": "nginx"}]);
    assert_eq!(owners(&exchanges), [expected]);
}
