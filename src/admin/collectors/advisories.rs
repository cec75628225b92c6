//! Advisories as metrics.

use super::values::{boolean, float};
use crate::ledger::advisories::Advisories;
use crate::telemetry::metrics::exposition::MetricFamily;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::registry::{ADVISORY_ACTIVE, LEDGER_CREATED_TIMESTAMP};

pub(super) fn families(advisories: &Advisories) -> [MetricFamily; 2] {
    let snapshot = advisories.snapshot();
    let active = snapshot.active.iter();
    let active = active.map(|(kind, active)| (vec![("advisory", kind.as_str().into())], boolean(*active)));
    let created = snapshot.created_at.map(|created| float(created.as_second().unsigned_abs()));
    [ADVISORY_ACTIVE.gauges(active.collect()), LEDGER_CREATED_TIMESTAMP.value(created)]
}
