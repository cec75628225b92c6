//! Create: maps the legacy request to the new API's, and the new API's answer to a conversion.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::conversion::{Conversion, is_same_recipient, recipient};
use super::decimal;
use super::identifier;
use super::invalid::Invalid;
use super::json::{JsonError, JsonReader, Raw, Text};
use super::mapping::{self, Mapped};
use super::orchestration::{Orchestration, Unreadable};

/// A validated legacy create. Empty strings and `null` count as absent, as they do at the vendor.
#[derive(Clone, Copy, Debug)]
pub struct CreateRequest<'a> {
    /// The profile that is debited.
    pub(crate) profile_id: Text<'a>,
    /// A decimal string in the source asset.
    pub(crate) amount: Text<'a>,
    pub(crate) source_asset: Text<'a>,
    pub(crate) target_asset: Text<'a>,
    /// The client's reference; optional in the legacy API, required in the new one.
    pub ref_id: Option<Text<'a>>,
    pub(crate) identity_id: Option<Text<'a>>,
    pub(crate) account_id: Option<Text<'a>>,
    /// The client's own keys and values, as written.
    pub(crate) metadata: Option<Raw<'a>>,
    /// The receiving profile of a directed settlement.
    pub(crate) recipient_profile_id: Option<Text<'a>>,
}

impl<'a> CreateRequest<'a> {
    /// Parses and validates a request body. Unknown keys are ignored, as the legacy API does.
    ///
    /// # Errors
    /// All invalid fields.
    pub fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let mut wrong = Invalid::default();
        let fields = Fields::read(body, &mut wrong)
            .map_err(|error| Invalid::new("body", format!("is not a JSON object: {error}")))?;
        let required = |name, wrong: &mut Invalid| {
            let text = fields.text(name, wrong);
            // A field of the wrong type is reported once, not as missing as well.
            if text.is_none() && !wrong.names(name) {
                wrong.add(name, "is required");
            }
            text
        };
        // All fields are read before any error is returned, so that a client sees every mistake at once.
        let profile_id = required("profile_id", &mut wrong);
        let amount = required("amount", &mut wrong).filter(|amount| check_amount(*amount, &mut wrong));
        let source_asset = required("source_asset", &mut wrong);
        let target_asset = required("target_asset", &mut wrong);
        // The legacy API refuses this. The new one may take it for a transfer, which a legacy client could never see.
        let is_same = |(source, target): (Text<'_>, Text<'_>)| {
            both(Some(source), Some(target))
                .is_some_and(|(source, target)| identifier::same_asset(&source, &target))
        };
        if source_asset.zip(target_asset).is_some_and(is_same) {
            wrong.add("target_asset", "must differ from source_asset");
        }
        let ref_id = fields.text("ref_id", &mut wrong);
        // PostgreSQL text cannot hold it, so such a reference could never be claimed.
        if ref_id.and_then(Text::value).is_some_and(|value| value.contains('\0')) {
            wrong.add("ref_id", "must not hold the character U+0000");
        }
        let identity_id = fields.text("identity_id", &mut wrong);
        let account_id = fields.text("account_id", &mut wrong);
        let recipient_profile_id = fields.text("recipient_profile_id", &mut wrong);
        let metadata = fields.metadata(&mut wrong);
        match (profile_id, amount, source_asset, target_asset) {
            (Some(profile_id), Some(amount), Some(source_asset), Some(target_asset)) if wrong.is_empty() => {
                Ok(Self {
                    profile_id,
                    amount,
                    source_asset,
                    target_asset,
                    ref_id,
                    identity_id,
                    account_id,
                    metadata,
                    recipient_profile_id,
                })
            }
            _ => Err(wrong),
        }
    }

    /// The new API's request. `made_ref_id` is used when the client gave none; it must need no escaping in JSON.
    #[must_use]
    pub fn to_orchestration(self, made_ref_id: &str) -> String {
        let ref_id = self.ref_id.map_or(made_ref_id, Text::as_written);
        let profile = self.profile_id.as_written();
        // The legacy API credits the same profile unless another one is named; the new one needs both ends.
        let recipient = self.recipient_profile_id.map_or(profile, Text::as_written);
        // Assembled from slices as written: no value is unescaped or converted, so an amount keeps its digits.
        let mut out = format!(
            r#"{{"ref_id":"{ref_id}","source_amount":"{}","source_asset":"{}","destination_asset":"{}","source":{{"profile":{{"profile_id":"{profile}"}}}},"destination":{{"profile":{{"profile_id":"{recipient}"}}}}"#,
            self.amount.as_written(),
            self.source_asset.as_written(),
            self.target_asset.as_written(),
        );
        let optional = [("identity_id", self.identity_id), ("account_id", self.account_id)];
        for (key, text) in optional.into_iter().filter_map(|(key, text)| Some((key, text?))) {
            // Writing to a String cannot fail.
            let _ = write!(out, r#","{key}":"{}""#, text.as_written());
        }
        if let Some(metadata) = self.metadata {
            let _ = write!(out, r#","metadata":{}"#, metadata.as_written());
        }
        out.push('}');
        out
    }

    /// Whether `found` is the conversion that this request asks for. Amounts are compared as decimals, ids and assets as
    /// [`identifier`] does: the vendor may answer them in another spelling. The nil UUID and an empty string are the same as an absent
    /// id. The reference is not compared here.
    #[must_use]
    pub fn asks_for(&self, found: &Conversion<'_>) -> bool {
        // The vendor may leave identity and account out, and fill in those of the profile; only another one is another request's.
        let account = |asked, found| {
            let known = |text| value(text).filter(|text| !identifier::is_absent(text));
            known(asked).zip(known(found)).is_none_or(|(asked, found)| identifier::same(&asked, &found))
        };
        let asset = |asked, found| {
            both(Some(asked), found).is_some_and(|(asked, found)| identifier::same_asset(&asked, &found))
        };
        let profile = || both(Some(self.profile_id), found.profile_id);
        let amount = || both(Some(self.amount), found.amount);
        profile().is_some_and(|(asked, found)| identifier::same(&asked, &found))
            && asset(self.source_asset, found.source_asset)
            && asset(self.target_asset, found.target_asset)
            && is_same_recipient(
                recipient(self.recipient_profile_id, Some(self.profile_id)),
                found.recipient(),
            )
            && account(self.identity_id, found.identity_id)
            && account(self.account_id, found.account_id)
            // The vendor may write the amount with other zeros; a record of another amount is never this request's.
            && amount().is_some_and(|(asked, found)| decimal::same(&asked, &found))
    }
}

fn value(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.and_then(Text::value)
}

fn both<'a>(one: Option<Text<'a>>, other: Option<Text<'a>>) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    value(one).zip(value(other))
}

