//! The config in force, and the reloads before it with their changes or problems.

use maud::{Markup, html};

use super::super::documents::{ReloadDocument, StatusDocument, to_the_second};
use super::elements::scrolling;

pub(super) fn section(status: &StatusDocument) -> Markup {
    let config = &status.config;
    html! {
        section id="config" {
            h2 { "Config and reloads" }
            dl {
                dt { "in force" } dd { code { (config.hash) } " since " (to_the_second(&config.loaded_at)) }
                dt { "last accepted" } dd { (config.reload_accepted_at.as_deref().map_or("none since start".into(), to_the_second)) }
                dt { "last refused" }
                dd {
                    @match &config.reload_refused {
                        None => "none since start",
                        Some(refused) => {
                            (to_the_second(&refused.at)) " "
                            @if refused.active { span.badge.bad { "active" } } @else { "(resolved since)" }
                            ul { @for problem in &refused.problems { li { (problem) } } }
                        }
                    }
                }
                dt { "replicas" } dd { (status.replicas) }
            }
            @if !config.reloads.is_empty() { (history(&config.reloads)) }
        }
    }
}

fn history(reloads: &[ReloadDocument]) -> Markup {
    html! {
        h3 { "Last reloads" }
        (scrolling("Last reloads", &html! {
            table {
                thead { tr { th { "time" } th { "change" } th { "config in force" } } }
                tbody { @for reload in reloads { (one_reload(reload)) } }
            }
        }))
    }
}

fn one_reload(reload: &ReloadDocument) -> Markup {
    html! {
        tr {
            td.time { (to_the_second(&reload.at)) }
            td.what { @if reload.result == "accepted" { (changed(reload)) } @else { (refused(reload)) } }
            td.time { (reload.stage) ", " code { (reload.hash) } }
        }
    }
}

fn changed(reload: &ReloadDocument) -> Markup {
    html! {
        span.badge.good { "accepted" }
        @for change in &reload.changes { div { (change) } }
        @if !reload.other_keys.is_empty() {
            div {
                @for (at, key) in reload.other_keys.iter().enumerate() { @if at > 0 { ", " } code { (key) } }
            }
        }
    }
}

fn refused(reload: &ReloadDocument) -> Markup {
    let more = reload.problems_total.saturating_sub(reload.problems.len());
    html! {
        span.badge.bad { "refused" }
        " " @match &reload.ended_at { Some(end) => { "until " (to_the_second(end)) } None => "still active" }
        @for problem in &reload.problems { div { (problem) } }
        @if more > 0 { div { "and " (more) " more" } }
    }
}
