//! The lookups before an operator releases a claim.

use super::RouteContext;
use super::create::events::Purpose;
use super::lookup::LookupQuery;
use crate::failure::{Failure, SideEffect};
use crate::ledger::Claim;
use crate::translate::evidence::Finding;
use crate::translate::mapping::Origin;
use crate::translate::side::Side;

/// Looks the reference up on both sides and returns where it was found, with the record's id where it is a conversion.
///
/// # Errors
/// When a side did not prove that it holds the reference or does not.
pub(crate) async fn find(
    context: &RouteContext,
    ref_id: &str,
    claim: &Claim,
) -> Result<Option<(Side, Option<String>)>, Failure> {
    for side in [Side::Legacy, Side::New] {
        let query = LookupQuery {
            side,
            ref_id,
            record_id: claim.record_id.clone().filter(|_| claim.side == side),
            origin: Origin::OwnReference,
            purpose: Purpose::DuplicateCheck,
            until: context.deadline,
        };
        let looked_up = context.lookup(query).await;
        match looked_up.finding {
            Finding::Absent => {}
            Finding::Found(record) => return Ok(Some((side, Some(record.id)))),
            Finding::OtherKind => return Ok(Some((side, None))),
            Finding::Unauthorized | Finding::Forbidden | Finding::Throttled | Finding::Nothing(_) => {
                let unproved = Failure::Broken {
                    side,
                    effect: SideEffect::None,
                    source: "the credentials may not read".into(),
                };
                return Err(looked_up.failure.unwrap_or(unproved));
            }
        }
    }
    Ok(None)
}
