//! `--color`.

use capture_agent::output::terminal::Colour;
use clap::ValueEnum;

/// When there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On terminals
    Auto,
    /// Into pipes too
    Always,
    /// Not at all
    Never,
}

impl From<ColorArg> for Colour {
    fn from(color: ColorArg) -> Self {
        match color {
            ColorArg::Auto => Self::Auto,
            ColorArg::Always => Self::Always,
            ColorArg::Never => Self::Never,
        }
    }
}
