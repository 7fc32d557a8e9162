//! `cargo xtask bench idle`: what the agent costs where there is nothing for it, and what a packet
//! costs in its hooks.
//!
//! The kernel counts runs and time of BPF programs where it is told to (`kernel.bpf_stats_enabled`),
//! and tells them in `fdinfo` of whoever has the program open (bpf_prog_show_fdinfo). What it takes
//! to look at the clock twice is in that time. The setting is put back.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;

use super::beside::Beside;
use super::folder::Folder;
use super::lab::{Lab, SERVER, WIRE};
use super::measure::median;
use super::report::{Bar, Report, digits};
use super::{Facts, facts, interrupt};
use crate::privileges::Privileges;
use crate::setup;

const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// The median of so many is told.
const BATCHES: usize = 7;
const PACKETS: usize = 50_000;
/// Enough of them for as many full segments.
const DOWNLOAD_BYTES: usize = 64 << 20;
const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: shop.example.com\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Length: 2\r\n\r\nhi";

#[derive(Args)]
pub(crate) struct Options {
    /// How long the line is silent
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Where outputs go
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Print the figures, and don't keep them under docs/bench
    #[arg(long)]
    dry: bool,
}

/// As long as this lives, the kernel counts.
struct Counting(String);

impl Counting {
    fn new() -> Result<Self> {
        let before = fs::read_to_string(BPF_STATS).with_context(|| format!("no {BPF_STATS}"))?;
        fs::write(BPF_STATS, "1").with_context(|| format!("can't set {BPF_STATS}"))?;
        Ok(Self(before))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(BPF_STATS, self.0.trim()) {
            eprintln!("bench: can't put back {BPF_STATS}: {error}");
        }
    }
}

/// Runs of a program, and nanoseconds in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Runs {
    count: u64,
    time_ns: u64,
}

/// Those of the programs that a process has open, by the kernel's number of each.
fn runs(pid: i32) -> Result<BTreeMap<u64, Runs>> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo"))?;
    let told = files.flatten().filter_map(|file| fs::read_to_string(file.path()).ok());
    Ok(told.filter_map(|told| parse_runs(&told)).collect())
}

fn parse_runs(fdinfo: &str) -> Option<(u64, Runs)> {
    let number = |name| {
        let value = fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        value?.trim().parse().ok()
    };
    let (count, time_ns) = (number("run_cnt")?, number("run_time_ns")?);
    Some((number("prog_id")?, Runs { count, time_ns }))
}

/// What the packets of one kind cost in the program that saw most of them.
struct Kind {
    what: &'static str,
    most_ns: Option<f64>,
    /// Nanoseconds a packet, of each batch.
    costs: Vec<f64>,
    packets: u64,
}

impl Kind {
    fn measure(
        what: &'static str,
        most_ns: Option<f64>,
        agent: &Beside,
        send: &dyn Fn() -> Result<()>,
    ) -> Result<Self> {
        let mut kind = Self { what, most_ns, costs: Vec::new(), packets: 0 };
        for batch in 0..BATCHES {
            eprintln!("bench: {what}: {} of {BATCHES}", batch + 1);
            interrupt::check()?;
            let before = runs(agent.pid())?;
            send()?;
            let after = runs(agent.pid())?;
            let spent = after.iter().map(|(program, after)| {
                let before = before.get(program).copied().unwrap_or_default();
                let count = after.count - before.count;
                Runs { count, time_ns: after.time_ns - before.time_ns }
            });
            let most =
                spent.max_by_key(|runs| runs.count).context("the agent has no program open")?;
            kind.costs.push(most.time_ns as f64 / most.count as f64);
            kind.packets += most.count;
        }
        Ok(kind)
    }

    fn row(&self) -> Vec<String> {
        let least = self.costs.iter().copied().fold(f64::NAN, f64::min);
        let packets = self.packets.to_string();
        vec![
            self.what.to_owned(),
            digits(median(self.costs.iter().copied())),
            digits(least),
            packets,
        ]
    }
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    setup::peers(&Privileges::own()?)?;
    let folder = Folder::new(&options.folder)?;
    let program = folder.agent()?;
    let facts = facts()?;
    let lab = Lab::new()?;
    // Each segment in a packet of its own, as on a wire.
    for end in [&lab.server, &lab.client] {
        end.ip(&format!("link set {WIRE} gso_max_segs 1"))?;
    }
    let agent = start(&lab, &program, folder.path(), &[])?;
    let silent = silence(&agent, Duration::from_secs(options.seconds))?;
    let counting = Counting::new()?;
    let mut kinds = vec![
        Kind::measure("UDP", Some(100.0), &agent, &|| datagrams(&lab))?,
        Kind::measure("TCP of another port", Some(100.0), &agent, &|| other_port(&lab))?,
        Kind::measure("a request of 60 bytes", Some(500.0), &agent, &|| dialogue(&lab))?,
        Kind::measure("a segment past the budget", None, &agent, &|| body(&lab))?,
    ];
    agent.stop()?;
    let agent = start(&lab, &program, folder.path(), &["--budget", "off"])?;
    let full = "a full segment with its copy (--budget off)";
    kinds.push(Kind::measure(full, None, &agent, &|| body(&lab))?);
    agent.stop()?;
    drop(counting);
    report(options, &facts, silent, &kinds)
}

