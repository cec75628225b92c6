//! Create: the legacy request becomes the new API's, the new answer becomes a conversion.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::conversion::Conversion;
use super::decimal;
use super::invalid::Invalid;
use super::json::{Raw, Reader, Text};
use super::orchestration::{Orchestration, Unreadable};
use super::record::{self, Mapped};

/// A legacy create as a client sent it, checked. Empty strings and `null` count as left out, as they do upstream.
#[derive(Clone, Copy, Debug)]
pub struct CreateRequest<'a> {
    /// The profile that is debited.
    pub profile_id: Text<'a>,
    /// A decimal string in the source asset.
    pub amount: Text<'a>,
    /// What is converted.
    pub source_asset: Text<'a>,
    /// What it becomes.
    pub target_asset: Text<'a>,
    /// The client's reference; optional in the old API, required in the new one.
    pub ref_id: Option<Text<'a>>,
    /// Identity, for customers with subledgers.
    pub identity_id: Option<Text<'a>>,
    /// Account, for customers with subledgers.
    pub account_id: Option<Text<'a>>,
    /// The client's own keys and values, as written.
    pub metadata: Option<Raw<'a>>,
    /// The receiving profile of a directed settlement.
    pub recipient_profile_id: Option<Text<'a>>,
}

impl<'a> CreateRequest<'a> {
    /// Reads and checks a request body; its Content-Type does not matter. Keys that the old API never had are ignored.
    ///
    /// # Errors
    /// Every field that is wrong, by its legacy name.
    pub fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let mut wrong = Invalid::default();
        let fields = Fields::read(body, &mut wrong)
            .map_err(|error| Invalid::new("body", format!("is not a JSON object: {error}")))?;
        let required = |name, wrong: &mut Invalid| {
            let text = fields.text(name, wrong);
            if text.is_none() && !wrong.names(name) {
                wrong.add(name, "is required");
            }
            text
        };
        let profile_id = required("profile_id", &mut wrong);
        let amount = required("amount", &mut wrong).filter(|amount| check_amount(*amount, &mut wrong));
        let source_asset = required("source_asset", &mut wrong);
        let target_asset = required("target_asset", &mut wrong);
        // The old API converts nothing into itself. The new one may take it for a transfer, which no legacy client could see.
        let same = |(source, target): (Text<'_>, Text<'_>)| {
            source.value().is_some() && source.value() == target.value()
        };
        if source_asset.zip(target_asset).is_some_and(same) {
            wrong.add("target_asset", "must differ from source_asset");
        }
        let ref_id = fields.text("ref_id", &mut wrong);
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
    pub fn to_orchestration(&self, made_ref_id: &str) -> String {
        let ref_id = self.ref_id.map_or(made_ref_id, Text::as_written);
        let profile = self.profile_id.as_written();
        let recipient = self.recipient_profile_id.map_or(profile, Text::as_written);
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

    /// Whether `found` is the conversion that this request asks for. Amounts are compared as decimals.
    #[must_use]
    pub fn asks_for(&self, found: &Conversion<'_>) -> bool {
        let same =
            |asked: Text<'_>, found: Option<Text<'_>>| match (asked.value(), found.and_then(Text::value)) {
                (Some(asked), Some(found)) => asked == found,
                _ => false,
            };
        let recipient =
            self.recipient_profile_id.filter(|recipient| !same(*recipient, Some(self.profile_id)));
        same(self.profile_id, found.profile_id)
            && same(self.source_asset, found.source_asset)
            && same(self.target_asset, found.target_asset)
            && recipient.is_some() == found.recipient_profile_id.is_some()
            && recipient.is_none_or(|recipient| same(recipient, found.recipient_profile_id))
            && match (self.amount.value(), found.amount.and_then(Text::value)) {
                (Some(asked), Some(found)) => decimal::same(&asked, &found),
                _ => false,
            }
    }
}

/// The reference in a body that need not be a create that [`CreateRequest::parse`] takes: the last one given, as the vendor's
/// own parser would read it.
#[must_use]
pub fn reference(body: &[u8]) -> Option<Cow<'_, str>> {
    let mut found = None;
    let mut reader = Reader::new(body).ok()?;
    let each = |key: &str, value: &mut Reader<'_>| {
        let text = value.value()?.as_text();
        if key == "ref_id" {
            found = text.map(|text| text.value().map(|value| value.into_owned()));
        }
        Ok::<(), super::json::JsonError>(())
    };
    reader.object(each).ok()?;
    found.flatten().filter(|value| !value.is_empty()).map(Cow::Owned)
}

/// The conversion that a 2xx answer to a create holds. The proxy asked for it, so it is shown whatever it looks like.
///
/// # Errors
/// When the answer is not an orchestration with an id: then nobody knows whether the call took effect.
pub fn answer(body: &[u8]) -> Result<Mapped<'_>, Unreadable> {
    record::conversion(&Orchestration::parse(body)?)
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

/// The known fields of a body, as written, before anything is asked of them.
struct Fields<'a>([Option<Raw<'a>>; FIELDS.len()]);

impl<'a> Fields<'a> {
    fn read(body: &'a [u8], wrong: &mut Invalid) -> Result<Self, super::json::JsonError> {
        let mut reader = Reader::new(body)?;
        let mut fields = [None; FIELDS.len()];
        reader.object(|key, value| {
            let value = value.value()?;
            if let Some(at) = FIELDS.iter().position(|field| *field == key)
                && fields[at].replace(value).is_some()
            {
                wrong.add(FIELDS[at], "is given twice");
            }
            Ok::<(), super::json::JsonError>(())
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
        if text.value().is_none() {
            wrong.add(name, "holds half of a surrogate pair");
        }
        Some(text).filter(|text| !text.is_empty())
    }

    fn metadata(&self, wrong: &mut Invalid) -> Option<Raw<'a>> {
        let raw = self.raw("metadata")?;
        let all_strings = Reader::new(raw.as_written().as_bytes()).is_ok_and(|mut reader| {
            let each = |_: &str, value: &mut Reader<'_>| {
                let text = value.value()?.as_text().and_then(Text::value);
                text.map(drop).ok_or_else(|| value.error("not a string"))
            };
            reader.object::<super::json::JsonError>(each).is_ok()
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
