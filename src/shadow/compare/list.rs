//! The differences between two pages of conversions.

use std::collections::{HashMap, VecDeque};

use super::difference::{BODY, Difference, escaped, members};
use super::field::{FieldClass, presence};
use super::record;
use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};

/// The comparison of two pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListComparison {
    /// The differences, redacted nowhere yet.
    pub differences: Vec<Difference>,
    /// Rows of the served page.
    pub served: usize,
    /// Rows of the other page.
    pub other: usize,
}

/// Compares two pages. Rows are paired by `ref_id`, then by `id`; rows with neither, and rows with the same, in their order. Ids
/// and cursors differ between the APIs: of a cursor only its presence is compared.
#[must_use]
pub fn list(served: &Json, other: &Json) -> ListComparison {
    let Some(members) = members(served, other) else {
        let class = (DiffKind::Type, Severity::Contract);
        let differs = || Difference::new(BODY, class, Some(served), Some(other));
        let differences = (served != other).then(differs).into_iter().collect();
        return ListComparison { differences, ..ListComparison::default() };
    };
    let mut differences = Vec::new();
    for (key, served, other) in members {
        let class = match key {
            "items" => presence(served, other).map(|kind| (kind, Severity::Contract)),
            "next_page_cursor" => next_page(served, other),
            _ => FieldClass::Other.compare(served, other),
        };
        if let Some(class) = class {
            differences.push(Difference::new(escaped(key).to_string(), class, served, other));
        }
    }
    rows(items(served), items(other), differences)
}

fn items(page: &Json) -> &[Json] {
    match page.get("items") {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

/// Compares whether there is a next page. A cursor that is empty or null means none.
fn next_page(served: Option<&Json>, other: Option<&Json>) -> Option<(DiffKind, Severity)> {
    let set = |cursor: Option<&'_ Json>| {
        cursor.is_some_and(|cursor| *cursor != Json::Null && cursor.as_text() != Some(""))
    };
    let kind = match (set(served), set(other)) {
        (true, false) => DiffKind::Missing,
        (false, true) => DiffKind::Extra,
        // The cursors themselves are each API's own and differ by nature.
        (true, true) if presence(served, other).is_some() => DiffKind::Type,
        (true, true) | (false, false) => return None,
    };
    Some((kind, Severity::Contract))
}

fn rows(served: &[Json], other: &[Json], mut differences: Vec<Difference>) -> ListComparison {
    let partners = pair(served, other);
    let mut unpaired = vec![true; other.len()];
    for (at, (row, partner)) in served.iter().zip(&partners).enumerate() {
        let path = format!("items[{at}]");
        // A conversion that only one side has is money that only one side knows of.
        let missing = (DiffKind::Missing, Severity::Money);
        match partner {
            Some(partner) => {
                unpaired[*partner] = false;
                record::compare(&path, row, &other[*partner], &["id"], &mut differences);
            }
            None => differences.push(Difference::new(path, missing, Some(row), None)),
        }
    }
    let extra = unpaired.iter().zip(other).enumerate().filter(|(_, (unpaired, _))| **unpaired);
    let class = (DiffKind::Extra, Severity::Money);
    differences
        .extend(extra.map(|(at, (_, row))| Difference::new(format!("items[{at}]"), class, None, Some(row))));
    if !keeps_order(served, &partners) {
        differences.push(Difference::new("items", (DiffKind::Order, Severity::Contract), None, None));
    }
    ListComparison { differences, served: served.len(), other: other.len() }
}

/// Whether the other page has the rows in the served order. Neither API documents an order of rows with the same `created_at`, so
/// these may come in any order among themselves.
fn keeps_order(served: &[Json], partners: &[Option<usize>]) -> bool {
    let mut furthest = None;
    for instant in
        served.iter().zip(partners).collect::<Vec<_>>().chunk_by(|one, next| same_instant(one.0, next.0))
    {
        let positions = || instant.iter().filter_map(|(_, partner)| **partner);
        // Positions are compared between instants, not within one.
        if positions().min().is_some_and(|first| Some(first) < furthest) {
            return false;
        }
        furthest = positions().max().max(furthest);
    }
    true
}

/// Whether two rows have the same `created_at`.
fn same_instant(one: &Json, other: &Json) -> bool {
    one.text("created_at").is_some_and(|at| Some(at) == other.text("created_at"))
}

/// What rows are paired by.
type PairingKey = fn(&Json) -> Option<&str>;

/// In order of precedence.
const PAIRING_KEYS: [PairingKey; 3] = [ref_id, id, no_key];

fn ref_id(row: &Json) -> Option<&str> {
    row.text("ref_id").filter(|name| !name.is_empty())
}

fn id(row: &Json) -> Option<&str> {
    row.text("id").filter(|name| !name.is_empty())
}

/// The same key for all rows without a `ref_id` and an `id`.
fn no_key(row: &Json) -> Option<&str> {
    (ref_id(row).is_none() && id(row).is_none()).then_some("")
}

/// For each row of the served page, the index of its partner in the other.
fn pair(served: &[Json], other: &[Json]) -> Vec<Option<usize>> {
    let mut partners = vec![None; served.len()];
    let mut taken = vec![false; other.len()];
    for key in PAIRING_KEYS {
        // Queues, so that rows with one key are paired in their order; a reference may be on a page twice.
        let mut waiting: HashMap<&str, VecDeque<usize>> = HashMap::new();
        for (at, row) in other.iter().enumerate().filter(|(at, _)| !taken[*at]) {
            if let Some(key) = key(row) {
                waiting.entry(key).or_default().push_back(at);
            }
        }
        for (row, partner) in served.iter().zip(&mut partners).filter(|(_, partner)| partner.is_none()) {
            if let Some(at) = key(row).and_then(|key| waiting.get_mut(key)?.pop_front()) {
                (*partner, taken[at]) = (Some(at), true);
            }
        }
    }
    partners
}
