//! The check at start for conversions on the new API that the ledger does not know. Where clients create through this proxy alone, such
//! a conversion means that the ledger lost claims.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::positive_control::LAG;
use super::upstream_call::UpstreamCall;
use super::{RouteContext, Services};
use crate::config::Config;
use crate::failure::{Failure, SideEffect};
use crate::ledger::{Key, Ledger, LedgerError};
use crate::translate::conversion::Conversion;
use crate::translate::list::rows::Rows;
use crate::translate::list::{Call, LIMIT_DEFAULT, ListQuery};
use crate::translate::side::Side;
use crate::upstream::rate_limit::Endpoint;

/// Reads the newest page of new with the lookup credentials. Returns a message about a conversion there that the ledger does not know;
/// `None` if it knows all of them, or if there are no lookup credentials.
///
/// # Errors
/// When the page or the ledger could not be read.
pub(crate) async fn unknown_record(
    config: &Arc<Config>,
    services: &Arc<Services>,
) -> Result<Option<String>, Failure> {
    let Some(ledger) = services.ledger.as_ref() else { return Ok(None) };
    let deadline = Instant::now() + config.timeouts.list;
    let context = RouteContext::own(config.clone(), services.clone(), None, deadline);
    if context.credentials.is_none() {
        return Ok(None);
    }
    let found = newest_unknown(&context, ledger).await?;
    Ok(found.map(|(id, at)| {
        format!(
            "the new API holds the conversion {id} of {at}, and the ledger does not know it: a client creates past this proxy, or the \
             ledger lost claims"
        )
    }))
}

async fn newest_unknown(
    context: &RouteContext,
    ledger: &Ledger,
) -> Result<Option<(String, Timestamp)>, Failure> {
    let query = ListQuery::default();
    let path = query.path(&Call::first(Side::New, LIMIT_DEFAULT));
    let cost = Endpoint::List(Side::New).lookup();
    let call = UpstreamCall::get(context, Side::New, &path, cost, context.deadline)?.uncached();
    let reply = context.call(call).await?;
    let page = reply.status.is_success().then(|| Rows::of(Side::New, reply.content(), &query));
    let Some(Ok(mut page)) = page else {
        return Err(reply.unexpected(SideEffect::None, "no list of records"));
    };
    // The ledger may not have the id of a younger one yet, and what was there at the last `ledger accept` is accepted.
    let found = ledger.reader().identified(None).await.map_err(in_ledger)?;
    let accepted = found.accepted_at_us.and_then(|at| Timestamp::from_microsecond(at).ok());
    let settled = Timestamp::now() - LAG;
    while let Some(row) = page.pop() {
        let is_due = row.at < settled && accepted.is_none_or(|accepted| row.at > accepted);
        if is_due && !is_known(context, ledger, row.id, row.json).await? {
            return Ok(Some((row.id.to_owned(), row.at)));
        }
    }
    Ok(None)
}

/// Whether the ledger knew a record by itself, by its id or its reference: a claim whose create got no answer has no id, and one that a
/// walk wrote for the record says nothing about what was lost.
async fn is_known(context: &RouteContext, ledger: &Ledger, id: &str, json: &[u8]) -> Result<bool, Failure> {
    let conversion = Conversion::parse(json).ok();
    let ref_id = conversion.and_then(|conversion| conversion.ref_id?.value());
    if let Some(key) = ref_id.as_deref().and_then(|ref_id| Key::new(context.tenant(), ref_id).ok()) {
        let claim = ledger.reader().claim_by_ref(key).await.map_err(in_ledger)?;
        // A create on the new API's own path through here is recorded by its reference alone.
        if claim.as_ref().is_some_and(|claim| !claim.is_adopted())
            || ledger.reader().is_native(key).await.map_err(in_ledger)?
            || ledger.reader().is_probe_ref(key).await.map_err(in_ledger)?
        {
            return Ok(true);
        }
        if claim.is_some() {
            return Ok(false);
        }
    }
    Ok(ledger.reader().record_side(context.tenant(), id).await.map_err(in_ledger)?.is_some())
}

fn in_ledger(error: LedgerError) -> Failure {
    Failure::Ledger(error.into())
}
