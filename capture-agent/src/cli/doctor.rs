//! Arguments of `doctor`.

use clap::{Args, ValueEnum};

use super::PlaceArgs;

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Format of standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: DoctorFormat,
    /// Where a capture would take place.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// A format for what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorFormat {
    /// For people
    Text,
    /// An object a line, for programs
    Jsonl,
}
