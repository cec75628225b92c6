//! Whether shadow ran: its time, what it dropped, what it was to compare.

use serde::Serialize;

use super::route::is_zero;
use crate::translate::route::Route;

/// Whether shadow really ran, from its heartbeats.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RunningSummary {
    /// How many there are; with none, nothing here is known.
    pub(crate) heartbeats: u64,
    pub(crate) processes: u64,
    /// How much time they cover, added over processes.
    pub(crate) seconds: f64,
    /// How much of it shadow was configured and did not run.
    pub(crate) idle_seconds: f64,
    /// `idle_seconds` of `seconds`, 0 to 1.
    pub(crate) idle_share: Option<f64>,
    /// Why, the longest first.
    pub(crate) idle: Vec<IdleTime>,
    pub(crate) due: u64,
    /// Comparisons that were made, as the processes counted them.
    pub(crate) done: u64,
    /// Comparisons that were done and that no line read reports.
    pub(crate) missing: u64,
    /// Lines that the processes wrote and the input lacks: each process numbers its lines.
    pub(crate) lost_lines: u64,
    /// The last line before the first gap; absent if a process has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost_after: Option<String>,
    /// The first line after the last gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost_before: Option<String>,
    /// Lines of more processes than can be followed: which of them are missing or repeated is not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) lines_not_followed: u64,
    /// Processes that announced a heartbeat that is not there: killed, or their last lines are missing.
    pub(crate) cut_off: u64,
    pub(crate) dropped: u64,
    /// The share of those, of all due.
    pub(crate) dropped_share: Option<f64>,
    /// By route and reason, the most frequent first.
    pub(crate) dropped_by: Vec<DroppedBy>,
    /// Which share of each route was to be compared.
    pub(crate) sampled: Vec<SampledRoute>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct IdleTime {
    pub(crate) reason: String,
    pub(crate) seconds: f64,
}

/// Comparisons that were not made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DroppedBy {
    pub(crate) route: Route,
    pub(crate) reason: String,
    pub(crate) count: u64,
}

/// A route's sampling over the window.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SampledRoute {
    pub(crate) route: Route,
    /// The lowest share that was in force.
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}
