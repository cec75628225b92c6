//! Problem documents in the legacy shape: the proxy's own, and the new API's errors in the old API's words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::json::{JsonError, JsonReader};
use super::mapping::{self, Origin};
use super::orchestration::Orchestration;
use super::token;
use crate::translate::side::Side;

/// A problem as the old API declares it. It travels as `application/json`, because generated clients look for `json`.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// A URI that names the kind of problem; `about:blank` says no more than the status.
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'static, str>,
    /// A short summary of the kind.
    pub(crate) title: Cow<'static, str>,
    pub(crate) status: u16,
    pub(crate) detail: String,
    /// More about it, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<Box<RawValue>>,
}

impl Problem {
    /// A problem that is no more special than its status.
    #[must_use]
    pub(crate) fn about_blank(status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: title(status).into(),
            status,
            detail: detail.into(),
            meta: None,
        }
    }

    /// The body of the answer, as `application/problem+json`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, a number and JSON that was read: nothing here can fail to serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The new API's error as the old API would have said it. A body that is not a problem document is replaced by one.
#[must_use]
pub fn from_orchestrations(status: u16, body: &[u8]) -> Problem {
    let members = read(body).unwrap_or_default();
    let text = |key: &str| members.get(key).and_then(|raw| serde_json::from_str::<String>(raw).ok());
    Problem {
        kind: text("type").map_or(Cow::Borrowed("about:blank"), Cow::Owned),
        title: text("title").map_or_else(|| title(status).into(), Cow::Owned),
        status,
        detail: text("detail").map_or_else(
            || format!("the Orchestrations API answered {status} without saying why"),
            |detail| legacy_words(&detail),
        ),
        meta: members.get("meta").and_then(|raw| legacy_meta(raw)),
    }
}

/// The 409 for a `ref_id` whose conversion already exists; `existing` is that conversion as JSON, as far as it is known.
#[must_use]
pub fn already_exists(ref_id: &str, existing: Option<&[u8]>) -> Problem {
    let meta = existing.map(|existing| [b"{\"existing\":", existing, b"}"].concat());
    let meta = meta.and_then(|meta| String::from_utf8(meta).ok());
    Problem {
        kind: "https://developer.paxos.com/docs/v2/problems/already-exists".into(),
        title: "Already Exists".into(),
        status: 409,
        detail: format!("conversion already exists with ref_id '{ref_id}'"),
        meta: meta.and_then(|meta| RawValue::from_string(meta).ok()),
    }
}

/// The 409 for a `ref_id` that was used on the old API, which cannot be asked any more what became of it. It does not say that
/// a conversion exists: nobody knows.
#[must_use]
pub(crate) fn used_before(ref_id: &str) -> Problem {
    let detail = format!(
        "ref_id '{ref_id}' was used on the retired API, which can no longer be asked what became of it; nothing was sent"
    );
    Problem {
        kind: "urn:conversion-shim:problem:ref-id-used-before".into(),
        title: "Reference Used Before".into(),
        ..Problem::about_blank(409, detail)
    }
}

/// The 504 for a create with an unknown outcome. The vendor has no problem type for this, so it is the proxy's own.
#[must_use]
pub(crate) fn outcome_unknown(detail: String, ref_id: &str) -> Problem {
    let meta = serde_json::json!({ "ref_id": ref_id }).to_string();
    Problem {
        kind: "urn:conversion-shim:problem:outcome-unknown".into(),
        title: "Outcome Unknown".into(),
        meta: RawValue::from_string(meta).ok(),
        ..Problem::about_blank(504, detail)
    }
}

/// The 409 for a `ref_id` that a record of another kind uses, such as a withdrawal. No conversion with it exists or was made.
#[must_use]
pub(crate) fn used_by_another_record(ref_id: &str) -> Problem {
    let detail = format!(
        "ref_id '{ref_id}' is used by a record that is not a conversion; nothing was converted; use another ref_id"
    );
    Problem {
        kind: "urn:conversion-shim:problem:ref-id-used-by-another-record".into(),
        title: "Reference Used By Another Record".into(),
        ..Problem::about_blank(409, detail)
    }
}

/// The 410 for a record of the API that is gone.
#[must_use]
pub(crate) fn gone(id: &str) -> Problem {
    let detail = format!("conversion with id {id} was made on the retired API, which is no longer reachable");
    Problem {
        kind: "urn:conversion-shim:problem:on-retired-api".into(),
        title: "On The Retired API".into(),
        ..Problem::about_blank(410, detail)
    }
}

/// The 403 for a caller whose token may not look whether its `ref_id` was already used on the other side.
#[must_use]
pub(crate) fn may_not_look(side: Side) -> Problem {
    let scope = match side {
        Side::Legacy => token::LEGACY_READ,
        Side::New => token::NEW_READ,
    };
    let detail = format!(
        "insufficient scopes: required one of '[{scope}]', to see whether a conversion with this ref_id already exists; \
         nothing was sent"
    );
    Problem::about_blank(403, detail)
}

