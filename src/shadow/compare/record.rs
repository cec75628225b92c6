//! One conversion against one conversion.

use super::severity::{Field, presence};
use super::{BODY, Difference, escaped, members};
use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};

/// What differs between two conversions. Of the fields named in `except` only presence and type are compared.
#[must_use]
pub fn record(served: &Json, other: &Json, except: &[&str]) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", served, other, except, &mut found);
    found
}

/// As [`record`], for the record at `place`: `""`, or `items[3]`.
pub(super) fn compare(
    place: &str,
    served: &Json,
    other: &Json,
    except: &[&str],
    found: &mut Vec<Difference>,
) {
    let Some(members) = members(served, other) else {
        if served != other {
            let kind = if served.is_like(other) { DiffKind::Value } else { DiffKind::Type };
            let path = if place.is_empty() { BODY } else { place };
            found.push(Difference::new(path, (kind, Severity::Contract), Some(served), Some(other)));
        }
        return;
    };
    let dot = if place.is_empty() { "" } else { "." };
    for (key, served, other) in members {
        let path = || format!("{place}{dot}{}", escaped(key));
        let field = Field::of(key);
        if key == "metadata"
            && let (Some(served), Some(other)) = (served, other)
            && metadata(&path(), served, other, found)
        {
            continue;
        }
        let known = !except.contains(&key) || presence(served, other).is_some();
        if let Some(weighed) = known.then(|| field.weigh(served, other)).flatten() {
            found.push(Difference::new(path(), weighed, served, other));
        }
    }
}

/// Compares the client's own keys one by one; `false` when one of the two is not an object.
fn metadata(place: &str, served: &Json, other: &Json, found: &mut Vec<Difference>) -> bool {
    let Some(members) = members(served, other) else { return false };
    for (key, served, other) in members {
        if let Some(weighed) = Field::Other.weigh(served, other) {
            found.push(Difference::new(format!("{place}.{}", escaped(key)), weighed, served, other));
        }
    }
    true
}
