//! `/`: the status as one HTML page. No script and no external resource; it works on a phone, in light and dark mode and with the
//! keyboard alone, and refreshes itself unless paused. Text of clients and vendors is escaped, and the page's Content-Security-Policy
//! lets a browser run and load nothing.

mod budget;
mod config;
mod elements;
mod sections;
mod traffic;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::documents::Status;
use super::history::Hour;
use crate::telemetry::metrics::Metrics;

const STYLE: &str = include_str!("style.css");

/// Refresh interval, in seconds.
const REFRESH: u32 = 15;

/// The whole page. A `paused` page does not refresh itself.
pub(super) fn render(status: &Status, hour: &Hour, metrics: &Metrics, paused: bool) -> String {
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
        (config::section(status))
        footer {
            "conversion-shim " (status.version) ", running for " (status.uptime_seconds) " s. The same as data: "
            a href="/status" { "/status" } ", " a href="/metrics" { "/metrics" } ", " a href="/readyz" { "/readyz" }
        }
    };
    page(&body, status, paused).into_string()
}

fn page(body: &Markup, status: &Status, paused: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                @if !paused { meta http-equiv="refresh" content=(REFRESH); }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "conversion-shim: " (status.stage) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    }
}

/// The Content-Security-Policy: only the page's own style, by its hash, so that injected styles are blocked as well.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
