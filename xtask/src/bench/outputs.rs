//! `cargo xtask bench outputs`: what each output costs, beside a run that writes JSON Lines without
//! bodies.
//!
//! All take turns over the same capture in the page cache, with one thread. What each has written is
//! counted every time, and held to the bare run's: an output that leaves something out is no figure.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::folder::Folder;
use super::measure::{Stdout, cost};
use super::reader::{CPU, OURS, Reader, WALL, clear};
use super::report::{Report, digits};
use super::{facts, interrupt, load};
use crate::traffic::{self, Making};

const BARE: &str = "JSON Lines, no bodies";
const AGAIN: &str = "the same again";
const SLOW: &str = "response.status >= 400 || timing.total_us > 50000";
const LIKE: &str = r#"request.url.matches("[0-9]{2}$")"#;
/// Counts what comes, by status.
const COUNTS: &str = "local by_status, all = {}, 0
function exchange(e)
  local status = e.response and e.response.status or 0
  by_status[status] = (by_status[status] or 0) + 1
  all = all + 1
end
function finished() print(all .. ' exchanges') end
";

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(3..))]
    rounds: u32,
    /// A capture that `cargo xtask traffic` has made, instead of one that is made now
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bytes", "exchanges", "seed"])]
    capture: Option<PathBuf>,
    /// Where captures and outputs go: thrice the size of the capture
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Print the figures, and don't keep them under docs/bench
    #[arg(long)]
    dry: bool,
    #[command(flatten)]
    making: Making,
}

/// An output that is measured, and where it is seen whether it has everything.
struct Measured {
    reader: Reader,
    proof: Proof,
    /// Most bytes that it wrote.
    written: u64,
}

