//! `[auth.legacy]`, `[auth.new]` and `[auth.lookup]`: the proxy's own OAuth clients.

use crate::config::read::KeyReader;
use crate::config::secret::{PLACEHOLDER, Secret};

/// The purposes for which the proxy has credentials of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialSet {
    /// Requests to the legacy side.
    Legacy,
    /// Requests to the new side.
    New,
    /// Lookups; never used to answer a caller's get or list.
    Lookup,
}

impl CredentialSet {
    /// The name in config, logs and metrics.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::New => "new",
            Self::Lookup => "lookup",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCredentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    /// Requested scopes; empty = the request names none, and the vendor grants its default.
    pub(crate) scopes: Vec<String>,
}

/// The keys of one client.
pub(super) struct Keys {
    id: &'static str,
    secret: &'static str,
    secret_file: &'static str,
    scopes: &'static str,
}

pub(super) const LEGACY: Keys = Keys {
    id: "auth.legacy.client_id",
    secret: "auth.legacy.client_secret",
    secret_file: "auth.legacy.client_secret_file",
    scopes: "auth.legacy.scopes",
};
pub(super) const NEW: Keys = Keys {
    id: "auth.new.client_id",
    secret: "auth.new.client_secret",
    secret_file: "auth.new.client_secret_file",
    scopes: "auth.new.scopes",
};
pub(super) const LOOKUP: Keys = Keys {
    id: "auth.lookup.client_id",
    secret: "auth.lookup.client_secret",
    secret_file: "auth.lookup.client_secret_file",
    scopes: "auth.lookup.scopes",
};

/// The inner value is `None` when the client is not configured.
pub(super) fn read(reader: &mut KeyReader, keys: &Keys) -> Option<Option<ClientCredentials>> {
    let id = reader.on_reload(keys.id).optional(|text| Ok(text.to_owned()));
    let secret = reader.on_reload(keys.secret).secret(keys.secret_file, PLACEHOLDER, |_| Ok(()));
    let scopes = reader.on_reload(keys.scopes).texts();
    // A scope is a word (RFC 6749, section 3.3); one text with blanks was meant as several.
    if scopes.iter().flatten().any(|scope| scope.contains(char::is_whitespace)) {
        reader.problem(keys.scopes, "has a scope with a blank in it; write a list of scopes");
    }
    match (id?, secret) {
        (Some(client_id), Some(Some((client_secret, ())))) => {
            reader.refuse_flag(keys.secret, "is a secret");
            Some(Some(ClientCredentials { client_id, client_secret, scopes: scopes? }))
        }
        (None, Some(None)) => Some(None),
        (Some(_), Some(None)) => {
            reader.problem(keys.secret, format!("is required with {}", keys.id));
            None
        }
        // The secret is set. If its value is `None`, its own problem is already recorded.
        (None, Some(Some(_)) | None) => {
            reader.problem(keys.id, format!("is required with {}", keys.secret));
            None
        }
        (Some(_), None) => None,
    }
}

/// Refuses a client that is not configured.
pub(super) fn require(reader: &mut KeyReader, keys: &Keys, client: Option<&Option<ClientCredentials>>) {
    if let Some(None) = client {
        reader.problem(keys.id, "is required while auth.mode is client_credentials");
    }
}
