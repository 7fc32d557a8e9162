//! What the agent's process takes.

use std::fmt;

use prometheus_client::registry::Unit;

use super::Families;
use crate::metrics::process::Process;

pub(in crate::metrics) fn write(process: &Process, families: &mut Families<'_>) -> fmt::Result {
    let seconds = Some(Unit::Seconds);
    families.seconds("cpu", "Time on CPUs, of all threads.", process.cpu_s)?;
    families.real("start_time", "When it began.", seconds, process.start_s)?;
    let resident = [([], process.resident_bytes)];
    families.gauges("resident_memory", "Memory that it has.", Some(Unit::Bytes), resident)?;
    let all = [([], process.virtual_bytes)];
    families.gauges("virtual_memory", "Address space that it has.", Some(Unit::Bytes), all)?;
    families.gauge("threads", "Its threads.", process.threads)?;
    if let Some(open) = process.open_fds {
        families.gauge("open_fds", "Descriptors that are open.", open)?;
    }
    process.max_fds.map_or(Ok(()), |max| families.gauge("max_fds", "How many may be.", max))
}
