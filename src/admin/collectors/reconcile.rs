//! What walks over the vendor's lists found last, as metrics.

use jiff::Timestamp;

use super::values::{boolean, float};
use crate::config::Config;
use crate::reconcile::{FindingKind, ReconcileStatus, missing};
use crate::telemetry::metrics::exposition::MetricFamily;
use crate::telemetry::metrics::registry::{
    LEDGER_COMPLETE, RECONCILE_FAILING, RECONCILE_FINDINGS, RECONCILE_LAST_CLEAN_TIMESTAMP,
    RECONCILE_WINDOW_BEGIN_TIMESTAMP, RECONCILE_WINDOW_END_TIMESTAMP,
};

pub(super) fn families(status: &ReconcileStatus, config: &Config) -> [MetricFamily; 6] {
    let last = status.last.as_ref();
    // None is no 0: before the first walk nothing is known.
    let found = last.map(|last| {
        let count = |kind: FindingKind| float(last.progress.found(kind));
        FindingKind::ALL.map(|kind| (vec![("kind", kind.as_str().into())], count(kind))).into()
    });
    let at = |at: Timestamp| float(at.as_second().unsigned_abs());
    let now = Timestamp::now();
    let complete = status.completeness.iter().map(|side| {
        (vec![("side", side.side.as_str().into())], boolean(missing(side, config, now).is_none()))
    });
    [
        LEDGER_COMPLETE.gauges(complete.collect()),
        RECONCILE_FINDINGS.gauges(found.unwrap_or_default()),
        RECONCILE_FAILING.value(status.every.map(|_| boolean(status.failed.is_some()))),
        RECONCILE_LAST_CLEAN_TIMESTAMP.value(status.last_clean_at.map(at)),
        RECONCILE_WINDOW_BEGIN_TIMESTAMP.value(last.map(|last| at(last.begin))),
        RECONCILE_WINDOW_END_TIMESTAMP.value(last.map(|last| at(last.end))),
    ]
}
