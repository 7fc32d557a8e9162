//! A snapshot as text: OpenMetrics 1.0, and the format 0.0.4 that Prometheus had before it.
//!
//! Follows <https://prometheus.io/docs/specs/om/open_metrics_spec/> and
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>. The crate writes the former alone;
//! the latter differs in what it says of a family before its samples.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::Snapshot;
use super::families::{self, Families};
use super::process::Process;

/// What all names begin with, but for those of the process.
const PREFIX: &str = "capture";

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// The media type to send it as.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Debug)]
struct Collected(Snapshot);

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families::write(&self.0, &mut Families::new(encoder))
    }
}

#[derive(Debug)]
struct Taken(Process);

impl Collector for Taken {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families::process::write(&self.0, &mut Families::new(encoder))
    }
}

/// A snapshot in a format.
///
/// # Errors
/// None in truth: it is written to memory.
pub fn encode(snapshot: Snapshot, exposition: Exposition) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Collected(snapshot)));
    let mut text = String::new();
    text::encode_registry(&mut text, &registry)?;
    if let Some(process) = Process::this() {
        let mut registry = Registry::with_prefix("process");
        registry.register_collector(Box::new(Taken(process)));
        text::encode_registry(&mut text, &registry)?;
    }
    text::encode_eof(&mut text)?;
    Ok(match exposition {
        Exposition::OpenMetrics => text,
        Exposition::Text => plain(&text),
    })
}

/// OpenMetrics as the format 0.0.4. There a counter is called what its samples are, and so is an info,
/// which is a gauge; there are no units, and no mark of the end.
fn plain(open: &str) -> String {
    let mut plain = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), text) => help = Some((name, text)),
            (Some("#"), Some("TYPE"), Some(name), kind) => {
                let (suffix, kind) = match kind.unwrap_or_default() {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some((_, text)) = help.take().filter(|(helped, _)| *helped == name) {
                    let text = text.unwrap_or_default();
                    plain.extend(["# HELP ", name, suffix, " ", text, "\n"]);
                }
                plain.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => plain.extend([line, "\n"]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_infos_are_called_what_their_samples_are() {
        let open = "# HELP a_bytes Some of them.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
            a_bytes_total{x=\"# TYPE\"} 1\n# HELP b What.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
            # HELP c_seconds How long.\n# TYPE c_seconds histogram\nc_seconds_sum 0.5\n# EOF\n";
        let expected = "# HELP a_bytes_total Some of them.\n# TYPE a_bytes_total counter\n\
            a_bytes_total{x=\"# TYPE\"} 1\n# HELP b_info What.\n# TYPE b_info gauge\n\
            b_info{v=\"1\"} 1\n# HELP c_seconds How long.\n# TYPE c_seconds histogram\n\
            c_seconds_sum 0.5\n";
        assert_eq!(plain(open), expected);
    }
}
