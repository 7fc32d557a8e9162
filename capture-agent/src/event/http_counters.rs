//! Exchanges in sum: by status class and method, and how long they took.
//!
//! Follows RFC 9110 sections 9.3 and 15, and RFC 5789. Invariant: there are as many counters as there
//! are classes, methods and bounds, whatever the traffic says; each exchange is in one of them.

use super::Exchange;
use crate::http::Timing;

/// The first digit of the status code of the response that ends an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// 1xx, as where a WebSocket begins.
    Informational,
    /// 2xx
    Successful,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx
    ServerError,
    /// A number that is in none of them.
    Other,
    /// No status line was seen.
    None,
}

impl StatusClass {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Informational,
        Self::Successful,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::Other,
        Self::None,
    ];

    /// Of a status code, if there is one.
    #[must_use]
    pub const fn of(status: Option<u16>) -> Self {
        match status {
            Some(100..=199) => Self::Informational,
            Some(200..=299) => Self::Successful,
            Some(300..=399) => Self::Redirection,
            Some(400..=499) => Self::ClientError,
            Some(500..=599) => Self::ServerError,
            Some(_) => Self::Other,
            None => Self::None,
        }
    }

    /// Its name: `2xx`, `other`, `none`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Successful => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Other => "other",
            Self::None => "none",
        }
    }
}

/// The method of a request, as far as it is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// CONNECT
    Connect,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// PATCH
    Patch,
    /// Any other: clients may invent as many as they like.
    Other,
    /// No request line was seen.
    None,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Connect,
        Self::Options,
        Self::Trace,
        Self::Patch,
        Self::Other,
        Self::None,
    ];

    /// Of a method as it was sent, if one was seen. Case counts.
    #[must_use]
    pub const fn of(method: Option<&[u8]>) -> Self {
        match method {
            Some(b"GET") => Self::Get,
            Some(b"HEAD") => Self::Head,
            Some(b"POST") => Self::Post,
            Some(b"PUT") => Self::Put,
            Some(b"DELETE") => Self::Delete,
            Some(b"CONNECT") => Self::Connect,
            Some(b"OPTIONS") => Self::Options,
            Some(b"TRACE") => Self::Trace,
            Some(b"PATCH") => Self::Patch,
            Some(_) => Self::Other,
            None => Self::None,
        }
    }

    /// Its name: `GET`, `other`, `none`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "other",
            Self::None => "none",
        }
    }
}

/// How many spans of time were how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Those no longer than the bound of the same place and longer than the one before; those longer
    /// than all of them are last.
    buckets: [u64; Histogram::BOUNDS_NS.len() + 1],
    sum_ns: u64,
}

impl Histogram {
    /// The bounds, from a page out of a cache to where clients lose patience.
    pub const BOUNDS_NS: [u64; 17] = [
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
        60_000_000_000,
    ];

    /// Counts a span.
    pub fn add(&mut self, span_ns: u64) {
        let place = Self::BOUNDS_NS.partition_point(|bound| *bound < span_ns);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.sum_ns = self.sum_ns.saturating_add(span_ns);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let Self { buckets, sum_ns } = other;
        self.buckets.iter_mut().zip(buckets).for_each(|(sum, count)| *sum += count);
        self.sum_ns = self.sum_ns.saturating_add(*sum_ns);
    }

    /// Each bound, and how many spans are no longer than it but longer than the one before; last
    /// those that are longer than all, with `None`.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = Self::BOUNDS_NS.into_iter().map(Some).chain([None]);
        bounds.zip(self.buckets)
    }

    /// How many spans there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they are together, in nanoseconds.
    #[must_use]
    pub const fn sum_ns(&self) -> u64 {
        self.sum_ns
    }
}

/// Exchanges that were let through by `--where`, `--content-type` and `--count`, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpCounters {
    /// By status class, and of each by method, in the order of `ALL`.
    exchanges: [[u64; Method::ALL.len()]; StatusClass::ALL.len()],
    /// How long they took, from the first byte of the request to the last one of the response;
    /// without those of which an end was not seen.
    pub total: Histogram,
    /// How long the responses were waited for, likewise.
    pub wait: Histogram,
}

