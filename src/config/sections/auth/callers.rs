//! `[[auth.callers]]`: who may call the proxy while its own credentials go to the vendor.

use figment::value::Dict;

use crate::config::read::KeyReader;

pub(super) const KEY: &str = "auth.callers";
const NAME: &str = "name";
const TOKEN: &str = "token_sha256";
const CERTIFICATE: &str = "certificate_sha256";
const SCOPES: &str = "scopes";
const FIELDS: [&str; 4] = [NAME, TOKEN, CERTIFICATE, SCOPES];
const READ: &str = "read";
const WRITE: &str = "write";

/// A caller. Each proof that is set must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    /// SHA-256 of the bearer token.
    pub(crate) token: Option<[u8; 32]>,
    /// SHA-256 of the client certificate in DER.
    pub(crate) certificate: Option<[u8; 32]>,
    /// May get, list, and use every other safe method.
    pub(crate) read: bool,
    /// May create, cancel, and use every other method.
    pub(crate) write: bool,
}

pub(super) fn read(keys: &mut KeyReader) -> Option<Vec<Caller>> {
    let callers = keys.on_reload(KEY).tables(parse)?;
    for (index, caller) in callers.iter().enumerate() {
        for earlier in &callers[..index] {
            if earlier.name == caller.name {
                keys.problem(KEY, format!("names {:?} twice", caller.name));
            // A request could be either caller, and which scopes it has would depend on their order.
            } else if (earlier.token, earlier.certificate) == (caller.token, caller.certificate) {
                let message =
                    format!("has the same credentials for {:?} and {:?}", earlier.name, caller.name);
                keys.problem(KEY, message);
            }
        }
    }
    Some(callers)
}

pub(super) fn require(keys: &mut KeyReader, callers: Option<&[Caller]>) {
    if callers.is_some_and(<[Caller]>::is_empty) {
        let message = "is empty while auth.mode is client_credentials: everyone could use the proxy's credentials; list who \
                       may call";
        keys.problem(KEY, message);
    }
}

/// Parses one table, and formats it for display. A digest identifies a token without revealing it.
fn parse(table: &Dict) -> Result<(Caller, String), String> {
    let mut problems: Vec<_> = table
        .keys()
        .filter(|key| !FIELDS.contains(&key.as_str()))
        .map(|unknown| format!("{unknown:?} is none of {}", FIELDS.join(", ")))
        .collect();
    let mut keep = |problem: String| problems.push(problem);
    let name = name(table).map_err(&mut keep).unwrap_or_default();
    let [token, certificate] = [TOKEN, CERTIFICATE].map(|field| digest(table, field).map_err(&mut keep).ok());
    if let (Some(None), Some(None)) = (token, certificate) {
        keep(format!("has neither {TOKEN} nor {CERTIFICATE}"));
    }
    let scopes = table.get(SCOPES).and_then(|value| value.as_array()).unwrap_or_default();
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str().unwrap_or_default()).collect();
    if scopes.is_empty() || scopes.iter().any(|scope| ![READ, WRITE].contains(scope)) {
        keep(format!("{SCOPES} must be a list of {READ:?}, {WRITE:?} or both"));
    }
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let (token, certificate) = (token.flatten(), certificate.flatten());
    let proofs: String = [("token", token), ("certificate", certificate)]
        .into_iter()
        .filter_map(|(kind, digest)| Some(format!(" {kind} {}", abbreviate(&digest?))))
        .collect();
    let shown = format!("{name} ({}){proofs}", scopes.join(","));
    let (read, write) = (scopes.contains(&READ), scopes.contains(&WRITE));
    Ok((Caller { name, token, certificate, read, write }, shown))
}

fn name(table: &Dict) -> Result<String, String> {
    let name = text(table, NAME)?.filter(|name| !name.is_empty() && name.trim() == *name);
    Ok(name.ok_or("has no name, or one with blanks around it")?.to_owned())
}

fn text<'a>(table: &'a Dict, field: &str) -> Result<Option<&'a str>, String> {
    table.get(field).map(|value| value.as_str().ok_or(format!("{field} must be text"))).transpose()
}

fn digest(table: &Dict, field: &str) -> Result<Option<[u8; 32]>, String> {
    let Some(hex) = text(table, field)? else { return Ok(None) };
    // The length is checked first because const-hex accepts and skips a leading 0x.
    let digest = if hex.len() == 64 { const_hex::decode_to_array(hex).ok() } else { None };
    digest.map(Some).ok_or(format!("{field} is not 64 hex digits"))
}

/// Enough of a digest to distinguish two and to see a change.
fn abbreviate(digest: &[u8; 32]) -> String {
    const_hex::encode(&digest[..6])
}
