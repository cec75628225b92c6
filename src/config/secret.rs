//! Texts that are never displayed.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

/// Displayed in place of a secret.
pub(super) const SHOWN: &str = "(set)";

/// Stands for a secret whose file is not readable here. Long enough for a key and valid in a header.
pub(super) const PLACEHOLDER: &str = "(not readable here)";

/// A text that may hold a password. `Debug` and `Display` do not print it, it has no `Serialize`, comparison takes constant
/// time, and its memory is overwritten on drop.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    #[must_use]
    pub(crate) fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself. Never log or display it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        // In constant time, so that a comparison with a guess says nothing by how long it takes.
        self.reveal().as_bytes().ct_eq(other.reveal().as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(SHOWN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(SHOWN)
    }
}
