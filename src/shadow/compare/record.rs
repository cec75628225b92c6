//! The differences between two conversions.

use super::difference::{BODY, Difference, escaped, members};
use super::field::{FieldClass, presence};
use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};

/// Compares two conversions. Of the fields in `except` only presence and type are compared.
#[must_use]
pub fn record(served: &Json, other: &Json, except: &[&str]) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", served, other, except, &mut found);
    found
}

/// As [`record`], for the record at the path `base`: `""` or `items[3]`.
pub(super) fn compare(base: &str, served: &Json, other: &Json, except: &[&str], found: &mut Vec<Difference>) {
    let Some(members) = members(served, other) else {
        if served != other {
            let kind = if served.is_like(other) { DiffKind::Value } else { DiffKind::Type };
            let path = if base.is_empty() { BODY } else { base };
            found.push(Difference::new(path, (kind, Severity::Contract), Some(served), Some(other)));
        }
        return;
    };
    let dot = if base.is_empty() { "" } else { "." };
    for (key, served, other) in members {
        let path = || format!("{base}{dot}{}", escaped(key));
        if key == "metadata"
            && let (Some(served), Some(other)) = (served, other)
            && metadata(&path(), served, other, found)
        {
            continue;
        }
        // A field in `except` may have another value, but not be absent or of another type: clients parse it.
        let is_compared = !except.contains(&key) || presence(served, other).is_some();
        if let Some(class) = is_compared.then(|| FieldClass::of(key).compare(served, other)).flatten() {
            found.push(Difference::new(path(), class, served, other));
        }
    }
}

/// Compares metadata key by key; `false` unless both are objects.
fn metadata(base: &str, served: &Json, other: &Json, found: &mut Vec<Difference>) -> bool {
    let Some(members) = members(served, other) else { return false };
    for (key, served, other) in members {
        if let Some(class) = FieldClass::Other.compare(served, other) {
            found.push(Difference::new(format!("{base}.{}", escaped(key)), class, served, other));
        }
    }
    true
}
