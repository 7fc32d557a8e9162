//! Which format a scraper wants, by the Accept field of its request.
//!
//! Follows RFC 9110 section 12.5.1. What asks for nothing that is known gets the plain format: all
//! scrapers read it.

use super::Exposition;

/// The format to answer in, where these are the values of Accept.
pub(super) fn choose<'a>(accepts: impl Iterator<Item = &'a str>) -> Exposition {
    let (mut plain, mut open) = (0, 0);
    for range in accepts.flat_map(|accept| accept.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let (mut weight, mut version) = (1_000, None);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match key.trim() {
                "q" => weight = thousandths(value),
                "version" => version = Some(value),
                _ => {}
            }
        }
        if name.eq_ignore_ascii_case("application/openmetrics-text") {
            // What reads a later 1.x reads 1.0 as well.
            let is_ours = version.is_none_or(|version| version == "1" || version.starts_with("1."));
            open = open.max(if is_ours { weight } else { 0 });
        } else if ["text/plain", "text/*", "*/*"].iter().any(|it| name.eq_ignore_ascii_case(it)) {
            plain = plain.max(weight);
        }
    }
    if open > 0 && open >= plain { Exposition::OpenMetrics } else { Exposition::Text }
}

/// A weight in thousandths; what is no weight counts as none.
fn thousandths(weight: &str) -> u32 {
    let weight: f64 = weight.parse().unwrap_or(0.0);
    // From 0 to 1000: what is beyond that, or no number, saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
    let thousandths = (weight.clamp(0.0, 1.0) * 1_000.0) as u32;
    thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_asks_for() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/vnd.google.protobuf;proto=x;encoding=delimited;q=0.6,\
            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let open = [
            prometheus_2,
            prometheus_3,
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"",
        ];
        for accept in open {
            assert_eq!(choose([accept].into_iter()), Exposition::OpenMetrics, "{accept}");
        }
        let plain = [
            "",
            "*/*",
            "text/html",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.5,text/plain;q=0.6",
            "application/openmetrics-text;q=NaN",
            ";;;,,q=",
        ];
        for accept in plain {
            assert_eq!(choose([accept].into_iter()), Exposition::Text, "{accept}");
        }
        let both = ["text/plain;q=0.4", "application/openmetrics-text;q=0.5"];
        assert_eq!(choose(both.into_iter()), Exposition::OpenMetrics);
        assert_eq!(choose(std::iter::empty()), Exposition::Text);
    }
}
