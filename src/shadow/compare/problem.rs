//! The differences between two problem documents, and between two HTTP statuses.

use super::difference::{BODY, Difference, STATUS_CODE, escaped, members};
use super::field::presence;
use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};

/// Compares two problem documents. Of `detail` and `meta` only presence and type are compared: their contents hold ids and each
/// API's own terms.
#[must_use]
pub fn problem(served: &Json, other: &Json) -> Vec<Difference> {
    let Some(members) = members(served, other) else {
        let not_alike = !served.is_like(other);
        let differs = |kind| Difference::new(BODY, (kind, Severity::Contract), Some(served), Some(other));
        return not_alike.then(|| differs(DiffKind::Type)).into_iter().collect();
    };
    let differs = |(key, served, other)| {
        let class = match presence(served, other) {
            Some(kind) => (kind, Severity::Contract),
            None if served != other => (DiffKind::Value, value_severity(key)?),
            None => return None,
        };
        Some(Difference::new(escaped(key).to_string(), class, served, other))
    };
    members.filter_map(differs).collect()
}

/// The severity of another value under this key; `None` when values differ by nature.
fn value_severity(key: &str) -> Option<Severity> {
    match key {
        "type" | "status" => Some(Severity::Contract),
        "title" => Some(Severity::Cosmetic),
        _ => None,
    }
}

/// The difference between two HTTP statuses, if any.
#[must_use]
pub fn status_code(served: u16, other: u16) -> Option<Difference> {
    let [served_number, other_number] = [served, other].map(|status| Json::Number(status.to_string()));
    let class = (DiffKind::Value, Severity::Contract);
    (served != other).then(|| Difference::new(STATUS_CODE, class, Some(&served_number), Some(&other_number)))
}
