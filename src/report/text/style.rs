//! Headings and colors of the text report.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::report::document::{Class, Decision};
use crate::shadow::types::Severity;

pub(super) fn heading(text: &str, out: &mut String) {
    let _ = writeln!(out, "\n{}", painted(text, Style::new().bold().underline()));
}

pub(super) fn painted(text: &str, style: Style) -> String {
    format!("{}{text}{}", style.render(), style.render_reset())
}

pub(super) const fn color(color: AnsiColor) -> Style {
    color.on_default()
}

pub(super) const fn of_decision(decision: Decision) -> Style {
    match decision {
        Decision::Go => color(AnsiColor::Green).bold(),
        Decision::NoGo => color(AnsiColor::Red).bold(),
        Decision::NotProven => color(AnsiColor::Yellow).bold(),
        Decision::NotInShadow | Decision::NotKnown => Style::new().dimmed(),
    }
}

pub(super) const fn of_class(class: Class) -> Style {
    match class {
        Class::Agreed => color(AnsiColor::Green),
        Class::Explained => color(AnsiColor::Blue),
        Class::NotCompared => color(AnsiColor::Yellow),
        Class::Differed => color(AnsiColor::Red),
    }
}

pub(super) const fn of_severity(severity: Severity) -> Style {
    match severity {
        Severity::Money => color(AnsiColor::Red).bold(),
        Severity::Contract => color(AnsiColor::Yellow),
        Severity::Cosmetic => Style::new(),
    }
}