/// Where an output shows how much it has, and of what.
#[derive(Clone, Copy)]
enum Proof {
    /// Lines of a file that have this in them, one for each of these.
    Lines(&'static str, &'static str, What),
    /// A capture file that is read again.
    Capture(&'static str),
    /// What was said on standard output.
    Said,
}

#[derive(Clone, Copy)]
enum What {
    Exchanges,
    Bodies,
    Slow,
    Like,
}

/// How much there must be, by the bare run.
#[derive(Default)]
struct Expected {
    exchanges: u64,
    bodies: u64,
    slow: u64,
    like: u64,
}

fn measured(rounds: u32, script: &'static str) -> Vec<Measured> {
    use What::{Bodies, Exchanges, Like, Slow};
    let ours = |name, proof, more: &[&'static str]| {
        let common = [OURS, "read", "FILE", "--quiet", "--threads=1"];
        let words = common.into_iter().chain(more.iter().copied()).collect();
        let speaks = matches!(proof, Proof::Said);
        let reader = Reader { name, words, speaks, rounds, costs: Vec::new() };
        Measured { reader, proof, written: 0 }
    };
    let lines = |what| Proof::Lines("out.jsonl", r#"{"type":"exchange""#, what);
    let bodies = "--bodies=32MiB";
    vec![
        ours(BARE, lines(Exchanges), &["--output=OUT.jsonl"]),
        ours(AGAIN, lines(Exchanges), &["--output=OUT.jsonl"]),
        ours("`--where`, a comparison", lines(Slow), &["--where", SLOW, "--output=OUT.jsonl"]),
        ours("`--where`, a pattern", lines(Like), &["--where", LIKE, "--output=OUT.jsonl"]),
        ours("a Lua script that counts", Proof::Said, &["--script", script]),
        ours("JSON Lines, bodies", lines(Exchanges), &[bodies, "--output=OUT.jsonl"]),
        ours(
            "HAR, no bodies",
            Proof::Lines("out.har", r#""startedDateTime":"#, Exchanges),
            &["--output=OUT.har"],
        ),
        ours(
            "HAR, bodies",
            Proof::Lines("out.har", r#""startedDateTime":"#, Exchanges),
            &[bodies, "--output=OUT.har"],
        ),
        ours("pcapng, bodies", Proof::Capture("out.pcapng"), &[bodies, "--output=OUT.pcapng"]),
        ours(
            "payload files",
            Proof::Lines("bodies/index.jsonl", r#""sha256":"#, Bodies),
            &["--save-bodies", "DIR", "--output=OUT.jsonl"],
        ),
        ours(
            "every segment (`--record`)",
            Proof::Capture("out.pcapng"),
            &["--record=OUT.pcapng", "--output=OUT.jsonl"],
        ),
    ]
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    let folder = Folder::new(&options.folder)?;
    let agent = folder.agent()?;
    let facts = facts()?;
    let capture = match &options.capture {
        Some(capture) => capture.clone(),
        None => {
            let capture = folder.path().join("traffic.pcap");
            traffic::make(&capture, &traffic::truth_of(&capture), &options.making)?;
            capture
        }
    };
    let script = folder.path().join("counts.lua");
    fs::write(&script, COUNTS)?;
    // As long as the program: there are few of them.
    let script = String::leak(script.display().to_string());
    let mut measured = measured(options.rounds, script);
    let outputs = folder.path().join("outputs");
    let mut expected = None;
    for round in 0..options.rounds {
        cost(Command::new("cat").arg(&capture), &Stdout::Nowhere)?;
        for Measured { reader, proof, written } in &mut measured {
            interrupt::check()?;
            eprintln!("bench: round {} of {}: {}", round + 1, options.rounds, reader.name);
            clear(&outputs)?;
            reader.costs.push(reader.run(&agent, &capture, &outputs)?);
            let expected = match &expected {
                Some(expected) => expected,
                None => expected.insert(expect(&outputs.join("out.jsonl"))?),
            };
            prove(*proof, &agent, &outputs, expected)
                .with_context(|| format!("what '{}' has written", reader.name))?;
            *written = size(&outputs)?;
        }
    }
    report(options, facts, &capture, &measured)
}

/// Counts what the bare run has written.
fn expect(lines: &Path) -> Result<Expected> {
    let mut expected = Expected::default();
    for line in BufReader::new(File::open(lines)?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_u64);
        expected.exchanges += 1;
        let has_body = |side| number(&format!("/{side}/body/wire_bytes")) > Some(0);
        expected.bodies += u64::from(has_body("request")) + u64::from(has_body("response"));
        let is_slow = number("/timing/total_us") > Some(50_000);
        expected.slow += u64::from(number("/response/status") >= Some(400) || is_slow);
        let url = line.pointer("/request/url").and_then(Value::as_str).unwrap_or_default();
        let mut last = url.bytes().rev();
        let has_two_digits = (0..2).all(|_| last.next().is_some_and(|byte| byte.is_ascii_digit()));
        expected.like += u64::from(has_two_digits);
    }
    let Expected { exchanges, bodies, slow, like } = expected;
    ensure!(
        [bodies, slow, like].iter().all(|part| *part > 0) && slow < exchanges && like < exchanges,
        "a capture of which nothing can be told: {exchanges} exchanges, {bodies} bodies, {slow} \
         slow, {like} alike"
    );
    Ok(expected)
}

fn prove(proof: Proof, agent: &Path, outputs: &Path, expected: &Expected) -> Result<()> {
    let (found, wanted) = match proof {
        Proof::Lines(file, mark, what) => {
            let wanted = match what {
                What::Exchanges => expected.exchanges,
                What::Bodies => expected.bodies,
                What::Slow => expected.slow,
                What::Like => expected.like,
            };
            (count(&outputs.join(file), mark)?, wanted)
        }
        Proof::Capture(file) => {
            let again = outputs.join("again.jsonl");
            let mut read = Command::new(agent);
            read.arg("read").arg(outputs.join(file)).args(["--quiet", "--output"]).arg(&again);
            cost(&mut read, &Stdout::Nowhere)?;
            let found = count(&again, r#"{"type":"exchange""#)?;
            fs::remove_file(again)?;
            (found, expected.exchanges)
        }
        Proof::Said => {
            let said = fs::read_to_string(outputs.join("said"))?;
            let number = said.split(' ').next().and_then(|number| number.parse().ok());
            (number.context("it said no number")?, expected.exchanges)
        }
    };
    if found != wanted {
        bail!("{found} of {wanted} are there");
    }
    Ok(())
}

fn count(file: &Path, mark: &str) -> Result<u64> {
    let open = File::open(file).with_context(|| format!("no {}", file.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, open);
    let (mut line, mut count) = (Vec::new(), 0);
    while lines.read_until(b'\n', &mut line)? > 0 {
        let head = line.get(..line.len().min(4096)).unwrap_or_default();
        count += u64::from(head.windows(mark.len()).any(|part| part == mark.as_bytes()));
        line.clear();
    }
    Ok(count)
}

/// Bytes of all files in a folder and those in it.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let known = entry.metadata()?;
        sum += if known.is_dir() { size(&entry.path())? } else { known.len() };
    }
    Ok(sum)
}

fn report(
    options: &Options,
    mut facts: super::Facts,
    capture: &Path,
    measured: &[Measured],
) -> Result<()> {
    let size = fs::metadata(capture)?.len() as f64 / 1e9;
    let exchanges = traffic::count(&traffic::truth_of(capture))?;
    facts.push(("capture".to_owned(), format!("{size:.2} GB, {exchanges} exchanges, page cache")));
    facts.push(("load".to_owned(), load()?));
    let mut report = Report::new("outputs", "What each output costs", &facts);
    report.paragraph(
        "`cargo xtask bench outputs`. Medians; ratios are to the bare run of the same round, the \
         first row. Each output had every exchange, body or match that the bare run tells of; what \
         is a capture file was read again for that.",
    );
    let [bare, again, ..] = measured else { bail!("nothing was measured") };
    let row = |Measured { reader, written, .. }: &Measured| {
        let more = 1e6 * (reader.cpu() - bare.reader.cpu()) / exchanges as f64;
        vec![
            reader.name.to_owned(),
            digits(reader.wall()),
            digits(reader.times(&bare.reader, WALL)),
            digits(reader.cpu()),
            digits(reader.times(&bare.reader, CPU)),
            digits(more),
            digits(reader.resident_mib()),
            digits(*written as f64 / 1e6),
            reader.line(),
        ]
    };
    let head = [
        "",
        "s",
        "ratio",
        "CPU s",
        "ratio",
        "CPU µs an exchange more",
        "most resident, MiB",
        "written, MB",
        "command",
    ];
    let rows: Vec<_> = measured.iter().map(row).collect();
    report.table(&head, &rows);
    report.paragraph(format_args!(
        "Noise, by the bare run twice in each round: {} % of the time, {} % of the processor time.",
        digits(100.0 * (again.reader.times(&bare.reader, WALL) - 1.0).abs()),
        digits(100.0 * (again.reader.times(&bare.reader, CPU) - 1.0).abs()),
    ));
    report.end(!options.dry)
}
