//! One page of conversions against another.

use std::collections::{HashMap, VecDeque};

use super::severity::{Field, presence};
use super::{BODY, Difference, escaped, members, record};
use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};

/// What a comparison of two pages found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// What differs.
    pub differences: Vec<Difference>,
    /// Rows that were served.
    pub served: usize,
    /// Rows of the other page.
    pub other: usize,
}

/// What differs between two pages. Rows are paired by `ref_id`, then by `id`; those that say neither, and those that say the same,
/// in the order in which they come. Ids differ between the APIs, and so do cursors: whether a page has a next one is
/// compared, not how it is called.
#[must_use]
pub fn list(served: &Json, other: &Json) -> Listed {
    let Some(members) = members(served, other) else {
        let weighed = (DiffKind::Type, Severity::Contract);
        let differs = || Difference::new(BODY, weighed, Some(served), Some(other));
        let differences = (served != other).then(differs).into_iter().collect();
        return Listed { differences, ..Listed::default() };
    };
    let mut found = Vec::new();
    for (key, served, other) in members {
        let weighed = match key {
            "items" => presence(served, other).map(|kind| (kind, Severity::Contract)),
            "next_page_cursor" => more(served, other),
            _ => Field::Other.weigh(served, other),
        };
        if let Some(weighed) = weighed {
            found.push(Difference::new(escaped(key).to_string(), weighed, served, other));
        }
    }
    rows(items(served), items(other), found)
}

fn items(page: &Json) -> &[Json] {
    match page.get("items") {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

/// Whether there is more. A cursor that is empty or null is none.
fn more(served: Option<&Json>, other: Option<&Json>) -> Option<(DiffKind, Severity)> {
    let set = |cursor: Option<&'_ Json>| {
        cursor.is_some_and(|cursor| *cursor != Json::Null && cursor.as_text() != Some(""))
    };
    let kind = match (set(served), set(other)) {
        (true, false) => DiffKind::Missing,
        (false, true) => DiffKind::Extra,
        (true, true) if presence(served, other).is_some() => DiffKind::Type,
        (true, true) | (false, false) => return None,
    };
    Some((kind, Severity::Contract))
}

fn rows(served: &[Json], other: &[Json], mut found: Vec<Difference>) -> Listed {
    let partners = pair(served, other);
    let mut alone = vec![true; other.len()];
    for (at, (row, partner)) in served.iter().zip(&partners).enumerate() {
        let place = format!("items[{at}]");
        // A conversion that only one side lists is all that money is about.
        let missing = (DiffKind::Missing, Severity::Money);
        match partner {
            Some(partner) => {
                alone[*partner] = false;
                record::compare(&place, row, &other[*partner], &["id"], &mut found);
            }
            None => found.push(Difference::new(place, missing, Some(row), None)),
        }
    }
    let extra = alone.iter().zip(other).enumerate().filter(|(_, (alone, _))| **alone);
    let weighed = (DiffKind::Extra, Severity::Money);
    found.extend(
        extra.map(|(at, (_, row))| Difference::new(format!("items[{at}]"), weighed, None, Some(row))),
    );
    if !keeps_order(served, &partners) {
        found.push(Difference::new("items", (DiffKind::Order, Severity::Contract), None, None));
    }
    Listed { differences: found, served: served.len(), other: other.len() }
}

/// Whether the other page has the rows in the served order. At one instant either API sorts as it likes, so rows of one
/// instant may stand in any order among themselves.
fn keeps_order(served: &[Json], partners: &[Option<usize>]) -> bool {
    let mut furthest = None;
    for instant in
        served.iter().zip(partners).collect::<Vec<_>>().chunk_by(|one, next| at_once(one.0, next.0))
    {
        let places = || instant.iter().filter_map(|(_, partner)| **partner);
        if places().min().is_some_and(|first| Some(first) < furthest) {
            return false;
        }
        furthest = places().max().max(furthest);
    }
    true
}

/// Whether two rows were made at the same instant, as far as they say.
fn at_once(one: &Json, other: &Json) -> bool {
    one.text("created_at").is_some_and(|at| Some(at) == other.text("created_at"))
}

/// What a row is known by.
type Name = fn(&Json) -> Option<&str>;

/// In this order.
const NAMES: [Name; 3] = [ref_id, id, nameless];

fn ref_id(row: &Json) -> Option<&str> {
    row.text("ref_id").filter(|name| !name.is_empty())
}

fn id(row: &Json) -> Option<&str> {
    row.text("id").filter(|name| !name.is_empty())
}

/// All rows that say neither go by the same name.
fn nameless(row: &Json) -> Option<&str> {
    (ref_id(row).is_none() && id(row).is_none()).then_some("")
}

/// For each row of the served page, the place of its partner in the other.
fn pair(served: &[Json], other: &[Json]) -> Vec<Option<usize>> {
    let mut partners = vec![None; served.len()];
    let mut taken = vec![false; other.len()];
    for name in NAMES {
        let mut waiting: HashMap<&str, VecDeque<usize>> = HashMap::new();
        for (at, row) in other.iter().enumerate().filter(|(at, _)| !taken[*at]) {
            if let Some(name) = name(row) {
                waiting.entry(name).or_default().push_back(at);
            }
        }
        for (row, partner) in served.iter().zip(&mut partners).filter(|(_, partner)| partner.is_none()) {
            if let Some(at) = name(row).and_then(|name| waiting.get_mut(name)?.pop_front()) {
                (*partner, taken[at]) = (Some(at), true);
            }
        }
    }
    partners
}
