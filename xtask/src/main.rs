//! What the work on capture-agent needs, a module per verb.
//!
//! The kernel half is not built by the agent's `build.rs` but here, into `bpf/` of the target
//! folder, where `build.rs` finds it. So every verb that builds the agent builds the kernel half
//! first, which costs nothing while that is fresh, and plain `cargo build` never needs a BPF
//! toolchain.

mod bench;
mod dist;
mod fuzz;
mod kernel;
mod lint;
mod privileges;
mod run;
mod setup;
mod test;
mod tool;
mod traffic;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The work on capture-agent")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Set up what is missing, build both halves, and capture live (with sudo where needed)
    Run(run::Options),
    /// Set up what is missing, then format check, clippy and every test there is
    Test(test::Options),
    /// Find or install the compiler and the linker of the kernel half
    Setup,
    /// Set up what is missing and build both halves in release
    Build,
    /// Build both halves in release, and lay out the agent with man pages, completions and a unit
    Dist(dist::Options),
    /// Measure what the project promises, and show each figure beside its bar
    #[command(subcommand)]
    Bench(bench::Benchmark),
    /// Make a capture file with the truth beside it, or hold the agent's output to the truth
    Traffic(traffic::Options),
    /// Format check, clippy, and cargo-deny where it is installed
    Lint,
    /// Run a fuzz target, from the corpus in the repository on
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Run(options) => run::run(&options),
        Verb::Test(options) => test::test(&options),
        Verb::Setup => setup::toolchain(setup::Report::Everything).map(drop),
        Verb::Build => run::build().map(drop),
        Verb::Dist(options) => dist::dist(&options),
        Verb::Bench(benchmark) => bench::bench(&benchmark),
        Verb::Traffic(options) => traffic::traffic(&options),
        Verb::Lint => lint::lint(),
        Verb::Fuzz(options) => fuzz::fuzz(&options),
    };
    finish(outcome)
}

fn finish(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
