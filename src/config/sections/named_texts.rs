//! Tables in which every key is a text that must be there.

use figment::value::Dict;

use crate::config::values::wrong_type;

/// The texts under these keys, trimmed, and everything that is wrong: a key that is missing, empty or no text, and every other key. A text
/// that is wrong is empty.
pub(super) fn named_texts<const N: usize>(table: &Dict, keys: [&str; N]) -> ([String; N], Vec<String>) {
    let mut problems = unknown_keys(table, &keys);
    let text = |key: &str| -> Result<String, String> {
        let value = table.get(key).ok_or_else(|| format!("{key} is missing"))?;
        let text = value.as_str().ok_or_else(|| format!("{key} {}", wrong_type("text", Some(value))))?.trim();
        if text.is_empty() { Err(format!("{key} is empty")) } else { Ok(text.to_owned()) }
    };
    // Every problem of a table at once, as for keys.
    let texts = keys.map(|key| text(key).map_err(|problem| problems.push(problem)).unwrap_or_default());
    (texts, problems)
}

/// One problem for each key that the table cannot have.
pub(super) fn unknown_keys(table: &Dict, keys: &[&str]) -> Vec<String> {
    let unknown = table.keys().filter(|key| !keys.contains(&key.as_str()));
    unknown.map(|unknown| format!("{unknown} is not a key; it has {}", keys.join(", "))).collect()
}

/// What a text says; `None`, with its problem, if it says nothing that is understood. An empty text has its problem already.
pub(super) fn parsed<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
    problems: &mut Vec<String>,
) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    parse(text).map_err(|problem| problems.push(problem)).ok()
}
