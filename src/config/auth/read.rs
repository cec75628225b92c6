//! `[auth]` from as written to as meant, and what is refused there: credentials of the proxy's own behind an open door above all.

use std::time::Duration;

use figment::value::Dict;

use super::{Auth, AuthMode, Caller, ClientCredentials, Scopes};
use crate::config::parse::one_of;
use crate::config::read::Written;
use crate::config::values::{canonical_path, file_path};
use crate::translate::paths::CONVERSION_NAMESPACE;

pub(in crate::config) fn read(written: &mut Written, base_path: Option<&str>) -> Option<Auth> {
    let mode = written.parsed("auth.mode", |text| one_of(text, AuthMode::ALL.map(AuthMode::as_str)));
    let token_path = written.optional("auth.token_path", |text| token_path(text, base_path));
    let scopes = written.parsed("auth.scopes", |text| one_of(text, Scopes::ALL.map(Scopes::as_str)));
    let timeout = written.duration("auth.timeout", Duration::from_millis(1));
    let refresh_margin = written.duration("auth.refresh_margin", Duration::ZERO);
    let callers = written.tables("auth.callers", caller);
    let legacy = credentials(written, &LEGACY);
    let new = credentials(written, &NEW);
    let lookup = credentials(written, &LOOKUP);
    let (mode, scopes) = (mode?, scopes?);
    let mode = AuthMode::ALL.into_iter().find(|known| known.as_str() == mode)?;
    if let Some(callers) = &callers {
        distinct(written, callers);
        if mode == AuthMode::ClientCredentials {
            let missing = |found: &Option<Option<ClientCredentials>>| matches!(found, Some(None));
            no_open_door(written, callers, missing(&legacy), missing(&new));
        }
    }
    Some(Auth {
        mode,
        token_path: token_path?,
        scopes: Scopes::ALL.into_iter().find(|known| known.as_str() == scopes)?,
        timeout: timeout?,
        refresh_margin: refresh_margin?,
        callers: callers?,
        legacy: legacy?,
        new: new?,
        lookup: lookup?,
    })
}

/// The proxy's credentials must not serve whoever finds the port, and both sides need some: which one a request goes to is
/// decided while it runs.
fn no_open_door(written: &mut Written, callers: &[Caller], no_legacy: bool, no_new: bool) {
    if callers.is_empty() {
        let message = "is empty while auth.mode is client_credentials: anybody could use the proxy's credentials; name who \
                       may come in";
        written.problem("auth.callers", message);
    }
    for (missing, key) in [(no_legacy, LEGACY.id), (no_new, NEW.id)] {
        if missing {
            written.problem(key, "is required while auth.mode is client_credentials");
        }
    }
}

fn distinct(written: &mut Written, callers: &[Caller]) {
    for (at, caller) in callers.iter().enumerate() {
        for earlier in &callers[..at] {
            if earlier.name == caller.name {
                written.problem("auth.callers", format!("names {:?} twice", caller.name));
            } else if (earlier.token, earlier.certificate) == (caller.token, caller.certificate) {
                let message =
                    format!("has the same credentials for {:?} and {:?}", earlier.name, caller.name);
                written.problem("auth.callers", message);
            }
        }
    }
}

fn token_path(text: &str, base_path: Option<&str>) -> Result<String, String> {
    canonical_path(text)?;
    let family = format!("{}{CONVERSION_NAMESPACE}", base_path.unwrap_or_default());
    match text.strip_prefix(&family) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err("lies among the conversions".into()),
        _ => Ok(text.to_owned()),
    }
}

/// The keys of one client.
struct Keys {
    id: &'static str,
    secret: &'static str,
    file: &'static str,
    scopes: &'static str,
}

