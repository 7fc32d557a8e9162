//! The command: parse, run, exit code.

// They panic where there is nobody to hear, as where the disk is full that a log goes to: `aside::say`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod capture;
mod cli;

use std::process::ExitCode;

use capture_agent::output::aside;
use capture_agent::output::terminal::Colour;
use capture_agent::script::ScriptError;
use capture_agent::source::live::LiveError;

use cli::{Cli, Command};

/// What clap ends with for arguments that it refuses.
const CALLED_WRONGLY: u8 = 2;

fn main() -> ExitCode {
    // A file that may not grow is an error of that file, as a full disk is, and no reason to die.
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let cli = Cli::of_process();
    Colour::from(cli.color).choose();
    let result = match &cli.command {
        Command::Run(args) => capture::live(args),
        Command::Read(args) => capture::files(args),
        Command::Flows(args) => capture::flows(args),
        Command::Follow(args) => capture::follow(args),
        Command::Config(args) => cli.show(args),
        Command::Completions(args) => Cli::completions(args),
        Command::Man(args) => Cli::man(args),
        Command::Doctor(args) => return capture::doctor(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            aside::say(format_args!("capture-agent: {error:#}"));
            let live = error.downcast_ref::<LiveError>().is_some_and(LiveError::is_misuse);
            let script = error.downcast_ref::<ScriptError>().is_some_and(ScriptError::is_misuse);
            if live || script { CALLED_WRONGLY.into() } else { ExitCode::FAILURE }
        }
    }
}
