//! Arguments.

mod color;
mod doctor;
mod engine;
mod files;
mod filter;
mod help;
mod http;
mod kernel;
mod metrics;
mod output;
mod pages;
mod payload;
mod place;
mod record;
mod script;
mod settings;
mod single;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use capture_agent::output::Format;
use capture_agent::selection::{HostNet, PortSet, Sample};
use capture_agent::source::live::KernelLogLevel;
use clap::{
    ArgAction, Args, Command as ClapCommand, CommandFactory as _, FromArgMatches as _, Parser,
    Subcommand, ValueEnum,
};

pub(crate) use color::ColorArg;
pub(crate) use doctor::{DoctorArgs, DoctorFormat};
pub(crate) use engine::EngineArgs;
pub(crate) use filter::FilterArgs;
pub(crate) use http::HttpArgs;
pub(crate) use kernel::{Budget, KernelArgs};
pub(crate) use metrics::MetricsArgs;
pub(crate) use output::OutputArgs;
pub(crate) use pages::{CompletionsArgs, ManArgs};
pub(crate) use payload::PayloadArgs;
pub(crate) use place::PlaceArgs;
pub(crate) use record::RecordArgs;
pub(crate) use script::ScriptArgs;
pub(crate) use settings::ConfigArgs;
pub(crate) use single::{FlowsArgs, FlowsFormat, FollowArgs, Pick, SideArg, SingleArgs};

/// See every HTTP exchange that crosses an interface, or that a capture file holds.
#[derive(Debug, Parser)]
#[command(name = "capture-agent", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// When there is colour
    ///
    /// auto: on terminals that have it, unless NO_COLOR, CLICOLOR=0 or TERM=dumb says otherwise;
    /// CLICOLOR_FORCE=1 has it elsewhere too. Files never have it.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorArg,
    /// Take options from this file too: TOML, with the names of long options as keys
    ///
    /// Weaker than variables in the environment, named as in CAPTURE_AGENT_FLOW_TIMEOUT, which are
    /// weaker than arguments. CAPTURE_AGENT_CONFIG names the file too. See docs/config.md.
    #[arg(long, global = true, value_name = "FILE", display_order = 1000)]
    config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl CommonArgs {
    /// The format of standard output.
    pub(crate) fn standard_format(&self) -> Format {
        self.format.unwrap_or(FormatArg::Text).into()
    }

    fn check(&self, inputs: &[PathBuf]) -> Result<(), clap::Error> {
        files::check(self, inputs)?;
        self.record.check(&self.outputs)?;
        self.payload.check(self)?;
        self.filter.check(self)
    }
}

impl Cli {
    /// The call of this process, with what a file and the environment add to it. Ends the process
    /// where that is wrong.
    pub(crate) fn of_process() -> Self {
        let call: Vec<_> = std::env::args_os().collect();
        Self::of(&call).unwrap_or_else(|error| error.exit())
    }

    /// The arguments, each with the commands that have it.
    fn described() -> ClapCommand {
        let command = Self::command();
        let global = command.get_arguments().filter(|arg| arg.is_global_set());
        let global: Vec<_> = global.cloned().collect();
        help::dressed(command.mut_subcommands(|command| command.args(&global)))
    }

    fn of(call: &[OsString]) -> Result<Self, clap::Error> {
        let command = Self::described();
        let resolved = settings::resolve(&command, call)?;
        let cli = Self::from_arg_matches(&resolved.matches)
            .map_err(|error| error.format(&mut command.clone()))?;
        cli.check().map_err(|error| resolved.explain(error))?;
        Ok(cli)
    }

    /// Runs `config`. Ends the process where what it shall show is wrong.
    pub(crate) fn show(&self, args: &ConfigArgs) -> anyhow::Result<()> {
        let command = Self::described();
        let outer = self.config.as_deref();
        let resolved = args.resolve(&command, outer).unwrap_or_else(|error| error.exit());
        // A call without what it works on can't be made, but be shown.
        if let Ok(cli) = Self::from_arg_matches(&resolved.matches)
            && let Err(error) = cli.check()
        {
            resolved.explain(error).exit();
        }
        args.show(&command, &resolved).context("can't write the settings")
    }

