//! The report as one HTML file: no script, no external resource, readable offline, on a phone, in light and dark mode. Text from logs is
//! escaped, and the page's own policy lets a browser run and load nothing.

mod classes;
mod plots;
mod routes;
mod sections;

use maud::html;

use super::document::Report;
use crate::http::html::{content_security_policy, page};

const STYLE: &str = include_str!("style.css");

/// The report as an HTML page.
#[must_use]
pub fn render(report: &Report) -> String {
    let body = html! {
        (sections::header(report))
        (routes::verdicts(report))
        @for route in report.routes.iter().filter(|route| route.records > 0) { (routes::detail(route)) }
        (sections::signatures(report))
        (sections::coverage(report))
        (sections::rules(report))
        (sections::drift(report))
        footer { "conversion-shim report of " (report.made_at) }
    };
    let policy =
        html! { meta http-equiv="Content-Security-Policy" content=(content_security_policy(STYLE)); };
    page(&format!("Shadow report: {}", report.verdict.as_str()), STYLE, &policy, &body).into_string()
}
