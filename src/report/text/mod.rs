//! The report as text for a terminal. It always holds color codes; the caller strips them where they do not belong.

mod routes;
mod sections;
mod style;
mod table;

use super::document::Report;

/// The report as plain text.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    sections::header(report, &mut out);
    routes::verdicts(report, &mut out);
    report.routes.iter().for_each(|route| routes::detail(route, &mut out));
    sections::signatures(report, &mut out);
    sections::coverage(report, &mut out);
    sections::rules(report, &mut out);
    sections::drift(report, &mut out);
    out
}
