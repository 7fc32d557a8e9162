//! The styles of what is printed for people. [`Screen::styled`](super::Screen::styled) applies them.

use anstyle::AnsiColor;
pub use anstyle::Style;

/// Beside the point.
pub const DIM: Style = Style::new().dimmed();
/// What a line is about; a heading.
pub const BOLD: Style = Style::new().bold();
/// Well.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Elsewhere; names of fields.
pub const CYAN: Style = AnsiColor::Cyan.on_default();
/// Not as it should be; not seen.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Failed.
pub const RED: Style = AnsiColor::Red.on_default();
