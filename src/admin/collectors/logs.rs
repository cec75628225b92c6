//! Whether the logs can be written.

use super::values::boolean;
use crate::telemetry::log_health::LogSnapshot;
use crate::telemetry::metrics::exposition::{Labels, MetricFamily};
use crate::telemetry::metrics::registry::{LOG_FAILED, LOG_LINES_LOST, LOG_UP};

pub(super) fn families(logs: &[(&'static str, LogSnapshot)]) -> [MetricFamily; 3] {
    let labels = |name: &'static str| -> Labels { vec![("log", name.into())] };
    [
        LOG_UP
            .gauges(logs.iter().map(|(name, log)| (labels(name), boolean(log.failing.is_none()))).collect()),
        LOG_FAILED.gauges(logs.iter().map(|(name, log)| (labels(name), log.failed.as_secs_f64())).collect()),
        LOG_LINES_LOST.counts(logs.iter().map(|(name, log)| (labels(name), log.lines_lost)).collect()),
    ]
}
