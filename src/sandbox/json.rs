//! JSON merge patches (RFC 7396), by which variants and faults change records and answers.

use serde_json::{Map, Value};

/// Merges `patch` into `target`: objects member by member, null removes, anything else replaces.
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        match (change, target.get_mut(name)) {
            (Value::Null, _) => drop(target.shift_remove(name)),
            (Value::Object(change), Some(Value::Object(inner))) => merge(inner, change),
            (change, _) => drop(target.insert(name.clone(), change.clone())),
        }
    }
}
