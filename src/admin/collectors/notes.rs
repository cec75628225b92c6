//! The notes as metrics. What is not known is left out.

use super::float;
use crate::ledger::advisories::Advisories;
use crate::telemetry::metrics::exposition::Figure;
use crate::telemetry::metrics::registry::Name as _;

pub(super) fn figures(notes: &Advisories) -> Vec<Figure> {
    let told = notes.told();
    let standing = told
        .known
        .iter()
        .map(|(what, standing)| (vec![("note", what.text().into())], f64::from(u8::from(*standing))));
    let begun = told.begun.map(|begun| float(begun.as_second().unsigned_abs()));
    vec![
        Figure::gauges(
            "note_standing",
            "Whether something stands that somebody should know.",
            standing.collect(),
        ),
        Figure::gauge(
            "ledger_begun_time",
            "When the ledger's tables were made, in seconds since 1970.",
            begun,
        )
        .seconds(),
    ]
}
