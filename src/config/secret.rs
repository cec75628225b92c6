//! Texts that are never shown, and which keys hold them.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::Config;
use super::auth::{ClientCredentials, CredentialSet};

/// A text that may hold a password. Neither `Debug` nor `Display` print it, it has no `Serialize`, and its memory is
/// overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that hands it on. Never log what this returns.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal().as_bytes().ct_eq(other.reveal().as_bytes()).into()
    }
}

impl Eq for Secret {}

/// What stands in for a secret wherever one would be shown.
pub(super) const SHOWN: &str = "(set)";

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

/// A key that holds a secret.
pub(super) struct SecretKey {
    pub(super) key: &'static str,
    /// The key that names a file to read it from.
    pub(super) file_key: &'static str,
    /// What stands for it where the file cannot be read and nobody will use it: a text that breaks no rule about this key. Of
    /// ledgers the one that any number of processes may share.
    pub(super) stand_in: &'static str,
    of: fn(&Config) -> Option<&Secret>,
}

/// Long enough for a key, and fit for a header.
const STAND_IN: &str = "(not readable here)";

/// Every key that holds a secret.
pub(super) const SECRETS: [SecretKey; 6] = [
    SecretKey {
        key: "auth.legacy.client_secret",
        file_key: "auth.legacy.client_secret_file",
        stand_in: STAND_IN,
        of: |config| config.auth.credentials(CredentialSet::Legacy).map(ClientCredentials::secret),
    },
    SecretKey {
        key: "auth.new.client_secret",
        file_key: "auth.new.client_secret_file",
        stand_in: STAND_IN,
        of: |config| config.auth.credentials(CredentialSet::New).map(ClientCredentials::secret),
    },
    SecretKey {
        key: "auth.lookup.client_secret",
        file_key: "auth.lookup.client_secret_file",
        stand_in: STAND_IN,
        of: |config| config.auth.credentials(CredentialSet::Lookup).map(ClientCredentials::secret),
    },
    SecretKey {
        key: "ledger.url",
        file_key: "ledger.url_file",
        stand_in: "postgres://not-readable-here",
        of: |config| config.ledger.as_ref().map(|ledger| &ledger.url),
    },
    SecretKey {
        key: "shadow.redaction_key",
        file_key: "shadow.redaction_key_file",
        stand_in: STAND_IN,
        of: |config| config.shadow.redaction_key.as_ref(),
    },
    SecretKey {
        key: "tracing.authorization",
        file_key: "tracing.authorization_file",
        stand_in: STAND_IN,
        of: |config| config.traces.authorization.as_ref(),
    },
];

/// Whether a key holds a secret.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.iter().any(|secret| secret.key == key)
}

/// Whether a key's secret differs. Secrets are shown alike, so they are compared themselves.
pub(super) fn differs(key: &str, before: &Config, after: &Config) -> bool {
    SECRETS.iter().any(|secret| secret.key == key && (secret.of)(before) != (secret.of)(after))
}