/// The 403 for a caller that may do something else than what it asked for, in the vendor's words.
#[must_use]
pub(crate) fn insufficient_scopes(found: &str, required: &str) -> Problem {
    Problem::about_blank(403, format!("insufficient scopes: found '{found}', required one of '[{required}]'"))
}

/// Whether a refusal is the vendor's for a genuine token that lacks a scope. A 403 of anybody in between, who may not have looked
/// at the token at all, is not.
#[must_use]
pub fn says_insufficient_scopes(status: u16, body: &[u8]) -> bool {
    let detail = || serde_json::from_str::<String>(read(body)?.get("detail")?).ok();
    status == 403
        && detail().is_some_and(|detail| detail.to_ascii_lowercase().starts_with("insufficient scope"))
}

fn title(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}

/// The members of a JSON object as written; `None` for anything else.
fn read(body: &[u8]) -> Option<BTreeMap<String, &str>> {
    let mut members = BTreeMap::new();
    let mut reader = JsonReader::new(body).ok()?;
    reader
        .object(|key, value| {
            members.insert(key.to_owned(), value.value()?.as_written());
            Ok::<(), JsonError>(())
        })
        .ok()?;
    reader.end().ok()?;
    Some(members)
}

/// `existing` is mapped like any record, and left out when no legacy client may see it; the rest stays as written.
fn legacy_meta(meta: &str) -> Option<Box<RawValue>> {
    let mut out = Vec::with_capacity(meta.len());
    for (key, value) in read(meta.as_bytes())? {
        let mapped = if key == "existing" { legacy_record(value) } else { Some(value.as_bytes().to_vec()) };
        let Some(mapped) = mapped else { continue };
        out.push(if out.is_empty() { b'{' } else { b',' });
        out.extend(serde_json::to_vec(&key).ok()?);
        out.push(b':');
        out.extend(mapped);
    }
    if out.is_empty() {
        return None;
    }
    out.push(b'}');
    String::from_utf8(out).ok().and_then(|json| RawValue::from_string(json).ok())
}

fn legacy_record(orchestration: &str) -> Option<Vec<u8>> {
    let orchestration = Orchestration::parse(orchestration.as_bytes()).ok()?;
    // Only a create is answered with a record: the reference is that of the client's own request.
    if mapping::hidden(&orchestration, Origin::OwnReference).ok()?.is_some() {
        return None;
    }
    let mut out = Vec::new();
    mapping::conversion(&orchestration).ok()?.conversion.write(&mut out);
    Some(out)
}

/// The new API's nouns and field names in the old API's words. What stands in quotes is a value and stays, unless it is
/// exactly a field's name; scopes stay too, because they name what the caller has to ask for.
#[must_use]
pub fn legacy_words(detail: &str) -> String {
    let mut out = String::with_capacity(detail.len());
    let mut rest = detail;
    while let Some(first) = rest.chars().next() {
        // A quote after a letter is an apostrophe.
        let quoted = matches!(first, '\'' | '"' | '`') && !out.ends_with(char::is_alphanumeric);
        let length = match quoted.then(|| rest[1..].find(first)).flatten() {
            Some(close) => close + 2,
            None => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()).max(first.len_utf8()),
        };
        let (token, after) = rest.split_at(length);
        if quoted && length > 1 {
            // A quoted word is a field name or a value; a value, such as a client's reference, is never reworded.
            let inside = &token[1..length - 1];
            out.extend([first.encode_utf8(&mut [0; 4]), field(inside).unwrap_or(inside), &token[..1]]);
        } else {
            push_word(&mut out, token);
        }
        rest = after;
    }
    out
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.' | ':')
}

fn push_word(out: &mut String, token: &str) {
    let word = token.trim_end_matches(['.', ':']);
    if let Some(noun) = noun(word) {
        // `an orchestration` becomes `a conversion`.
        let article = out.strip_suffix("an ").or_else(|| out.strip_suffix("An "));
        if article.is_some_and(|before| !before.ends_with(is_word)) {
            out.truncate(out.len() - "n ".len());
            out.push(' ');
        }
        out.push_str(noun);
    } else {
        out.push_str(field(word).unwrap_or(word));
    }
    out.push_str(&token[word.len()..]);
}

fn noun(word: &str) -> Option<&'static str> {
    Some(match word {
        "orchestration" => "conversion",
        "orchestrations" => "conversions",
        "Orchestration" => "Conversion",
        "Orchestrations" => "Conversions",
        _ => return None,
    })
}

fn field(word: &str) -> Option<&'static str> {
    Some(match word {
        "source_amount" => "amount",
        "destination_asset" => "target_asset",
        "source.profile.profile_id" => "profile_id",
        "destination.profile.profile_id" => "recipient_profile_id",
        "created_at.gte" => "created_at.begin",
        "created_at.lte" => "created_at.end",
        _ => return None,
    })
}
