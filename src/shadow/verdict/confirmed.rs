//! Which differences of a second comparison confirm those of the first.

use std::collections::HashSet;

use super::progress;
use crate::shadow::compare::difference::Difference;
use crate::shadow::json::Json;
use crate::shadow::types::DiffKind;
use crate::translate::route::Route;

/// The differences of `second` that are not explained by time. A row that only one page has counts if that page lacked it in `first` as
/// well: between two reads, others create records. What is left may be mere progress.
pub(super) fn confirmed(route: Route, first: &[Difference], second: Vec<Difference>) -> Vec<Difference> {
    let lacked: HashSet<_> = first.iter().filter_map(lacking_row).collect();
    let stays = |it: &Difference| lacking_row(it).is_none_or(|row| lacked.contains(&row));
    let left: Vec<_> = second.into_iter().filter(stays).collect();
    // Only what is left: a row that came in between must not keep progress from explaining the rest.
    if progress::explains(route, &left) { Vec::new() } else { left }
}

/// Which page lacks a row, and the row's name.
fn lacking_row(difference: &Difference) -> Option<(DiffKind, String)> {
    let is_row = difference.path.starts_with("items[") && difference.path.ends_with(']');
    let row = match difference.kind {
        DiffKind::Missing => difference.served.as_ref(),
        DiffKind::Extra => difference.other.as_ref(),
        DiffKind::Type | DiffKind::Value | DiffKind::Order | DiffKind::Precision => None,
    };
    let name =
        |row: &Json| row.text("ref_id").or(row.text("id")).map_or_else(|| row.to_string(), str::to_owned);
    row.filter(|_| is_row).map(|row| (difference.kind, name(row)))
}
