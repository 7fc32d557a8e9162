//! `completions` and `man`: what shells and man(1) are told of the arguments, made from these
//! themselves.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to read them
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for a page each of the agent and of its commands, which is made if it is not there
    /// [default: the agent's page alone, to standard output]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl CompletionsArgs {
    /// Writes the completions to standard output.
    pub(super) fn write(&self, mut command: Command) -> anyhow::Result<()> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        say(&script)
    }
}

impl ManArgs {
    /// Writes the pages.
    pub(super) fn write(&self, command: Command) -> anyhow::Result<()> {
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let Some(folder) = &self.folder else { return say(&page(command)?.1) };
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        for subcommand in command.get_subcommands().cloned() {
            write(folder, subcommand)?;
        }
        write(folder, command)
    }
}

fn write(folder: &Path, command: Command) -> anyhow::Result<()> {
    let (name, page) = page(command)?;
    let path = folder.join(name);
    fs::write(&path, page).with_context(|| format!("can't write {}", path.display()))
}

/// A page and the name of its file. What the agent does is an administrator's, hence section 8.
fn page(command: Command) -> io::Result<(String, Vec<u8>)> {
    let man = Man::new(command).section("8").manual("capture-agent");
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok((man.get_filename(), page))
}

/// A reader that has enough is no error.
fn say(text: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write to standard output"),
    }
}