/// The conversion that a 2xx answer to a create holds. The proxy asked for it, so it is shown whatever it looks like.
///
/// # Errors
/// When the answer is not an orchestration with an id: then the outcome of the create is unknown.
pub fn answer(body: &[u8]) -> Result<Mapped<'_>, Unreadable> {
    mapping::conversion(&Orchestration::parse(body)?)
}

const FIELDS: [&str; 9] = [
    "profile_id",
    "amount",
    "source_asset",
    "target_asset",
    "ref_id",
    "identity_id",
    "account_id",
    "recipient_profile_id",
    "metadata",
];

/// The field that a key might be taken for by a server that forgives letter case, underscores, dashes and spaces, as some do. A reference
/// that one side reads and the proxy does not would be no protection.
fn spelled_otherwise(key: &str) -> Option<&'static str> {
    let plain = |name: &str| name.replace(['_', '-', ' '], "").to_ascii_lowercase();
    FIELDS.into_iter().find(|field| *field != key && plain(field) == plain(key))
}

/// The known fields of a body, as written, before anything is asked of them.
struct Fields<'a>([Option<Raw<'a>>; FIELDS.len()]);

impl<'a> Fields<'a> {
    fn read(body: &'a [u8], wrong: &mut Invalid) -> Result<Self, JsonError> {
        let mut reader = JsonReader::new(body)?;
        let mut fields = [None; FIELDS.len()];
        reader.object(|key, value| {
            let value = value.value()?;
            match FIELDS.iter().position(|field| *field == key) {
                // Two values could be read differently by the vendor and by the proxy.
                Some(at) if fields[at].replace(value).is_some() => wrong.add(FIELDS[at], "is given twice"),
                Some(_) => {}
                None => {
                    // A lenient server may take it for the field; the proxy would translate a create without it.
                    if let Some(field) = spelled_otherwise(key) {
                        wrong.add(field, "is spelled otherwise; it must be spelled like this");
                    }
                }
            }
            Ok::<(), JsonError>(())
        })?;
        reader.end()?;
        Ok(Self(fields))
    }

    fn raw(&self, name: &str) -> Option<Raw<'a>> {
        FIELDS.iter().position(|field| *field == name).and_then(|at| self.0[at]).filter(|raw| !raw.is_null())
    }

    fn text(&self, name: &'static str, wrong: &mut Invalid) -> Option<Text<'a>> {
        let Some(text) = self.raw(name)?.as_text() else {
            wrong.add(name, "must be a string");
            return None;
        };
        // It has no value in Unicode, so it could be claimed under no key.
        if text.value().is_none() {
            wrong.add(name, "holds half of a surrogate pair");
        }
        Some(text).filter(|text| !text.is_empty())
    }

    fn metadata(&self, wrong: &mut Invalid) -> Option<Raw<'a>> {
        let raw = self.raw("metadata")?;
        let all_strings = JsonReader::new(raw.as_written().as_bytes()).is_ok_and(|mut reader| {
            let each = |_: &str, value: &mut JsonReader<'_>| {
                let text = value.value()?.as_text().and_then(Text::value);
                text.map(drop).ok_or_else(|| value.error("not a string"))
            };
            reader.object::<JsonError>(each).is_ok()
        });
        if !all_strings {
            wrong.add("metadata", "must be an object whose values are strings");
        }
        Some(raw)
    }
}

fn check_amount(amount: Text<'_>, wrong: &mut Invalid) -> bool {
    let fits = amount.value().is_some_and(|value| decimal::is_decimal(&value));
    if !fits {
        wrong.add("amount", "must be a decimal number in a string, such as \"100.25\"");
    }
    fits
}
