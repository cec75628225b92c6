//! What an orchestration means to a legacy client: the record mapping, the statuses, and what stays hidden.

use super::conversion::{Conversion, Status};
use super::json::Text;
use super::orchestration::{self, Endpoint, Orchestration, Unreadable};

/// An orchestration as a legacy client sees it.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<'a> {
    /// The record itself.
    pub conversion: Conversion<'a>,
    /// A status that this build does not know. It is shown as `CREATED`, never as a final one; tell the operator.
    pub unknown_status: Option<Text<'a>>,
}

/// Why a legacy client may not see an orchestration: the old API could not have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAConversion {
    /// The money does not come from a profile.
    Source,
    /// The money does not go to a profile.
    Destination,
    /// Both assets are the same: a transfer.
    SameAsset,
    /// A rule made it, not a client.
    Rule,
}

/// Whether the old API could have made this orchestration.
///
/// # Errors
/// When nothing else gives it away and an asset is missing, so that it cannot be told.
pub fn hidden(it: &Orchestration<'_>) -> Result<Option<NotAConversion>, Unreadable> {
    if it.source == Endpoint::Elsewhere {
        return Ok(Some(NotAConversion::Source));
    }
    if it.destination == Endpoint::Elsewhere {
        return Ok(Some(NotAConversion::Destination));
    }
    if it.orchestration_rule_id.is_some_and(|rule| !rule.is_empty()) {
        return Ok(Some(NotAConversion::Rule));
    }
    let source_asset = it.source_asset.ok_or(Unreadable::Missing { field: "source_asset" })?;
    let target_asset = it.destination_asset.ok_or(Unreadable::Missing { field: "destination_asset" })?;
    Ok((source_asset == target_asset).then_some(NotAConversion::SameAsset))
}

/// The record mapping of an orchestration that is not [`hidden`].
///
/// # Errors
/// When it has no id: no client could do anything with it.
pub fn conversion<'a>(it: &Orchestration<'a>) -> Result<Mapped<'a>, Unreadable> {
    let id = it.id.filter(|id| !id.is_empty()).ok_or(Unreadable::Missing { field: "id" })?;
    let source = it.source.profile_id().or(it.profile_id);
    let (status, known) = status(it.status);
    let conversion = Conversion {
        id: Some(id),
        profile_id: source,
        amount: it.source_amount,
        source_asset: it.source_asset,
        target_asset: it.destination_asset,
        status: Some(status.as_str()),
        ref_id: it.ref_id,
        identity_id: set(it.identity_id),
        account_id: set(it.account_id),
        created_at: it.created_at,
        updated_at: it.updated_at,
        settled_at: (status == Status::Settled).then(|| set(it.completed_at).or(it.updated_at)).flatten(),
        cancelled_at: (status == Status::Cancelled).then_some(it.updated_at).flatten(),
        metadata: it.metadata,
        recipient_profile_id: it.destination.profile_id().filter(|recipient| Some(*recipient) != source),
    };
    Ok(Mapped { conversion, unknown_status: if known { None } else { it.status } })
}

/// The legacy status for a new one, and whether the new one is known.
fn status(new: Option<Text<'_>>) -> (Status, bool) {
    match new.and_then(Text::value).and_then(|text| orchestration::Status::parse(&text)) {
        Some(
            orchestration::Status::Processing
            | orchestration::Status::Pending
            | orchestration::Status::PendingApproval,
        ) => (Status::Created, true),
        Some(orchestration::Status::Completed) => (Status::Settled, true),
        Some(orchestration::Status::Failed | orchestration::Status::Rejected) => (Status::Cancelled, true),
        None => (Status::Created, false),
    }
}

/// An optional field that is an empty string is the same as one that is absent.
fn set(text: Option<Text<'_>>) -> Option<Text<'_>> {
    text.filter(|text| !text.is_empty())
}
