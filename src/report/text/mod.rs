//! The report for people, in a terminal. With colours always: whoever prints it takes them out where they do not belong.

mod routes;
mod sections;
mod table;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::document::{Class, Decision, Report};
use crate::shadow::types::Severity;

/// The whole report.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    sections::header(report, &mut out);
    routes::verdicts(report, &mut out);
    report.routes.iter().for_each(|route| routes::detail(route, &mut out));
    sections::signatures(report, &mut out);
    sections::coverage(report, &mut out);
    sections::rules(report, &mut out);
    out
}

fn heading(text: &str, out: &mut String) {
    let _ = writeln!(out, "\n{}", painted(text, Style::new().bold().underline()));
}

fn painted(text: &str, style: Style) -> String {
    format!("{}{text}{}", style.render(), style.render_reset())
}

const fn colour(colour: AnsiColor) -> Style {
    colour.on_default()
}

const fn of_decision(decision: Decision) -> Style {
    match decision {
        Decision::Go => colour(AnsiColor::Green).bold(),
        Decision::NoGo => colour(AnsiColor::Red).bold(),
        Decision::NotInShadow | Decision::NotKnown => Style::new().dimmed(),
    }
}

const fn of_class(class: Class) -> Style {
    match class {
        Class::Agreed => colour(AnsiColor::Green),
        Class::Explained => colour(AnsiColor::Blue),
        Class::NotCompared => colour(AnsiColor::Yellow),
        Class::Differed => colour(AnsiColor::Red),
    }
}

const fn of_severity(severity: Severity) -> Style {
    match severity {
        Severity::Money => colour(AnsiColor::Red).bold(),
        Severity::Contract => colour(AnsiColor::Yellow),
        Severity::Cosmetic => Style::new(),
    }
}
