//! Colour on a terminal: SGR parameters (ECMA-48 section 8.3.117).

use std::io::{self, IsTerminal};

pub(super) const DIM: &str = "2";
pub(super) const BOLD: &str = "1";
pub(super) const GREEN: &str = "32";
pub(super) const CYAN: &str = "36";
pub(super) const YELLOW: &str = "33";
pub(super) const RED: &str = "31";

/// Whether standard output is in colour: on a terminal, unless `NO_COLOR` says otherwise.
pub(super) fn is_wanted() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Text in this style, if in colour.
pub(super) fn styled(colour: bool, style: &str, text: &str) -> String {
    if colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}
