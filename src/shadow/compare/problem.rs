//! One refusal against another, and the HTTP status.

use super::severity::presence;
use super::{BODY, Difference, STATUS_CODE, members};
use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};

/// What differs between two problem documents. The text of `detail` and what is in `meta` are of the occasion, full of ids and of
/// each API's own nouns: whether they are there is all that is compared.
#[must_use]
pub fn problem(served: &Json, other: &Json) -> Vec<Difference> {
    let Some(members) = members(served, other) else {
        let not_alike = !served.is_like(other);
        let differs = |kind| Difference::new(BODY, (kind, Severity::Contract), Some(served), Some(other));
        return not_alike.then(|| differs(DiffKind::Type)).into_iter().collect();
    };
    let differs = |(key, served, other)| {
        let weighed = match presence(served, other) {
            Some(kind) => (kind, Severity::Contract),
            None if served != other => (DiffKind::Value, value_severity(key)?),
            None => return None,
        };
        Some(Difference::new(super::escaped(key).to_string(), weighed, served, other))
    };
    members.filter_map(differs).collect()
}

/// How grave it is when this member has another value; `None` when that is to be expected.
fn value_severity(key: &str) -> Option<Severity> {
    match key {
        "type" | "status" => Some(Severity::Contract),
        "title" => Some(Severity::Cosmetic),
        _ => None,
    }
}

/// The difference between two HTTP statuses, if there is one.
#[must_use]
pub fn status_code(served: u16, other: u16) -> Option<Difference> {
    let [served_number, other_number] = [served, other].map(|status| Json::Number(status.to_string()));
    let weighed = (DiffKind::Value, Severity::Contract);
    (served != other)
        .then(|| Difference::new(STATUS_CODE, weighed, Some(&served_number), Some(&other_number)))
}