    /// Runs `completions`.
    pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
        args.write(Self::described())
    }

    /// Runs `man`.
    pub(crate) fn man(args: &ManArgs) -> anyhow::Result<()> {
        args.write(Self::described())
    }

    /// What does not fit together, though each argument by itself is right.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        match &self.command {
            Command::Run(args) => args.common.check(&[]),
            Command::Read(args) => args.common.check(&args.files),
            _ => Ok(()),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Capture live, until Ctrl-C
    Run(RunArgs),
    /// Read capture files: pcap or pcapng, plain, .gz or .zst
    Read(ReadArgs),
    /// List the flows of a capture file, a line each
    ///
    /// Flows are numbered from 0 in the order in which they are first seen, among those that --port
    /// and --host select. A connection between the ends of an earlier one is a flow of its own, and
    /// so is what comes after a silence of --flow-timeout. The time that stands after what became of
    /// a flow is that from its first to its last segment.
    Flows(FlowsArgs),
    /// Write what was said on one flow of a capture file
    ///
    /// As text, lines of the client begin with '>' and those of the server with '<'; other lines are
    /// the agent's own. Control characters are spelt out, secrets are not taken away. Bytes that were
    /// not seen are named in their place, or on standard error with --raw. The file is read no
    /// further than the end of the flow; with --flow to its end, for others between the same ends.
    Follow(FollowArgs),
    /// Show what holds for a call, and where each value comes from
    Config(ConfigArgs),
    /// Write completions for a shell to standard output
    Completions(CompletionsArgs),
    /// Write man pages
    Man(ManArgs),
    /// Look at this host: what a live capture can do here, what is wrong, and what to do about it
    ///
    /// It does what `run` does with the same arguments, up to the first packet: the kernel half is
    /// loaded, attached, and taken off again. Some network cards stop for a moment when XDP comes
    /// and goes in their driver, which is why that is tried with --hook xdp alone. Exit status 0
    /// where `run` would work, 1 where it would not.
    Doctor(DoctorArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Where it captures.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// TCP ports, on either end: numbers and ranges between commas, or 'any'
    #[arg(long, value_name = "LIST", default_value = "80")]
    pub(crate) port: PortSet,
    /// Do not look up the control group, container and process at the local end of flows
    #[arg(long)]
    pub(crate) no_owner: bool,
    /// Show the kernel half's own log on standard error
    #[arg(long, value_name = "LEVEL")]
    pub(crate) kernel_log: Option<KernelLogLevel>,
    /// What both commands have.
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// How the kernel half hands segments over.
    #[command(flatten, next_help_heading = "From the kernel")]
    pub(crate) kernel: KernelArgs,
}

/// Arguments of `read`.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Capture files; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What of them is taken.
    #[command(flatten)]
    pub(crate) taken: TakenArgs,
    /// Threads to work with; what is written is the same for any number [default: 3, or 1 where
    /// there is one core]
    #[arg(long, value_name = "N",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    pub(crate) threads: Option<usize>,
    /// What both commands have.
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Arguments for what of capture files is taken.
#[derive(Clone, Debug, Args)]
pub(crate) struct TakenArgs {
    /// TCP ports, on either end: numbers and ranges between commas, or 'any'
    #[arg(long, value_name = "LIST", default_value = "any")]
    pub(crate) port: PortSet,
    /// Leave out packets with wrong IPv4 header or TCP checksums; those of a capture on the host
    /// that sent them are wrong where the network card fills them in
    #[arg(long)]
    pub(crate) verify_checksums: bool,
}

/// Arguments that `run` and `read` have in common.
#[derive(Clone, Debug, Args)]
pub(crate) struct CommonArgs {
    /// Only TCP from or to these addresses or networks; may be given several times
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) host: Vec<HostNet>,
    /// Only one flow in N, as 1/N: whole flows, the same ones each time
    #[arg(long, value_name = "1/N", default_value = "1/1")]
    pub(crate) sample: Sample,
    /// Format of standard output [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
    /// What is written where.
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
    /// What is recorded.
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// What to write; secrets are not looked for in what WebSockets carry
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "exchange")]
    pub(crate) events: Vec<EventArg>,
    /// Stop after N exchanges; messages of WebSockets do not count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Who watches.
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
    /// With `--events stats`: write the ledger this often too, by packet time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) stats_interval: Option<Duration>,
    /// No summary at the end, and nothing said at the start
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Show heads in text; twice: bodies too
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Which exchanges are shown.
    #[command(flatten, next_help_heading = "Filters")]
    pub(crate) filter: FilterArgs,
    /// Payload files.
    #[command(flatten)]
    pub(crate) payload: PayloadArgs,
    /// What is kept of HTTP.
    #[command(flatten, next_help_heading = "HTTP")]
    pub(crate) http: HttpArgs,
    /// A script.
    #[command(flatten, next_help_heading = "Scripts")]
    pub(crate) script: ScriptArgs,
    /// How flows and streams are put together.
    #[command(flatten, next_help_heading = "Flows and streams")]
    pub(crate) engine: EngineArgs,
}

/// A format by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// A line an exchange, for people
    Text,
    /// An object a line, for programs
    Jsonl,
    /// A log as browsers keep it (HAR 1.2), of exchanges alone
    Har,
    /// Frames that carry the exchanges, rebuilt, for Wireshark
    Pcapng,
    /// Each request as a curl command that sends it again
    Curl,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Text => Self::Text,
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Har => Self::Har,
            FormatArg::Pcapng => Self::Pcapng,
            FormatArg::Curl => Self::Curl,
        }
    }
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventArg {
    /// Each exchange when it is over
    Exchange,
    /// Each message of a WebSocket when it is over, with its content where --bodies keeps it
    #[value(name = "websocket")]
    WebSocket,
    /// Each flow when it is gone
    Flow,
    /// The ledger at the end
    Stats,
}

/// Seconds, or a number with a unit: `300`, `5m`, `1.5s`, `200ms`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let friendly = || Duration::try_from(text.parse::<jiff::SignedDuration>().ok()?).ok();
    seconds
        .or_else(friendly)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("'{text}' is not a time like 300s, 5m or 200ms"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        assert_eq!(parse_duration("300"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("200ms"), Ok(Duration::from_millis(200)));
        for bad in ["", "0", "-5s", "soon", "5 parsecs"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
