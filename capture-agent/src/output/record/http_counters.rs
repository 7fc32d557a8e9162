//! Exchanges in sum as an object of JSON Lines.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Histogram, HttpCounters, Method, StatusClass};

/// Exchanges that `--where`, `--content-type` and `--count` let through, shown or not: each is in one
/// of `status` and in one of `method`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HttpRecord {
    /// By status class: `1xx` to `5xx`, `other`, and `none` where no status line was seen.
    status: BTreeMap<&'static str, u64>,
    /// By method: those of RFC 9110 and 5789, `other`, and `none` where no request line was seen.
    method: BTreeMap<&'static str, u64>,
    /// How long they took, as `timing.total_us`; without those of which that is not known.
    total: HistogramRecord,
    /// How long the responses were waited for, as `timing.wait_us`, likewise.
    wait: HistogramRecord,
}

/// How many spans of time were how long.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HistogramRecord {
    /// All of them.
    count: u64,
    /// How long they are together.
    sum_us: u64,
    /// In ascending order.
    buckets: Vec<BucketRecord>,
}

/// Spans of time that are no longer than `le_us`, and longer than that of the bucket before.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BucketRecord {
    /// `null` for those that are longer than all bounds.
    le_us: Option<u64>,
    count: u64,
}

impl From<&HttpCounters> for HttpRecord {
    fn from(http: &HttpCounters) -> Self {
        let status = |class: StatusClass| (class.name(), http.of_class(class));
        let method = |method: Method| (method.name(), http.of_method(method));
        Self {
            status: StatusClass::ALL.into_iter().map(status).collect(),
            method: Method::ALL.into_iter().map(method).collect(),
            total: HistogramRecord::from(&http.total),
            wait: HistogramRecord::from(&http.wait),
        }
    }
}

impl From<&Histogram> for HistogramRecord {
    fn from(histogram: &Histogram) -> Self {
        let bucket = |(bound_ns, count): (Option<u64>, u64)| BucketRecord {
            le_us: bound_ns.map(|bound_ns| bound_ns / 1_000),
            count,
        };
        Self {
            count: histogram.count(),
            sum_us: histogram.sum_ns() / 1_000,
            buckets: histogram.buckets().map(bucket).collect(),
        }
    }
}
