//! Whether shadow ran: its time, what it dropped, what it was to compare.

use crate::translate::route::Route;
use serde::Serialize;

/// Whether shadow really ran, from its heartbeats.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Running {
    /// How many there are; with none, nothing here is known.
    pub heartbeats: u64,
    /// Processes that sent them.
    pub processes: u64,
    /// How much time they cover, added over processes.
    pub seconds: f64,
    /// How much of it shadow was configured and did not run.
    pub idle_seconds: f64,
    /// The share of that.
    pub idle_share: Option<f64>,
    /// Why, the longest first.
    pub idle: Vec<Idle>,
    /// Comparisons that were due.
    pub due: u64,
    /// Comparisons that were made, as the processes counted them.
    pub done: u64,
    /// Comparisons that were done and that no line read tells of.
    pub missing: u64,
    /// Comparisons that were dropped.
    pub dropped: u64,
    /// The share of those, of all due.
    pub dropped_share: Option<f64>,
    /// By route and reason, the most frequent first.
    pub dropped_by: Vec<DroppedBy>,
    /// Which share of each route was to be compared.
    pub sampled: Vec<SampledRoute>,
}

/// Time without comparisons.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// Why.
    pub reason: String,
    /// How long.
    pub seconds: f64,
}

/// Comparisons that were not made.
#[derive(Clone, Debug, Serialize)]
pub struct DroppedBy {
    /// Of this route.
    pub route: Route,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A route's sampling over the window.
#[derive(Clone, Debug, Serialize)]
pub struct SampledRoute {
    /// Which.
    pub route: Route,
    /// The lowest share that was in force.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
}
