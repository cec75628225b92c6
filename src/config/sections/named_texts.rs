//! Tables in which every key is a text that must be there.

use figment::value::Dict;

/// The texts under these keys, trimmed.
///
/// # Errors
/// When one is missing, empty or no text, or when there is another key.
pub(super) fn named_texts<const N: usize>(table: &Dict, keys: [&str; N]) -> Result<[String; N], String> {
    if let Some(unknown) = table.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(format!("{unknown} is not a key; it has {}", keys.join(", ")));
    }
    let text = |key: &str| -> Result<String, String> {
        let text = table.get(key).ok_or_else(|| format!("{key} is missing"))?;
        let text = text.as_str().ok_or_else(|| format!("{key} must be text"))?.trim();
        if text.is_empty() { Err(format!("{key} is empty")) } else { Ok(text.to_owned()) }
    };
    let mut texts = [const { String::new() }; N];
    for (slot, key) in texts.iter_mut().zip(keys) {
        *slot = text(key)?;
    }
    Ok(texts)
}
