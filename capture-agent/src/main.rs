//! The command: parse, run, exit code.

mod capture;
mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => capture::live(args),
        Command::Read(args) => capture::files(args),
        Command::Flows(args) => capture::flows(args),
        Command::Follow(args) => capture::follow(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capture-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
