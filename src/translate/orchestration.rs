//! The new API's wire: an orchestration as it is read, and the request that makes one.
//!
//! What it means to a legacy client is `record`'s business, not this file's.

use super::json::{JsonError, Raw, Reader, Text};

/// The statuses of the new API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Transfers are under way.
    Processing,
    /// Awaits an approval; `Processing` or `Rejected` follows.
    Pending,
    /// The name of `Pending` in older previews of the API.
    PendingApproval,
    /// Done. Final.
    Completed,
    /// Stopped, and the funds returned. Final.
    Failed,
    /// The approval was declined. Final.
    Rejected,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Processing,
        Self::Pending,
        Self::PendingApproval,
        Self::Completed,
        Self::Failed,
        Self::Rejected,
    ];

    /// The status with this name; `None` for one that this build does not know.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Pending => "PENDING",
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Rejected => "REJECTED",
        }
    }
}

/// One orchestration, borrowed from the answer it came in. Fields that no legacy client may see are not kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Orchestration<'a> {
    /// The vendor's id.
    pub id: Option<Text<'a>>,
    /// The profile whose record this is.
    pub profile_id: Option<Text<'a>>,
    /// The client's reference.
    pub ref_id: Option<Text<'a>>,
    /// Identity, for customers with subledgers.
    pub identity_id: Option<Text<'a>>,
    /// Account, for customers with subledgers.
    pub account_id: Option<Text<'a>>,
    /// What is converted.
    pub source_asset: Option<Text<'a>>,
    /// What it becomes.
    pub destination_asset: Option<Text<'a>>,
    /// How much, in the source asset, as a decimal string.
    pub source_amount: Option<Text<'a>>,
    /// The state, in the new API's words.
    pub status: Option<Text<'a>>,
    /// Set when a rule made this orchestration rather than a client.
    pub orchestration_rule_id: Option<Text<'a>>,
    /// RFC 3339.
    pub created_at: Option<Text<'a>>,
    /// RFC 3339.
    pub updated_at: Option<Text<'a>>,
    /// RFC 3339; shown by the vendor's guide, absent from its schema.
    pub completed_at: Option<Text<'a>>,
    /// The client's own keys and values.
    pub metadata: Option<Raw<'a>>,
    /// Where the money comes from.
    pub source: Endpoint<'a>,
    /// Where the money goes.
    pub destination: Endpoint<'a>,
}

/// One end of an orchestration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// Left out: the customer's default profile.
    #[default]
    Unset,
    /// A profile, with its id if the answer names it.
    Profile(Option<Text<'a>>),
    /// Crypto, fiat or anything else that the old API could not name.
    Elsewhere,
}

/// Why an answer cannot be read as what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or JSON of another kind.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// A field holds a value of the wrong type.
    #[error("field `{field}` is not {expected}")]
    WrongType {
        /// The field's name on the wire.
        field: &'static str,
        /// What was expected, with its article.
        expected: &'static str,
    },
    /// A field that every record has is missing.
    #[error("field `{field}` is missing")]
    Missing {
        /// The field's name on the wire.
        field: &'static str,
    },
}

impl<'a> Orchestration<'a> {
    /// Reads the one orchestration that `body` holds.
    ///
    /// # Errors
    /// When `body` is not one JSON object whose known fields have their documented types.
    pub fn parse(body: &'a [u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body)?;
        let orchestration = Self::read(&mut reader)?;
        reader.end()?;
        Ok(orchestration)
    }

    /// Reads the orchestration at the reader's place. A key that comes twice counts as it stood last.
    ///
    /// # Errors
    /// As [`Orchestration::parse`].
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Unreadable> {
        let mut it = Self::default();
        reader.object(|key, value| {
            match key {
                "id" => it.id = text(value, "id")?,
                "profile_id" => it.profile_id = text(value, "profile_id")?,
                "ref_id" => it.ref_id = text(value, "ref_id")?,
                "identity_id" => it.identity_id = text(value, "identity_id")?,
                "account_id" => it.account_id = text(value, "account_id")?,
                "source_asset" => it.source_asset = text(value, "source_asset")?,
                "destination_asset" => it.destination_asset = text(value, "destination_asset")?,
                "source_amount" => it.source_amount = text(value, "source_amount")?,
                "status" => it.status = text(value, "status")?,
                "orchestration_rule_id" => it.orchestration_rule_id = text(value, "orchestration_rule_id")?,
                "created_at" => it.created_at = text(value, "created_at")?,
                "updated_at" => it.updated_at = text(value, "updated_at")?,
                "completed_at" => it.completed_at = text(value, "completed_at")?,
                "metadata" => it.metadata = object(value, "metadata")?,
                "source" => it.source = Endpoint::read(value, "source")?,
                "destination" => it.destination = Endpoint::read(value, "destination")?,
                _ => drop(value.value()?),
            }
            Ok::<(), Unreadable>(())
        })?;
        Ok(it)
    }
}

impl<'a> Endpoint<'a> {
    /// Only a `crypto` or `fiat` object with content is another kind of place. A member that this build does not know may appear at any
    /// time (the vendor calls new fields compatible), and must not make a record disappear.
    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, Unreadable> {
        if reader.peek_kind() != Some(b'{') {
            return object(reader, field).map(|_| Self::Unset);
        }
        let mut end = Self::Unset;
        reader.object(|key, value| {
            match key {
                "profile" => {
                    if let (Some(profile), false) = (read_profile(value, field)?, end == Self::Elsewhere) {
                        end = Self::Profile(profile);
                    }
                }
                "crypto" | "fiat" => {
                    if object(value, field)?.is_some_and(Raw::has_members) {
                        end = Self::Elsewhere;
                    }
                }
                _ => drop(value.value()?),
            }
            Ok::<(), Unreadable>(())
        })?;
        Ok(end)
    }

    /// The profile's id, if this end is a profile that names one.
    #[must_use]
    pub const fn profile_id(self) -> Option<Text<'a>> {
        match self {
            Self::Profile(id) => id,
            Self::Unset | Self::Elsewhere => None,
        }
    }
}

/// The outer `Option`: whether there is a profile at all; the inner: whether it names its id.
fn read_profile<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<Option<Option<Text<'a>>>, Unreadable> {
    if reader.peek_kind() != Some(b'{') {
        return object(reader, field).map(|_| None);
    }
    let mut id = None;
    reader.object(|key, value| {
        if key == "profile_id" {
            id = text(value, "profile_id")?.filter(|id| !id.is_empty());
        } else {
            value.value()?;
        }
        Ok::<(), Unreadable>(())
    })?;
    Ok(Some(id))
}

/// Reads a string; `null` is the same as absent.
pub(super) fn text<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<Option<Text<'a>>, Unreadable> {
    if let Some(text) = reader.text()? {
        return Ok(Some(text));
    }
    if reader.value()?.is_null() {
        Ok(None)
    } else {
        Err(Unreadable::WrongType { field, expected: "a string" })
    }
}

/// Reads an object and keeps it as written; `null` is the same as absent.
pub(super) fn object<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<Option<Raw<'a>>, Unreadable> {
    let value = reader.value()?;
    match value {
        _ if value.is_object() => Ok(Some(value)),
        _ if value.is_null() => Ok(None),
        _ => Err(Unreadable::WrongType { field, expected: "an object" }),
    }
}
