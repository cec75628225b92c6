//! What may be written of a difference. A value is shown only where its place **and** its shape are known to be harmless;
//! everything else is a keyed hash: equal values have equal hashes, and without the key nobody can try out what they stand for.
//! Keys can be a client's text too: one that is not a name of the legacy API, and every key of metadata, is a hash in paths.
//! Ignore rules are matched against the path as it is, before anything here.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use super::answer::Answer;
use super::compare::{BODY, Difference, STATUS_CODE};
use super::json::Json;
use super::record::Diff;
use crate::config::IgnoreRule;
use crate::translate::{decimal, timestamp};

/// Makes differences fit to be written.
#[derive(Clone)]
pub struct Redactor {
    keyed: Hmac<Sha256>,
}

/// Never shows the key.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Redactor")
    }
}

impl Redactor {
    /// A redactor with this key; without one, a random key, so that hashes of two processes cannot be compared.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn new(key: Option<&str>) -> Self {
        let random = || [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        let key = key.map_or_else(random, |key| key.as_bytes().to_vec());
        Self { keyed: Hmac::new_from_slice(&key).expect("any key will do") }
    }

    /// A value, as it may be written at this place.
    #[must_use]
    pub fn value(&self, path: &str, value: &Json) -> String {
        match shown(path, value) {
            Some(shown) => shown,
            None => self.hash(&value.to_string(), 8),
        }
    }

    /// A path, as it may be written.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        let mut names: Vec<String> = Vec::new();
        let mut in_metadata = false;
        for part in path.split('.') {
            let (name, index) = part.split_at(part.find('[').unwrap_or(part.len()));
            let known = !in_metadata && NAMES.contains(&name);
            let name = if known { name.to_owned() } else { self.hash(name, 4) };
            in_metadata |= part == "metadata";
            names.push(name + index);
        }
        names.join(".")
    }

    /// What differs, as it may be written.
    #[must_use]
    pub fn differences(&self, differences: &[Difference]) -> Vec<Diff> {
        differences.iter().map(|difference| self.difference(difference, None)).collect()
    }

    /// What differs and is accepted, as it may be written, each with its rule.
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

    /// The `type` of an answer's problem document, as it may be written.
    #[must_use]
    pub fn problem_type(&self, answer: &Answer) -> Option<String> {
        let kind = answer.document().filter(|_| answer.is_refusal())?.get("type")?;
        Some(self.value("type", kind))
    }

    /// `hash:` and so many bytes of the keyed hash, in hex.
    fn hash(&self, text: &str, bytes: usize) -> String {
        let mut keyed = self.keyed.clone();
        keyed.update(text.as_bytes());
        format!("hash:{}", const_hex::encode(&keyed.finalize().into_bytes()[..bytes]))
    }
}

/// The names of the legacy API's fields, and the places that are not fields. No client chose them.
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

/// The value itself, where that gives nothing away.
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

/// The field that a path ends in, if it is one of a record, a row, a page or a problem: not of metadata, not of anything unknown.
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
        "id" | "profile_id" | "recipient_profile_id" => text.len() == 36 && Uuid::try_parse(text).is_ok(),
        "type" => text.len() <= 128 && is_problem_type(text),
        _ => false,
    }
}

/// Whether a text has the shape of an asset's name.
pub(super) fn is_asset(text: &str) -> bool {
    is_word(text, 12, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_word(text: &str, longest: usize, letter: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(letter)
}

fn is_status_code(number: &str) -> bool {
    number.len() == 3 && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// `about:blank`, the proxy's own kinds, or an address whose path is nothing but words, as in `/docs/v2/problems/already-exists`.
fn is_problem_type(text: &str) -> bool {
    let slug = |segment: &str| is_word(segment, 40, |byte| byte.is_ascii_lowercase() || byte == b'-');
    let version = |segment: &str| matches!(segment.as_bytes(), [b'v', digit] if digit.is_ascii_digit());
    if let Some(kind) = text.strip_prefix("urn:conversion-shim:problem:") {
        return slug(kind);
    }
    let address = text.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
    text == "about:blank"
        || address.is_some_and(|(host, path)| {
            host.split('.').all(slug) && path.split('/').all(|segment| slug(segment) || version(segment))
        })
}