impl HttpCounters {
    /// Counts an exchange.
    pub fn add(&mut self, exchange: &Exchange) {
        let http = &exchange.http;
        let status = http.response.as_ref().and_then(|response| response.head.status());
        let method = http.request.as_ref().map(|request| request.head.method());
        // A request of which only the end was seen has no start line.
        let method = Method::of(method.filter(|method| !method.is_empty()));
        let of_class = self.exchanges.get_mut(StatusClass::of(status) as usize);
        if let Some(count) = of_class.and_then(|counts| counts.get_mut(method as usize)) {
            *count += 1;
        }
        let Timing { wait_ns, total_ns, .. } = http.timing;
        total_ns.into_iter().for_each(|span_ns| self.total.add(span_ns));
        wait_ns.into_iter().for_each(|span_ns| self.wait.add(span_ns));
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let Self { exchanges, total, wait } = other;
        let counts = self.exchanges.as_flattened_mut().iter_mut();
        counts.zip(exchanges.as_flattened()).for_each(|(sum, count)| *sum += count);
        self.total.merge(total);
        self.wait.merge(wait);
    }

    /// So many exchanges, of which nothing is known.
    #[cfg(test)]
    pub(super) const fn of_any(count: u64) -> Self {
        let mut exchanges = [[0; Method::ALL.len()]; StatusClass::ALL.len()];
        exchanges[StatusClass::None as usize][Method::None as usize] = count;
        let none = Histogram { buckets: [0; Histogram::BOUNDS_NS.len() + 1], sum_ns: 0 };
        Self { exchanges, total: none, wait: none }
    }

    /// How many exchanges there are of each class and method, none or more.
    pub fn exchanges(&self) -> impl Iterator<Item = (StatusClass, Method, u64)> {
        StatusClass::ALL.into_iter().zip(&self.exchanges).flat_map(|(class, counts)| {
            Method::ALL.into_iter().zip(counts).map(move |(method, count)| (class, method, *count))
        })
    }

    /// How many there are.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.exchanges.as_flattened().iter().sum()
    }

    /// How many there are of a class.
    #[must_use]
    pub fn of_class(&self, class: StatusClass) -> u64 {
        self.exchanges().filter(|(it, ..)| *it == class).map(|(.., count)| count).sum()
    }

    /// How many there are of a method.
    #[must_use]
    pub fn of_method(&self, method: Method) -> u64 {
        self.exchanges().filter(|(_, it, _)| *it == method).map(|(.., count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_methods_lie_where_they_are_counted() {
        assert!(StatusClass::ALL.into_iter().map(|it| it as usize).eq(0..StatusClass::ALL.len()));
        assert!(Method::ALL.into_iter().map(|it| it as usize).eq(0..Method::ALL.len()));
        for method in Method::ALL {
            let told = Method::of(Some(method.name().as_bytes()));
            let has_own = !matches!(method, Method::Other | Method::None);
            assert_eq!(told, if has_own { method } else { Method::Other });
        }
        let classes =
            [99, 100, 199, 200, 304, 499, 599, 600, 999].map(|it| StatusClass::of(Some(it)).name());
        assert_eq!(classes, ["other", "1xx", "1xx", "2xx", "3xx", "4xx", "5xx", "other", "other"]);
        assert_eq!(StatusClass::of(None).name(), "none");
        assert_eq!(Method::of(Some(b"get")), Method::Other);
    }

    #[test]
    fn a_span_is_in_the_bucket_whose_bound_it_does_not_pass() {
        let mut histogram = Histogram::default();
        for span_ns in [0, 100_000, 100_001, 60_000_000_000, 60_000_000_001, u64::MAX] {
            histogram.add(span_ns);
        }
        let filled: Vec<_> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
        let expected =
            [(Some(100_000), 2), (Some(250_000), 1), (Some(60_000_000_000), 1), (None, 2)];
        assert_eq!(filled, expected);
        assert_eq!((histogram.count(), histogram.sum_ns()), (6, u64::MAX));
        let mut twice = histogram;
        twice.merge(&histogram);
        assert_eq!(twice.count(), 12);
        assert!(Histogram::BOUNDS_NS.is_sorted());
    }
}
