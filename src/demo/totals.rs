//! The numbers that the demo shows, each from where it is kept: the vendor's records, the proxy's metrics, and the clients' answers.

use std::sync::Arc;

use super::fleet::Register;
use super::latency::{Added, Prober};
use super::proxy::{Proxy, ProxyCounts};
use crate::sandbox::{Sandbox, Tally};

/// Where numbers come from, beside the proxy.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) vendor: &'a Arc<Sandbox>,
    pub(super) register: &'a Register,
    pub(super) prober: &'a Prober,
}

/// All numbers at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    references: usize,
    /// Records that the vendor made, by side.
    made: Tally,
    /// Creates answered with the conversion that their reference had already.
    met: u64,
    counts: ProxyCounts,
    added: Added,
    restarts: u64,
}

impl Totals {
    pub(super) async fn read(proxy: &mut Proxy, parts: Parts<'_>) -> Self {
        let mut made = Tally::default();
        for tally in parts.vendor.inspector().conversions_by_ref().into_values() {
            made.legacy += tally.legacy;
            made.new += tally.new;
        }
        Self {
            references: parts.register.references(),
            made,
            met: parts.register.met(),
            counts: proxy.counts().await,
            added: parts.prober.added(),
            restarts: proxy.restarts,
        }
    }

    pub(super) fn rows(&self) -> [(&'static str, String); 6] {
        let Self { references, made, met, counts, added, restarts } = self;
        let ProxyCounts { unknown, resolved, checks } = counts;
        [
            (
                "creates",
                format!(
                    "{} on the old API, {} on the new one, {references} references",
                    made.legacy, made.new
                ),
            ),
            ("retries", format!("{met} met the record of their reference")),
            ("outcomes", format!("{unknown} unknown, {resolved} of them resolved by a lookup")),
            ("duplicate checks", checks.to_string()),
            ("latency added", format!("p50 {} ms, p99 {} ms", hundredths(added.p50), hundredths(added.p99))),
            ("restarts", restarts.to_string()),
        ]
    }

    /// What is counted, in one line.
    pub(super) fn summary(&self) -> String {
        let Self { made, met, counts, .. } = self;
        let ProxyCounts { unknown, resolved, checks } = counts;
        format!(
            "{} creates on the old API, {} on the new one, {met} retries met their record, {resolved} of {unknown} unknown outcomes resolved, {checks} duplicate checks",
            made.legacy, made.new
        )
    }
}

/// Thousandths, with two decimals.
fn hundredths(thousandths: u64) -> String {
    format!("{}.{:02}", thousandths / 1000, thousandths % 1000 / 10)
}

/// Thousandths, with one decimal.
pub(super) fn tenths(microseconds: u64) -> String {
    format!("{}.{}", microseconds / 1000, microseconds % 1000 / 100)
}
