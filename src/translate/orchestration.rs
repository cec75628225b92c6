//! The new API's wire format: an orchestration. `mapping` says what it means to a legacy client.

use super::json::{JsonError, JsonReader, Raw, Text};
use super::route::Id;
use super::unknown::{NameLocation, Unknown};

/// The members that the vendor documents, in its schema or its guide, read or not.
pub(super) const MEMBERS: [&str; 21] = [
    "id",
    "profile_id",
    "ref_id",
    "identity_id",
    "account_id",
    "source_asset",
    "destination_asset",
    "source_amount",
    "status",
    "orchestration_rule_id",
    "created_at",
    "updated_at",
    "completed_at",
    "metadata",
    "source",
    "destination",
    "customer_id",
    "destination_amount",
    "fail_reason",
    "source_transfer",
    "destination_transfer",
];

/// The statuses of the new API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Processing,
    /// Awaits an approval; `Processing` or `Rejected` follows.
    Pending,
    /// The name of `Pending` in older previews of the API.
    PendingApproval,
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

/// One orchestration, borrowed from its answer. Holds the fields that the mapping needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orchestration<'a> {
    pub(crate) id: Option<Text<'a>>,
    /// The profile that owns the record.
    pub(crate) profile_id: Option<Text<'a>>,
    pub(crate) ref_id: Option<Text<'a>>,
    pub(crate) identity_id: Option<Text<'a>>,
    pub(crate) account_id: Option<Text<'a>>,
    pub(crate) source_asset: Option<Text<'a>>,
    pub(crate) destination_asset: Option<Text<'a>>,
    /// A decimal string in the source asset.
    pub(crate) source_amount: Option<Text<'a>>,
    /// A [`Status`] by name, or one that this build does not know.
    pub(crate) status: Option<Text<'a>>,
    /// Set when an orchestration rule made the record, and not a client.
    pub(crate) orchestration_rule_id: Option<Text<'a>>,
    pub(crate) created_at: Option<Text<'a>>,
    pub(crate) updated_at: Option<Text<'a>>,
    /// RFC 3339. In the vendor's guide, but not in its schema.
    pub(crate) completed_at: Option<Text<'a>>,
    /// The client's own keys and values.
    pub(crate) metadata: Option<Raw<'a>>,
    /// Where the money comes from.
    pub(crate) source: FundsLocation<'a>,
    pub(crate) destination: FundsLocation<'a>,
    /// What the answer held beside these, and beside what the vendor documents.
    pub(crate) unknown: Unknown,
}

/// The source or the destination of an orchestration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FundsLocation<'a> {
    /// Absent: the customer's default profile.
    #[default]
    Unset,
    /// A profile, with its id if the answer names it.
    Profile(Option<Text<'a>>),
    /// Crypto, fiat or another kind that the legacy API cannot express.
    Elsewhere,
}

/// Why an upstream's answer does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not the expected kind of JSON value.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// A field holds a value of the wrong type.
    #[error("field `{field}` is not {expected}")]
    WrongType {
        /// The field's name on the wire.
        field: &'static str,
        /// The expected type, with its article.
        expected: &'static str,
    },
    /// A required field is missing.
    #[error("field `{field}` is missing")]
    Missing {
        /// The field's name on the wire.
        field: &'static str,
    },
}

impl<'a> Orchestration<'a> {
    /// Parses a body that is one orchestration.
    ///
    /// # Errors
    /// When `body` is not one JSON object whose known fields have their documented types.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Unreadable> {
        let mut reader = JsonReader::new(body)?;
        let orchestration = Self::read(&mut reader)?;
        reader.end()?;
        Ok(orchestration)
    }

    /// Reads the orchestration at the reader's position. Of a duplicate key the last value counts.
    ///
    /// # Errors
    /// As [`Orchestration::parse`].
    pub(crate) fn read(reader: &mut JsonReader<'a>) -> Result<Self, Unreadable> {
        let mut it = Self::default();
        reader.object(|key, value| {
            match key {
                "metadata" => it.metadata = object(value, "metadata")?,
                "source" => it.source = FundsLocation::read(value, &SOURCE, &mut it.unknown)?,
                "destination" => it.destination = FundsLocation::read(value, &DESTINATION, &mut it.unknown)?,
                _ => match text_member(key) {
                    Some((field, set)) => set(&mut it, text(value, field)?),
                    None => {
                        add_if_unknown(&mut it.unknown, key);
                        value.value()?;
                    }
                },
            }
            Ok::<(), Unreadable>(())
        })?;
        it.add_status_if_unknown();
        Ok(it)
    }

    /// Whether it is the record with that id.
    pub(crate) fn is_named(&self, id: &Id) -> bool {
        self.id.and_then(Text::value).is_some_and(|found| id.is_shown_as(&found))
    }

    pub(super) fn add_status_if_unknown(&mut self) {
        let is_known = |status: &Text<'_>| status.read(Status::parse).is_some();
        if let Some(status) = self.status.filter(|status| !is_known(status)) {
            self.unknown.add(NameLocation::Status, status.as_written());
        }
    }
}

