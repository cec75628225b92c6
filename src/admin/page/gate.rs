//! What the next stage needs.

use maud::{Markup, html};

use super::super::documents::{ConditionDocument, GateDocument};
use super::elements::scrolling;
use crate::telemetry::sanitize::one_line;

pub(super) fn section(gate: &GateDocument) -> Markup {
    html! {
        section id="gate" {
            h2 { "What the next stage needs" }
            p {
                strong { (gate.to) } "; "
                @if gate.enforced { "a config that goes there is refused while one of these is missing." }
                @else { "a config that goes there is not refused while one of these is missing." }
            }
            (scrolling("What the next stage needs", &html! {
                table {
                    thead { tr { th { "condition" } th { "" span.unseen { "state" } } th { "needed and found" } } }
                    tbody { @for condition in &gate.conditions { (one_row(condition)) } }
                }
            }))
            p.quiet { code { "conversion-shim gate --to " (gate.to) } " prints the same." }
        }
    }
}

fn one_row(condition: &ConditionDocument) -> Markup {
    html! {
        tr {
            td { (condition.step) ", " code { (condition.condition) } }
            td { @if condition.met { span.badge.good { "met" } } @else { span.badge.bad { "missing" } } }
            td.what { bdi { (one_line(&condition.text)) } }
        }
    }
}
