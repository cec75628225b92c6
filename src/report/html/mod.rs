//! The report as one page: no script, nothing loaded from anywhere, readable offline, on a phone, in the light and in the dark.
//! Whatever comes from a log is escaped, and the page's own policy lets a browser run and load nothing.

mod plots;
mod routes;
mod sections;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::document::{Class, Decision, Report};

/// How it looks.
const STYLE: &str = include_str!("style.css");

/// The whole page.
#[must_use]
pub fn render(report: &Report) -> String {
    let body = html! {
        (sections::header(report))
        (routes::verdicts(report))
        @for route in report.routes.iter().filter(|route| route.records > 0) { (routes::detail(route)) }
        (sections::signatures(report))
        (sections::coverage(report))
        (sections::rules(report))
        footer { "conversion-shim report, made " (report.made_at) }
    };
    page(&body, report.verdict).into_string()
}

fn page(body: &Markup, verdict: Decision) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Shadow report: " (verdict.as_str()) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    }
}

/// Nothing but the style above: it is named by its hash, so that not even a style can be slipped in.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

const fn of_decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Go => "go",
        Decision::NoGo => "no-go",
        Decision::NotInShadow | Decision::NotKnown => "absent",
    }
}

const fn of_class(class: Class) -> &'static str {
    match class {
        Class::Agreed => "agreed",
        Class::Explained => "explained",
        Class::NotCompared => "not-compared",
        Class::Differed => "differed",
    }
}
