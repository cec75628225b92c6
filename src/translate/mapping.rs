//! The mapping of an orchestration to a conversion, and which orchestrations a legacy client must not see.

use super::conversion::{self, Conversion, Status};
use super::json::Text;
use super::orchestration::{self, FundsLocation, Orchestration, Unreadable};

/// An orchestration, read as a legacy conversion.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<'a> {
    /// The legacy record.
    pub conversion: Conversion<'a>,
    /// A status that this build does not know, to be logged. Mapped to `CREATED`, so that a client does not take it as final.
    pub unknown_status: Option<Text<'a>>,
}

/// What the ledger knows about an orchestration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The ledger knows nothing about it.
    #[default]
    Unknown,
    /// Its reference is claimed for the new API, and no record is known for it. It could still be a withdrawal that used the
    /// reference first.
    OwnReference,
    /// It is the record of a create that came through here.
    OwnRecord,
}

/// Why an orchestration is hidden from legacy clients: the legacy API could not have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAConversion {
    /// The source is not a profile.
    Source,
    /// The destination is not a profile.
    Destination,
    /// Both assets are the same, which makes it a transfer.
    SameAsset,
    /// An orchestration rule made it.
    Rule,
}

/// Why the orchestration is hidden from legacy clients; `None` when it is a conversion. A record that was created here is never
/// hidden, whatever the vendor adds to it; a rule's id on a reference that is claimed here is such an addition.
///
/// # Errors
/// When an asset is missing and the other fields do not decide.
pub(crate) fn hidden(
    orchestration: &Orchestration<'_>,
    origin: Origin,
) -> Result<Option<NotAConversion>, Unreadable> {
    if origin == Origin::OwnRecord {
        return Ok(None);
    }
    if orchestration.source == FundsLocation::Elsewhere {
        return Ok(Some(NotAConversion::Source));
    }
    if orchestration.destination == FundsLocation::Elsewhere {
        return Ok(Some(NotAConversion::Destination));
    }
    let made_by_rule = orchestration.orchestration_rule_id.is_some_and(|rule| !rule.is_empty());
    if made_by_rule && origin == Origin::Unknown {
        return Ok(Some(NotAConversion::Rule));
    }
    let source_asset = orchestration.source_asset.ok_or(Unreadable::Missing { field: "source_asset" })?;
    let target_asset =
        orchestration.destination_asset.ok_or(Unreadable::Missing { field: "destination_asset" })?;
    Ok((source_asset == target_asset).then_some(NotAConversion::SameAsset))
}

/// Maps an orchestration that is not [`hidden`].
///
/// # Errors
/// When it has no id.
pub(crate) fn conversion<'a>(orchestration: &Orchestration<'a>) -> Result<Mapped<'a>, Unreadable> {
    let id = orchestration.id.filter(|id| !id.is_empty()).ok_or(Unreadable::Missing { field: "id" })?;
    let source = orchestration.source.profile_id().or(orchestration.profile_id);
    let (status, known) = status(orchestration.status);
    let conversion = Conversion {
        id: Some(id),
        profile_id: source,
        amount: orchestration.source_amount,
        source_asset: orchestration.source_asset,
        target_asset: orchestration.destination_asset,
        status: Some(status.as_str()),
        ref_id: orchestration.ref_id,
        identity_id: non_empty(orchestration.identity_id),
        account_id: non_empty(orchestration.account_id),
        created_at: orchestration.created_at,
        updated_at: orchestration.updated_at,
        settled_at: (status == Status::Settled)
            .then(|| non_empty(orchestration.completed_at).or(orchestration.updated_at))
            .flatten(),
        // The new API has no time of its own for a failure; the last update is when it failed.
        cancelled_at: (status == Status::Cancelled).then_some(orchestration.updated_at).flatten(),
        metadata: orchestration.metadata,
        recipient_profile_id: orchestration
            .destination
            .profile_id()
            .filter(|recipient| conversion::recipient(Some(*recipient), source).is_some()),
        unknown: orchestration.unknown,
    };
    Ok(Mapped { conversion, unknown_status: if known { None } else { orchestration.status } })
}

/// The legacy status for a new one, and whether this build knows the new one.
fn status(new: Option<Text<'_>>) -> (Status, bool) {
    match new.and_then(|text| text.read(orchestration::Status::parse)) {
        Some(
            orchestration::Status::Processing
            | orchestration::Status::Pending
            | orchestration::Status::PendingApproval,
        ) => (Status::Created, true),
        Some(orchestration::Status::Completed) => (Status::Settled, true),
        Some(orchestration::Status::Failed | orchestration::Status::Rejected) => (Status::Cancelled, true),
        // `CREATED` is the only status that a client does not take as final.
        None => (Status::Created, false),
    }
}

/// The vendor's answers show an absent optional field as an empty string as well.
fn non_empty(text: Option<Text<'_>>) -> Option<Text<'_>> {
    text.filter(|text| !text.is_empty())
}
