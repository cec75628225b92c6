//! `/`: the proxy for people, on one page. No script, nothing loaded from anywhere, readable on a phone, in the light and in the dark,
//! with the keyboard alone; it refreshes itself unless it is told to keep still. Whatever clients or vendors wrote is escaped, and the
//! page's policy lets a browser run and load nothing.

mod budget;
mod config;
mod sections;
mod traffic;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::documents::Status;
use super::history::Hour;
use crate::telemetry::metrics::Metrics;

/// How it looks.
const STYLE: &str = include_str!("style.css");

/// How often it refreshes itself, in seconds.
const REFRESH: u32 = 15;

/// The whole page. `still` = it does not refresh itself.
pub(super) fn render(status: &Status, hour: &Hour, metrics: &Metrics, still: bool) -> String {
    let body = html! {
        (sections::header(status, still))
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
            "conversion-shim " (status.version) ", running for " (status.uptime_seconds) " s. The same for machines: "
            a href="/status" { "/status" } ", " a href="/metrics" { "/metrics" } ", " a href="/readyz" { "/readyz" }
        }
    };
    page(&body, status, still).into_string()
}

fn page(body: &Markup, status: &Status, still: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                @if !still { meta http-equiv="refresh" content=(REFRESH); }
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

/// Nothing but the style above: it is named by its hash, so that not even a style can be slipped in. Sent as a header.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// A table that scrolls aside where the window is narrow, with the keyboard too.
fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// A count with its thousands apart.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let apart = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    apart.collect::<Vec<_>>().join(",")
}
