//! What walks over the vendor's lists found last.

use maud::{Markup, html};

use super::super::documents::{ReconcileDocument, to_the_second};
use super::elements::scrolling;
use crate::telemetry::format::count;

pub(super) fn section(reconcile: &ReconcileDocument) -> Markup {
    let time = |at: &Option<String>| at.as_deref().map_or_else(|| "none yet".into(), to_the_second);
    html! {
        section id="reconcile" {
            h2 { "Reconcile" }
            dl {
                dt { "last walk" }
                dd {
                    @match reconcile.clean {
                        None => "none yet",
                        Some(true) => span.badge.good { "clean" },
                        Some(false) => span.badge.bad { "findings" },
                    }
                    @if reconcile.last_walk_at.is_some() { " at " (time(&reconcile.last_walk_at)) }
                }
                dt { "last clean" } dd { (time(&reconcile.last_clean_at)) }
                @if let (Some(begin), Some(end)) = (&reconcile.window_begin, &reconcile.window_end) {
                    dt { "window" } dd { (to_the_second(begin)) " to " (to_the_second(end)) }
                }
                dt { "records" } dd { (count(reconcile.records.unwrap_or_default())) }
                dt { "every" }
                dd { @match reconcile.every_seconds { Some(every) => { (every) " s" } None => "off" } }
                @if let Some(failed) = &reconcile.failed { dt { "could not finish" } dd { span.badge.bad { "failed" } " " (failed) } }
            }
            @if !reconcile.findings.is_empty() {
                (scrolling("Findings by kind", &html! {
                    table {
                        thead { tr { th { "finding" } th { "count" } } }
                        tbody {
                            @for (kind, found) in &reconcile.findings {
                                tr { td { code { (kind) } } td.number { (count(*found)) } }
                            }
                        }
                    }
                }))
            }
            p.quiet { code { "conversion-shim reconcile" } " lists them, for any window." }
        }
    }
}
