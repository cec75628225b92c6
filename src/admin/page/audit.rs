//! The newest rows of the ledger's audit.

use maud::{Markup, html};

use super::super::documents::{AuditDocument, to_the_second};
use super::elements::scrolling;
use crate::telemetry::sanitize::clip;

/// Maximum length of one text; `audit` prints all of it.
const SHOWN: usize = 300;

pub(super) fn section(rows: &[AuditDocument]) -> Markup {
    html! {
        section id="audit" {
            h2 { "Audit" }
            (scrolling("Audit", &html! {
                table {
                    thead { tr { th { "time" } th { "what" } th { "by" } th { "why" } th { "change" } } }
                    tbody { @for row in rows { (one_row(row)) } }
                }
            }))
            p.quiet { code { "conversion-shim audit" } " prints all of it." }
        }
    }
}

fn one_row(row: &AuditDocument) -> Markup {
    let value = |value: &Option<String>| value.as_deref().filter(|value| !value.is_empty()).map(shown);
    html! {
        tr {
            td.time { (to_the_second(&row.at)) }
            td { code { (row.kind) } @if !row.subject.is_empty() { " " bdi { (shown(&row.subject)) } } }
            td { bdi { (shown(&row.operator)) } }
            td.what { bdi { (shown(&row.reason)) } }
            td.what {
                @match (value(&row.before), value(&row.after)) {
                    (None, None) => {}
                    (before, after) => { (before.as_deref().unwrap_or("nothing")) " → " (after.as_deref().unwrap_or("nothing")) }
                }
            }
        }
    }
}

/// Reasons and references are written by people and clients.
fn shown(text: &str) -> String {
    clip(text, SHOWN).into_owned()
}
