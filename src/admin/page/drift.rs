//! What the vendor's answers hold that this version does not know.

use maud::{Markup, html};

use super::super::documents::{DriftDocument, DriftNameDocument};
use super::elements::scrolling;
use crate::config::keys;

pub(super) fn section(drift: &DriftDocument) -> Markup {
    html! {
        section id="drift" {
            h2 { "Unknown names in the vendor's answers" }
            @if drift.full { p { strong { "The list is full; further names are not on it." } } }
            (scrolling("Unknown names in the vendor's answers", &html! {
                table {
                    thead { tr { th { "path" } th { "type" } th { "" span.unseen { "state" } } th { "first seen" } } }
                    tbody { @for name in &drift.names { (one_row(name)) } }
                }
            }))
            p.quiet { "Since this process started. One in records, statuses or lists has to be under " code { "[[" (keys::DRIFT_KNOWN) "]]" } " before the next step." }
        }
    }
}

fn one_row(name: &DriftNameDocument) -> Markup {
    html! {
        tr {
            td { code { (name.path) } }
            td { (name.r#type) }
            td {
                @if name.known { span.badge.good { "known" } }
                @else if name.money { span.badge.bad { "to look at" } }
            }
            td { (name.first_seen) }
        }
    }
}
