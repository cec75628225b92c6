//! A file with a bearer token, for commands that read from the vendor.

use std::path::Path;

use http::HeaderValue;

use crate::config::of_file;

/// The value of `Authorization`, marked so that no log shows it.
pub(super) fn authorization(file: &Path) -> Result<HeaderValue, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let token = of_file(&text);
    if token.is_empty() {
        return Err(format!("{} is empty", file.display()));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| format!("{} holds no token", file.display()))?;
    value.set_sensitive(true);
    Ok(value)
}
