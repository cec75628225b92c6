//! Latencies of one side, in a histogram of bounded size.

use hdrhistogram::Histogram;

use super::document;

/// The highest latency that the histogram resolves, in µs: an hour.
const LONGEST: u64 = 3_600_000_000;
/// Significant digits: latencies within 0.1% of each other count as equal.
const DIGITS: u8 = 3;

pub(super) struct Latencies(Option<Histogram<u64>>);

impl Latencies {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_max(LONGEST, DIGITS).ok())
    }

    /// Adds one latency that stands for `weight` of them.
    pub(super) fn add(&mut self, milliseconds: f64, weight: u64) {
        if let Some(histogram) = self.0.as_mut().filter(|_| milliseconds >= 0.0) {
            // The cast saturates; the weight is held where no sum of them can overflow.
            histogram
                .saturating_record_n((milliseconds * 1e3).round() as u64, weight.min(u64::from(u32::MAX)));
        }
    }

    pub(super) fn quantiles(&self) -> Option<document::Latency> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile).min(histogram.max()));
        Some(document::Latency {
            count: histogram.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: milliseconds(histogram.max()),
        })
    }
}

/// Milliseconds with three digits after the point at most.
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}
