//! `/`: the status as one HTML page. No script and no external resource; it works on a phone, in light and dark mode and with the
//! keyboard alone, and refreshes itself unless paused. Text of clients and vendors is escaped, and the page's Content-Security-Policy
//! lets a browser run and load nothing.

mod audit;
mod budget;
mod config;
mod drift;
mod elements;
mod gate;
mod reconcile;
mod sections;
mod traffic;

use maud::html;

use super::documents::StatusDocument;
use super::history::Hour;
use crate::http::html::{self, content_security_policy};
use crate::telemetry::metrics::Metrics;

const STYLE: &str = include_str!("style.css");

/// Refresh interval, in seconds.
const REFRESH: u32 = 15;

/// The whole page. A `paused` page does not refresh itself.
pub(super) fn render(status: &StatusDocument, hour: &Hour, metrics: &Metrics, paused: bool) -> String {
    let body = html! {
        (sections::header(status, paused))
        (sections::modes(status))
        (sections::counts(status, metrics))
        (traffic::requests(hour))
        (traffic::latency(hour))
        (budget::section(&status.budget, hour))
        (sections::usage(&status.usage))
        @if let Some(shadow) = &status.shadow { (sections::shadow(shadow)) }
        (sections::ledger(status))
        @if let Some(found) = &status.reconcile { (reconcile::section(found)) }
        @if let Some(gate) = &status.gate { (gate::section(gate)) }
        @if !status.drift.names.is_empty() { (drift::section(&status.drift)) }
        @if !status.audit.is_empty() { (audit::section(&status.audit)) }
        (config::section(status))
        footer {
            "conversion-shim " (status.version) ", running for " (status.uptime_seconds) " s. The same as data: "
            a href="/status" { "/status" } ", " a href="/metrics" { "/metrics" } ", " a href="/readyz" { "/readyz" }
        }
    };
    let refresh = html! { @if !paused { meta http-equiv="refresh" content=(REFRESH); } };
    html::page(&format!("conversion-shim: {}", status.stage), STYLE, &refresh, &body).into_string()
}

/// The policy of the page, sent as a header.
pub(super) fn policy() -> String {
    content_security_policy(STYLE) + "; frame-ancestors 'none'"
}