fn start(lab: &Lab, program: &Path, folder: &Path, more: &[&str]) -> Result<Beside> {
    let mut command = lab.server.command(program);
    command.args(["run", "--iface", WIRE, "--output"]).arg(folder.join("out.jsonl")).args(more);
    Beside::start(&mut command, "capturing on ")
}

/// Processor time of the agent on a silent line, in percent of a core.
fn silence(agent: &Beside, time: Duration) -> Result<f64> {
    eprintln!("bench: silence");
    // Until those who have just met have said all that they have to.
    thread::sleep(Duration::from_secs(3));
    let (cpu, begin) = (agent.cpu()?, Instant::now());
    thread::sleep(time);
    let cpu = agent.cpu()? - cpu;
    Ok(100.0 * cpu.as_secs_f64() / begin.elapsed().as_secs_f64())
}

fn datagrams(lab: &Lab) -> Result<()> {
    // Read by nobody, so that nobody answers.
    let _sink = lab.server.enter(|| Ok(UdpSocket::bind((SERVER, 9))?))?;
    let socket = lab.client.enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    socket.connect((SERVER, 9))?;
    for _ in 0..PACKETS {
        let _ = socket.send(&[7; 100]);
    }
    Ok(())
}

/// Both ends of a connection to this port of the server.
fn connection(lab: &Lab, port: u16) -> Result<(TcpStream, TcpStream)> {
    let listener = lab.server.enter(|| Ok(TcpListener::bind((SERVER, port))?))?;
    let client = lab.client.enter(|| Ok(TcpStream::connect((SERVER, port))?))?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

/// The same dialogue as below, where nobody listens in.
fn other_port(lab: &Lab) -> Result<()> {
    talk(connection(lab, 9_999)?)
}

fn dialogue(lab: &Lab) -> Result<()> {
    talk(connection(lab, 80)?)
}

/// Requests and responses in turns: each segment is in order and brings something.
fn talk((mut client, mut server): (TcpStream, TcpStream)) -> Result<()> {
    let answering = thread::spawn(move || -> std::io::Result<()> {
        let mut request = [0; REQUEST.len()];
        while server.read_exact(&mut request).is_ok() {
            server.write_all(RESPONSE)?;
        }
        Ok(())
    });
    let mut response = [0; RESPONSE.len()];
    for _ in 0..PACKETS / 2 {
        client.write_all(REQUEST)?;
        client.read_exact(&mut response)?;
    }
    drop(client);
    answering.join().ok().context("a thread panicked")??;
    Ok(())
}

/// One response with a long body.
fn body(lab: &Lab) -> Result<()> {
    let (mut client, mut server) = connection(lab, 80)?;
    let sending = thread::spawn(move || -> std::io::Result<()> {
        server.read_exact(&mut [0; REQUEST.len()])?;
        write!(server, "HTTP/1.1 200 OK\r\nContent-Length: {DOWNLOAD_BYTES}\r\n\r\n")?;
        let part = vec![7; 1 << 20];
        (0..DOWNLOAD_BYTES >> 20).try_for_each(|_| server.write_all(&part))
    });
    client.write_all(REQUEST)?;
    std::io::copy(&mut client, &mut std::io::sink())?;
    sending.join().ok().context("a thread panicked")??;
    Ok(())
}

fn report(options: &Options, facts: &Facts, silent: f64, kinds: &[Kind]) -> Result<()> {
    let mut report = Report::new("idle", "Where there is nothing to do", facts);
    report.paragraph(format_args!(
        "`cargo xtask bench idle`. {} s of silence; then {BATCHES} batches of packets of each kind, \
         in the program of the hook that saw most of them. Medians.",
        options.seconds
    ));
    let head = ["a packet in the hook", "ns", "least", "packets"];
    let rows: Vec<_> = kinds.iter().map(Kind::row).collect();
    report.table(&head, &rows);
    let mut bars = vec![Bar::at_most("a core, on a silent interface", silent, 0.2, " %")];
    bars.extend(kinds.iter().filter_map(|kind| {
        let cost = median(kind.costs.iter().copied());
        Some(Bar::at_most(kind.what, cost, kind.most_ns?, " ns"))
    }));
    report.bars(&bars);
    report.end(!options.dry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_of_a_program() {
        let fdinfo = "pos:\t0\nflags:\t02000002\nprog_type:\t3\nprog_jited:\t1\n\
            prog_tag:\t799951f3d09de0c4\nmemlock:\t65536\nprog_id:\t34398\nrun_time_ns:\t4711\n\
            run_cnt:\t17\nrecursion_misses:\t0\n";
        assert_eq!(parse_runs(fdinfo), Some((34_398, Runs { count: 17, time_ns: 4_711 })));
        // A link names the program too, and does not count.
        assert_eq!(parse_runs("link_type:\ttcx\nprog_id:\t34398\n"), None);
    }
}
