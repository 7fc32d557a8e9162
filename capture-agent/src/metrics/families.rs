//! The ledger as metrics: what each is called, what it says, and its labels.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>. Invariant: what `Stats` holds to add up
//! adds up here, so that an operator can check it too; `docs/metrics.md` says how.

mod exchanges;
mod flows;
mod outputs;
mod packets;
pub(super) mod process;

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Snapshot;
use crate::event::Histogram;

/// The labels of one series, each a name and a value.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Writes all there is.
pub(super) fn write(snapshot: &Snapshot, families: &mut Families<'_>) -> fmt::Result {
    families.info("build", "The agent.", &[("version", env!("CARGO_PKG_VERSION"))])?;
    let is_well = u64::from(snapshot.troubles.is_empty());
    families.gauge("healthy", "Whether all that was asked for is done: 1, or 0.", is_well)?;
    let age = snapshot.drawn_up.elapsed().as_secs_f64();
    families.real("ledger_age", "How old these figures are.", Some(Unit::Seconds), age)?;
    let time_s = snapshot.stats.time.as_nanos() as f64 / 1e9;
    let help = "Until when packets were taken, by packet time.";
    families.real("packet_timestamp", help, Some(Unit::Seconds), time_s)?;
    packets::write(snapshot, families)?;
    flows::write(&snapshot.stats, families)?;
    exchanges::write(&snapshot.stats, families)?;
    outputs::write(snapshot, families)
}

/// Writes families of metrics.
pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl<'a> Families<'a> {
    pub(super) const fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    fn info<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &Labels<'_, N>,
    ) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn bytes(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let unit = Some(&Unit::Bytes);
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    /// A counter for each set of labels; nothing where there is none.
    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        series: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family =
            self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, count) in series {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    /// A counter of time.
    fn seconds(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&seconds, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn real(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// A gauge for each set of labels; nothing where there is none.
    fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        series: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        let seconds = |ns: u64| ns as f64 / 1e9;
        let bucket = |(bound_ns, count): (Option<u64>, u64)| {
            (bound_ns.map_or(f64::INFINITY, seconds), count)
        };
        let buckets: Vec<_> = histogram.buckets().map(bucket).collect();
        let (sum, count) = (seconds(histogram.sum_ns()), histogram.count());
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