const LEGACY: Keys = Keys {
    id: "auth.legacy.client_id",
    secret: "auth.legacy.client_secret",
    file: "auth.legacy.client_secret_file",
    scopes: "auth.legacy.scopes",
};
const NEW: Keys = Keys {
    id: "auth.new.client_id",
    secret: "auth.new.client_secret",
    file: "auth.new.client_secret_file",
    scopes: "auth.new.scopes",
};
const LOOKUP: Keys = Keys {
    id: "auth.lookup.client_id",
    secret: "auth.lookup.client_secret",
    file: "auth.lookup.client_secret_file",
    scopes: "auth.lookup.scopes",
};

/// One OAuth client; inner `None` when there is none.
fn credentials(written: &mut Written, keys: &Keys) -> Option<Option<ClientCredentials>> {
    let id = written.optional(keys.id, |text| Ok(text.to_owned()));
    let secret = written.secret(keys.secret, |_| Ok(()));
    let file = written.optional(keys.file, file_path);
    let scopes = written.names(keys.scopes);
    let (id, secret, file, scopes) = (id?, secret?, file?, scopes?);
    if scopes.iter().any(|scope| scope.contains(char::is_whitespace)) {
        written.problem(keys.scopes, "has a scope with a blank in it; write a list of scopes");
    }
    match (id, secret) {
        (Some(client_id), Some((client_secret, ()))) => {
            written.not_by_flag(keys.secret, "is a secret");
            Some(Some(ClientCredentials { client_id, client_secret, scopes }))
        }
        (None, None) if file.is_none() => Some(None),
        // A file was named and said nothing; that was told already.
        (Some(_), None) if file.is_some() => None,
        (Some(_), None) => {
            written.problem(keys.secret, format!("is required with {}", keys.id));
            None
        }
        (None, _) => {
            written.problem(keys.id, format!("is required with {}", keys.secret));
            None
        }
    }
}

/// One table of `auth.callers`, and how it is shown: a digest names a token without giving it away.
fn caller(table: &Dict) -> Result<(Caller, String), String> {
    const KEYS: [&str; 4] = ["name", "token_sha256", "certificate_sha256", "scopes"];
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("{unknown:?} is none of {}", KEYS.join(", ")));
    }
    let text = |key: &str| {
        table.get(key).map(|value| value.as_str().ok_or(format!("{key} must be text"))).transpose()
    };
    let name = text("name")?.filter(|name| !name.is_empty() && name.trim() == *name);
    let name = name.ok_or("has no name, or one with blanks around it")?.to_owned();
    let digest = |key: &str| {
        text(key)?.map(|hex| digest(hex).ok_or(format!("{key} is not 64 hex digits"))).transpose()
    };
    let (token, certificate) = (digest("token_sha256")?, digest("certificate_sha256")?);
    if token.is_none() && certificate.is_none() {
        return Err("has neither token_sha256 nor certificate_sha256".into());
    }
    let scopes = table.get("scopes").and_then(|value| value.as_array()).unwrap_or_default();
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str().unwrap_or_default()).collect();
    if scopes.is_empty() || scopes.iter().any(|scope| !["read", "write"].contains(scope)) {
        return Err("scopes must be a list of \"read\", \"write\" or both".into());
    }
    let proof =
        |kind: &str, digest: Option<[u8; 32]>| digest.map(|digest| format!(" {kind} {}", short(&digest)));
    let proofs: String =
        [proof("token", token), proof("certificate", certificate)].into_iter().flatten().collect();
    let shown = format!("{name} ({}){proofs}", scopes.join(","));
    let (read, write) = (scopes.contains(&"read"), scopes.contains(&"write"));
    Ok((Caller { name, token, certificate, read, write }, shown))
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    // Of 64 characters, so that the prefix "0x", which const-hex skips, is refused.
    if hex.len() != 64 {
        return None;
    }
    const_hex::decode_to_array(hex).ok()
}

/// Enough of a digest to tell two apart, and to see that one has changed.
fn short(digest: &[u8; 32]) -> String {
    const_hex::encode(&digest[..6])
}