/// Takes note of a member that is not read.
pub(super) fn add_if_unknown(unknown: &mut Unknown, name: &str) {
    if !MEMBERS.contains(&name) {
        unknown.add(NameLocation::Record, name);
    }
}

/// Sets what a text of an answer says.
pub(super) type SetText = for<'a> fn(&mut Orchestration<'a>, Option<Text<'a>>);

/// The name of a member and how to set it, if it is a text that is read.
pub(super) fn text_member(name: &str) -> Option<(&'static str, SetText)> {
    Some(match name {
        "id" => ("id", |it, text| it.id = text),
        "profile_id" => ("profile_id", |it, text| it.profile_id = text),
        "ref_id" => ("ref_id", |it, text| it.ref_id = text),
        "identity_id" => ("identity_id", |it, text| it.identity_id = text),
        "account_id" => ("account_id", |it, text| it.account_id = text),
        "source_asset" => ("source_asset", |it, text| it.source_asset = text),
        "destination_asset" => ("destination_asset", |it, text| it.destination_asset = text),
        "source_amount" => ("source_amount", |it, text| it.source_amount = text),
        "status" => ("status", |it, text| it.status = text),
        "orchestration_rule_id" => ("orchestration_rule_id", |it, text| it.orchestration_rule_id = text),
        "created_at" => ("created_at", |it, text| it.created_at = text),
        "updated_at" => ("updated_at", |it, text| it.updated_at = text),
        "completed_at" => ("completed_at", |it, text| it.completed_at = text),
        _ => return None,
    })
}

/// Where one end of an orchestration is read.
struct End {
    field: &'static str,
    place: NameLocation,
    profile: NameLocation,
}

const SOURCE: End =
    End { field: "source", place: NameLocation::Source, profile: NameLocation::SourceProfile };
const DESTINATION: End =
    End { field: "destination", place: NameLocation::Destination, profile: NameLocation::DestinationProfile };

impl<'a> FundsLocation<'a> {
    /// Only a `crypto` or `fiat` object with content makes a [`FundsLocation::Elsewhere`]. The vendor may add members at any time (it calls
    /// new fields compatible), and one that this build does not know must not hide a record.
    fn read(reader: &mut JsonReader<'a>, at: &End, unknown: &mut Unknown) -> Result<Self, Unreadable> {
        if reader.peek_kind() != Some(b'{') {
            return object(reader, at.field).map(|_| Self::Unset);
        }
        let mut end = Self::Unset;
        reader.object(|key, value| {
            match key {
                "profile" => {
                    // `crypto` or `fiat` decide over a profile beside them: such funds are elsewhere, in whatever order the members come.
                    if let (Some(profile), false) =
                        (read_profile(value, at, unknown)?, end == Self::Elsewhere)
                    {
                        end = Self::Profile(profile);
                    }
                }
                "crypto" | "fiat" => {
                    // An empty object says nothing; some serializers write one for every unset member.
                    if object(value, at.field)?.is_some_and(Raw::has_members) {
                        end = Self::Elsewhere;
                    }
                }
                _ => {
                    unknown.add(at.place, key);
                    value.value()?;
                }
            }
            Ok::<(), Unreadable>(())
        })?;
        Ok(end)
    }

    /// A profile with that id; an empty one is none.
    pub(super) fn profile(id: Option<Text<'a>>) -> Self {
        Self::Profile(id.filter(|id| !id.is_empty()))
    }

    /// The profile's id, if this end is a profile that names one.
    #[must_use]
    pub(crate) const fn profile_id(self) -> Option<Text<'a>> {
        match self {
            Self::Profile(id) => id,
            Self::Unset | Self::Elsewhere => None,
        }
    }
}

/// The outer `Option` is `None` without a profile, the inner one without a profile id.
fn read_profile<'a>(
    reader: &mut JsonReader<'a>,
    at: &End,
    unknown: &mut Unknown,
) -> Result<Option<Option<Text<'a>>>, Unreadable> {
    if reader.peek_kind() != Some(b'{') {
        return object(reader, at.field).map(|_| None);
    }
    let mut id = None;
    reader.object(|key, value| {
        if key == "profile_id" {
            id = text(value, "profile_id")?.filter(|id| !id.is_empty());
        } else {
            unknown.add(at.profile, key);
            value.value()?;
        }
        Ok::<(), Unreadable>(())
    })?;
    Ok(Some(id))
}

/// Reads a string; `null` is the same as absent.
pub(super) fn text<'a>(
    reader: &mut JsonReader<'a>,
    field: &'static str,
) -> Result<Option<Text<'a>>, Unreadable> {
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
    reader: &mut JsonReader<'a>,
    field: &'static str,
) -> Result<Option<Raw<'a>>, Unreadable> {
    let value = reader.value()?;
    match value {
        _ if value.is_object() => Ok(Some(value)),
        _ if value.is_null() => Ok(None),
        _ => Err(Unreadable::WrongType { field, expected: "an object" }),
    }
}
