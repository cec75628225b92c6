//! The rate budget: limit, use and refusals of each endpoint.

use maud::{Markup, html};

use super::super::documents::to_the_second;
use super::super::history::Hour;
use super::elements::scrolling;
use crate::config::keys;
use crate::telemetry::format::count;
use crate::upstream::rate_limit::{BudgetSnapshot, EndpointSnapshot};

/// Width of a full bar.
const FULL: u64 = 100;

pub(super) fn section(budget: &BudgetSnapshot, hour: &Hour) -> Markup {
    let rows: Vec<_> =
        budget.endpoints.iter().zip(hour.charged).filter(|(endpoint, _)| is_used(endpoint)).collect();
    html! {
        section id="budget" {
            h2 { "Rate budget" }
            @match budget.cooldown_seconds_left {
                Some(left) => p { span.badge.bad { "slowed" } " for another " (count(left)) " s: the vendor answered 429." },
                None => p.quiet { "No back-off. A call that waits longer than " (keys::BUDGET_WAIT_MAX) " is refused and not sent." },
            }
            @if let Some(most) = budget.five_minutes_max {
                p.quiet { "Limit of this process: " (count(most)) " calls to each endpoint in five minutes." }
            }
            @if rows.is_empty() {
                p.quiet { "No endpoint was called since start." }
            } @else {
                (scrolling("Rate budget", &html! {
                    table {
                        thead { tr {
                            th { "endpoint" } th.number { "last 5 min" } th.bar { span.unseen { "of the limit" } }
                            th.number { "calls/s now" } th.number { "waiting" } th.number { "refused" } th { "last 429" }
                            th.number { "since start" } th.number { "duplicate checks" } th.number { "shadow" }
                        } }
                        tbody { @for (endpoint, recent) in rows { (row(endpoint, recent, budget.five_minutes_max)) } }
                    }
                }))
            }
        }
    }
}

fn is_used(endpoint: &EndpointSnapshot) -> bool {
    endpoint.calls + endpoint.refused + endpoint.waiting > 0 || endpoint.last_429.is_some()
}

fn row(endpoint: &EndpointSnapshot, recent: u64, most: Option<u64>) -> Markup {
    html! {
        tr {
            td.time { (endpoint.endpoint) }
            td.number { (count(recent)) }
            td.bar { @if let Some(most) = most { (used(recent, most)) } }
            td.number { @if let Some(rate) = endpoint.per_second { (format!("{rate:.1}")) } }
            td.number { (count(endpoint.waiting)) }
            td.number { (count(endpoint.refused)) }
            td.time { (endpoint.last_429.as_deref().map_or_else(|| "never".into(), to_the_second)) }
            td.number { (count(endpoint.calls)) }
            td.number { (count(endpoint.calls_by.lookup)) }
            td.number { (count(endpoint.calls_by.shadow)) }
        }
    }
}

/// The used share of the limit as a bar; at least one unit wide.
fn used(recent: u64, most: u64) -> Markup {
    let share = (recent.saturating_mul(FULL) / most.max(1)).min(FULL);
    html! {
        svg.share role="img" aria-label=(format!("{share}% of the vendor's limit"))
            viewBox=(format!("0 0 {FULL} 10")) preserveAspectRatio="none" {
            rect.track x="0" y="0" width=(FULL) height="10" {}
            @if recent > 0 { rect.used x="0" y="0" width=(share.max(1)) height="10" {} }
        }
    }
}
