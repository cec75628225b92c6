//! Tables in which every key is a text that must be there.

use figment::value::Dict;

/// The texts under these keys, trimmed.
///
/// # Errors
/// Everything that is wrong: a key that is missing, empty or no text, and every other key.
pub(super) fn named_texts<const N: usize>(table: &Dict, keys: [&str; N]) -> Result<[String; N], String> {
    let mut problems: Vec<_> = table
        .keys()
        .filter(|key| !keys.contains(&key.as_str()))
        .map(|unknown| format!("{unknown} is not a key; it has {}", keys.join(", ")))
        .collect();
    let text = |key: &str| -> Result<String, String> {
        let text = table.get(key).ok_or_else(|| format!("{key} is missing"))?;
        let text = text.as_str().ok_or_else(|| format!("{key} must be text"))?.trim();
        if text.is_empty() { Err(format!("{key} is empty")) } else { Ok(text.to_owned()) }
    };
    let texts = keys.map(|key| text(key).map_err(|problem| problems.push(problem)).unwrap_or_default());
    if problems.is_empty() { Ok(texts) } else { Err(problems.join("; ")) }
}
