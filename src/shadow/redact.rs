//! Makes differences safe to write. A value is shown only if its path **and** its shape are known to be harmless; any other value is
//! a keyed hash: equal values have equal hashes, and guesses cannot be tested without the key. A key can be a client's text
//! too: one that the legacy API does not document, and every key of metadata, is a hash in paths. Ignore rules are matched
//! before redaction, against the path as it is.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use super::compare::difference::{BODY, Difference, STATUS_CODE};
use super::json::Json;
use super::record::Diff;
use super::side_response::SideResponse;
use crate::config::IgnoreRule;
use crate::translate::{decimal, timestamp};

/// Redacts paths and values with a keyed hash.
#[derive(Clone)]
pub struct Redactor {
    keyed: Hmac<Sha256>,
}

/// Does not show the key.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Redactor")
    }
}

impl Redactor {
    /// A redactor with this key. Without one the key is random, and hashes of two processes cannot be compared.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
    pub fn new(key: Option<&str>) -> Self {
        let random = || [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        let key = key.map_or_else(random, |key| key.as_bytes().to_vec());
        Self { keyed: Hmac::new_from_slice(&key).expect("HMAC accepts keys of any length") }
    }

    /// The value at this path, redacted.
    #[must_use]
    pub fn value(&self, path: &str, value: &Json) -> String {
        match shown(path, value) {
            Some(shown) => shown,
            None => self.hash(&value.to_string(), 8),
        }
    }

    /// The path with hashes in place of names that are not fields of the legacy API.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        let mut names: Vec<String> = Vec::new();
        let mut in_metadata = false;
        for part in path.split('.') {
            let (name, index) = part.split_at(part.find('[').unwrap_or(part.len()));
            let known = !in_metadata && NAMES.contains(&name);
            let name = if known { name.to_owned() } else { self.hash(name, 4) };
            // After the name itself, which is known; every key below it is the client's text.
            in_metadata |= part == "metadata";
            names.push(name + index);
        }
        names.join(".")
    }

    /// The differences with paths and values redacted, and no rule.
    #[must_use]
    pub fn differences(&self, differences: &[Difference]) -> Vec<Diff> {
        differences.iter().map(|difference| self.difference(difference, None)).collect()
    }

    /// The accepted differences, redacted, each with the rule at its index in `rules`.
    #[must_use]
    pub fn ignored(&self, ignored: &[(Difference, usize)], rules: &[IgnoreRule]) -> Vec<Diff> {
        ignored.iter().map(|(difference, at)| self.difference(difference, rules.get(*at))).collect()
    }

    fn difference(&self, difference: &Difference, rule: Option<&IgnoreRule>) -> Diff {
        let value = |value: &Option<Json>| value.as_ref().map(|value| self.value(&difference.path, value));
        Diff {
            path: self.path(&difference.path),
            kind: difference.kind,
            served: value(&difference.served),
            other: value(&difference.other),
            rule: rule.map(|rule| rule.path.as_str().to_owned()),
            severity: difference.severity,
        }
    }

    /// The `type` of a problem document, redacted.
    #[must_use]
    pub fn problem_type(&self, response: &SideResponse) -> Option<String> {
        let kind = response.document().filter(|_| response.is_refusal())?.get("type")?;
        Some(self.value("type", kind))
    }

    /// `hash:` and the first `bytes` bytes of the keyed hash, in hex.
    fn hash(&self, text: &str, bytes: usize) -> String {
        let mut keyed = self.keyed.clone();
        keyed.update(text.as_bytes());
        format!("hash:{}", const_hex::encode(&keyed.finalize().into_bytes()[..bytes]))
    }
}

/// The names that no client chose: the legacy API's fields, and the paths that are not fields.
const NAMES: [&str; 24] = [
    "account_id",
    "amount",
    BODY,
    "cancelled_at",
    "created_at",
    "detail",
    "id",
    "identity_id",
    "instance",
    "items",
    "meta",
    "metadata",
    "next_page_cursor",
    "profile_id",
    "recipient_profile_id",
    "ref_id",
    "settled_at",
    "source_asset",
    "status",
    STATUS_CODE,
    "target_asset",
    "title",
    "type",
    "updated_at",
];

/// The value itself, if it is harmless at this path.
fn shown(path: &str, value: &Json) -> Option<String> {
    let field = field(path)?;
    let harmless = match value {
        Json::Null | Json::Bool(_) => NAMES.contains(&field),
        Json::Number(number) => matches!(field, "status" | STATUS_CODE) && is_status_code(number),
        Json::Text(text) => is_harmless(field, text),
        Json::Array(_) | Json::Object(_) => false,
    };
    harmless.then(|| value.as_text().map_or_else(|| value.to_string(), str::to_owned))
}

/// The last name of a path, if it is a field of a record, a row, a page or a problem; not of metadata, not of an unknown object.
fn field(path: &str) -> Option<&str> {
    let Some(row) = path.strip_prefix("items[") else { return (!path.contains(['.', '['])).then_some(path) };
    let (index, field) = row.split_once("].")?;
    let plain = index.bytes().all(|digit| digit.is_ascii_digit()) && !field.contains(['.', '[']);
    plain.then_some(field)
}

fn is_harmless(field: &str, text: &str) -> bool {
    match field {
        "amount" => text.len() <= 64 && decimal::is_decimal(text),
        "source_asset" | "target_asset" => is_asset(text),
        "status" => is_word(text, 32, |byte| byte.is_ascii_uppercase() || byte == b'_'),
        "created_at" | "updated_at" | "settled_at" | "cancelled_at" => timestamp::parse(text).is_some(),
        // The length too: `try_parse` also reads forms with braces or without dashes, which no API documents.
        "id" | "profile_id" | "recipient_profile_id" => text.len() == 36 && Uuid::try_parse(text).is_ok(),
        "type" => text.len() <= 128 && is_problem_type(text),
        _ => false,
    }
}

/// Whether the text has the shape of an asset's name.
pub(super) fn is_asset(text: &str) -> bool {
    is_word(text, 12, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_word(text: &str, longest: usize, letter: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(letter)
}

fn is_status_code(number: &str) -> bool {
    number.len() == 3 && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// Whether it is `about:blank`, one of the proxy's own types, or a URL whose path holds words only, as in
/// `/docs/v2/problems/already-exists`.
fn is_problem_type(text: &str) -> bool {
    let slug = |segment: &str| is_word(segment, 40, |byte| byte.is_ascii_lowercase() || byte == b'-');
    let version = |segment: &str| matches!(segment.as_bytes(), [b'v', digit] if digit.is_ascii_digit());
    if let Some(kind) = text.strip_prefix("urn:conversion-shim:problem:") {
        return slug(kind);
    }
    let url = text.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
    text == "about:blank"
        || url.is_some_and(|(host, path)| {
            host.split('.').all(slug) && path.split('/').all(|segment| slug(segment) || version(segment))
        })
}
