//! `completions` and `man`: what shells and man(1) are told of the arguments, made from these
//! themselves.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::help;

/// Where man(1) keeps what is for administrators.
const SECTION: &str = "8";

/// What every page ends with.
const STANDING: &str = ".SH EXIT STATUS
0: fine; 1: it failed while running; 2: it was called wrongly.
.SH ENVIRONMENT
Every option has a variable, as \\fBCAPTURE_AGENT_FLOW_TIMEOUT\\fR for \\fB\\-\\-flow\\-timeout\\fR.
It is stronger than the file of \\fB\\-\\-config\\fR, and weaker than the argument;
\\fBcapture\\-agent config\\fR shows what holds.
.SH SEE ALSO
capture\\-agent(8), capture\\-agent\\-run(8), capture\\-agent\\-read(8), capture\\-agent\\-config(8),
tcpdump(8), pcap\\-filter(7)
";

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
        clap_complete::generate(self.shell, &mut command, &name, &mut script);
        let script = String::from_utf8(script)?;
        let script = if self.shell == Shell::Bash { mended(&script, &name) } else { script };
        say(script.as_bytes())
    }
}

/// For bash the library spells a name with a hyphen in two ways, and so finds no option of a command
/// (https://github.com/clap-rs/clap/issues/6421), and it offers the names of values as if they were
/// values, so that bash does not come to offer files.
fn mended(script: &str, name: &str) -> String {
    let script = script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
    let lines = script.lines().map(|line| match line.trim_start().strip_prefix("opts=\"") {
        Some(words) => {
            let words = words.trim_end_matches('"').split(' ');
            let words = words.filter(|word| !word.starts_with(['<', '[']));
            format!("opts=\"{}\"\n", words.collect::<Vec<_>>().join(" "))
        }
        None => format!("{line}\n"),
    });
    lines.collect()
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
fn page(mut command: Command) -> io::Result<(String, Vec<u8>)> {
    let usage = command.render_usage().to_string();
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let examples = help::examples(if has_commands(&command) { "" } else { command.get_name() });
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    writeln!(page, ".TH {} {SECTION} \"\" \"capture-agent {version}\"", name.to_uppercase())?;
    man.render_name_section(&mut page)?;
    let usage = usage.trim().trim_start_matches("Usage:");
    writeln!(page, ".SH SYNOPSIS\n{}", escaped(usage.trim()))?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands(&command) {
        man.render_subcommands_section(&mut page)?;
    }
    writeln!(page, ".SH EXAMPLES")?;
    for (n, (what, call)) in examples.iter().enumerate() {
        let paragraph = if n > 0 { ".PP\n" } else { "" };
        writeln!(page, "{paragraph}{}\n.PP\n.EX\n{}\n.EE", escaped(what), escaped(call))?;
    }
    page.extend_from_slice(STANDING.as_bytes());
    Ok((format!("{name}.{SECTION}"), page))
}

fn has_commands(command: &Command) -> bool {
    command.get_subcommands().next().is_some()
}

/// Text as man(7) takes it, none of whose lines begins with a dot or an apostrophe.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

/// A reader that has enough is no error.
fn say(text: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write to standard output"),
    }
}
