//! The legacy API's wire format: a conversion, read and written.

use std::borrow::Cow;

use super::identifier;
use super::json::{JsonReader, Raw, Text};
use super::orchestration::{Unreadable, object, text};
use super::unknown::{NameLocation, Unknown};

/// The members that the vendor documents; all of them are read.
pub(super) const MEMBERS: [&str; 15] = [
    "id",
    "profile_id",
    "amount",
    "source_asset",
    "target_asset",
    "status",
    "ref_id",
    "identity_id",
    "account_id",
    "created_at",
    "updated_at",
    "settled_at",
    "cancelled_at",
    "metadata",
    "recipient_profile_id",
];

/// The statuses of the legacy API. `SETTLED` and `CANCELLED` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Submitted and the source debited, not settled.
    Created,
    Settled,
    /// Stopped, and the source is credited again.
    Cancelled,
}

impl Status {
    pub(crate) const ALL: [Self; 3] = [Self::Created, Self::Settled, Self::Cancelled];

    /// The status with this name; `None` for a name that the legacy API does not document.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The name on the wire.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Settled => "SETTLED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// A conversion. A field that is `None` is absent on the wire, as in the vendor's answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conversion<'a> {
    pub(crate) id: Option<Text<'a>>,
    /// The profile that is debited, and credited unless a recipient is named.
    pub(crate) profile_id: Option<Text<'a>>,
    /// A decimal string in the source asset.
    pub(crate) amount: Option<Text<'a>>,
    pub(crate) source_asset: Option<Text<'a>>,
    pub(crate) target_asset: Option<Text<'a>>,
    /// A [`Status`] by name, or one that this build does not know.
    pub(crate) status: Option<&'a str>,
    pub(crate) ref_id: Option<Text<'a>>,
    pub(crate) identity_id: Option<Text<'a>>,
    pub(crate) account_id: Option<Text<'a>>,
    pub(crate) created_at: Option<Text<'a>>,
    pub(crate) updated_at: Option<Text<'a>>,
    /// RFC 3339, when settled.
    pub(crate) settled_at: Option<Text<'a>>,
    /// RFC 3339, when cancelled.
    pub(crate) cancelled_at: Option<Text<'a>>,
    /// The client's own keys and values, as written.
    pub(crate) metadata: Option<Raw<'a>>,
    /// The receiving profile of a directed settlement.
    pub(crate) recipient_profile_id: Option<Text<'a>>,
    /// What the answer held beside these.
    pub(crate) unknown: Unknown,
}

impl<'a> Conversion<'a> {
    /// Writes the conversion as JSON, fields in the order of the vendor's examples.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut string = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(value.as_bytes());
                out.push(b'"');
            }
        };
        let written = |text: Option<Text<'a>>| text.map(Text::as_written);
        string(",\"id\":\"", written(self.id));
        string(",\"profile_id\":\"", written(self.profile_id));
        string(",\"amount\":\"", written(self.amount));
        string(",\"source_asset\":\"", written(self.source_asset));
        string(",\"target_asset\":\"", written(self.target_asset));
        string(",\"status\":\"", self.status);
        string(",\"ref_id\":\"", written(self.ref_id));
        string(",\"identity_id\":\"", written(self.identity_id));
        string(",\"account_id\":\"", written(self.account_id));
        string(",\"created_at\":\"", written(self.created_at));
        string(",\"updated_at\":\"", written(self.updated_at));
        string(",\"settled_at\":\"", written(self.settled_at));
        string(",\"cancelled_at\":\"", written(self.cancelled_at));
        string(",\"recipient_profile_id\":\"", written(self.recipient_profile_id));
        if let Some(metadata) = self.metadata {
            out.extend_from_slice(b",\"metadata\":");
            out.extend_from_slice(metadata.as_written().as_bytes());
        }
        // Every field is written with a leading comma; the first comma becomes the brace.
        match out.get_mut(start) {
            Some(first) => *first = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }

    /// The profile that is credited, if it is another one than the one that is debited.
    #[must_use]
    pub fn recipient(&self) -> Option<Cow<'a, str>> {
        recipient(self.recipient_profile_id, self.profile_id)
    }

    /// The id.
    ///
    /// # Errors
    /// When it is missing or empty.
    pub(crate) fn into_id(self) -> Result<String, Unreadable> {
        let id = self.id.and_then(Text::value).filter(|id| !id.is_empty());
        id.map(Cow::into_owned).ok_or(Unreadable::Missing { field: "id" })
    }

    /// Parses a body that is one conversion.
    ///
    /// # Errors
    /// When `body` is not one JSON object whose known fields have their documented types.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Unreadable> {
        let mut reader = JsonReader::new(body)?;
        let conversion = Self::read(&mut reader)?;
        reader.end()?;
        Ok(conversion)
    }

    /// Reads the conversion at the reader's position. Of a duplicate key the last value counts.
    ///
    /// # Errors
    /// As [`Conversion::parse`].
    pub(crate) fn read(reader: &mut JsonReader<'a>) -> Result<Self, Unreadable> {
        let mut it = Self::default();
        reader.object(|key, value| {
            match key {
                "id" => it.id = text(value, "id")?,
                "profile_id" => it.profile_id = text(value, "profile_id")?,
                "amount" => it.amount = text(value, "amount")?,
                "source_asset" => it.source_asset = text(value, "source_asset")?,
                "target_asset" => it.target_asset = text(value, "target_asset")?,
                // As written, without unescaping: a status that is written with escapes is reported as unknown rather than guessed.
                "status" => it.status = text(value, "status")?.map(Text::as_written),
                "ref_id" => it.ref_id = text(value, "ref_id")?,
                "identity_id" => it.identity_id = text(value, "identity_id")?,
                "account_id" => it.account_id = text(value, "account_id")?,
                "created_at" => it.created_at = text(value, "created_at")?,
                "updated_at" => it.updated_at = text(value, "updated_at")?,
                "settled_at" => it.settled_at = text(value, "settled_at")?,
                "cancelled_at" => it.cancelled_at = text(value, "cancelled_at")?,
                "metadata" => it.metadata = object(value, "metadata")?,
                "recipient_profile_id" => it.recipient_profile_id = text(value, "recipient_profile_id")?,
                _ => {
                    it.unknown.add(NameLocation::Record, key);
                    value.value()?;
                }
            }
            Ok::<(), Unreadable>(())
        })?;
        if let Some(status) = it.status.filter(|status| Status::parse(status).is_none()) {
            it.unknown.add(NameLocation::Status, status);
        }
        Ok(it)
    }
}

/// The recipient, if it is another profile than the one that is debited.
pub(super) fn recipient<'a>(recipient: Option<Text<'a>>, profile: Option<Text<'_>>) -> Option<Cow<'a, str>> {
    let named = recipient.and_then(Text::value).filter(|recipient| !recipient.is_empty());
    // A recipient that is the profile itself says the same as none; two records may differ in which of the two they write.
    let profile = profile.and_then(Text::value);
    named.filter(|recipient| !profile.is_some_and(|profile| identifier::same(recipient, &profile)))
}

/// Whether two records name one recipient, or none.
pub(super) fn is_same_recipient(one: Option<Cow<'_, str>>, other: Option<Cow<'_, str>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => identifier::same(&one, &other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
