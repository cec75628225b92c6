//! What became of a create whose outcome is not known: the side is asked, a few times within the time that is left.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::super::lookup::LookupResult;
use super::super::{RouteContext, RouteResponse};
use crate::failure::Failure;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::labels::Resolution;
use crate::telemetry::spans;
use crate::translate::conversion::Conversion;
use crate::translate::create::CreateRequest;
use crate::translate::list::lookup::Record;
use crate::translate::problem;
use crate::translate::side::Side;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// With the pauses about six seconds: long enough for a list that lags, few enough for the vendor's limit on requests.
const LOOKS: u32 = 8;

/// Asks the side that the call went to until it shows the record, or enough is enough.
///
/// # Errors
/// [`Failure::OutcomeUnknown`] when the record did not show; the cause is kept.
pub(super) async fn resolve(
    flow: &RouteContext,
    side: Side,
    request: &CreateRequest<'_>,
    ref_id: &str,
    cause: Failure,
) -> Result<(RouteResponse, Option<String>), Failure> {
    tracing::warn!(target: "cutover", %side, cause = cause.name(), "the outcome of a create is not known; looking it up");
    let span = spans::step("resolve", side);
    let record = look_for(flow, side, ref_id).instrument(span.clone()).await;
    let (resolution, resolved) = match record {
        Some(record) => {
            tracing::info!(target: "cutover", %side, id = record.id, "the create had taken effect");
            let (answer, resolution) = found(request, ref_id, &record);
            (resolution, Ok((answer, Some(record.id))))
        }
        None => (Resolution::Unresolved, Err(Failure::OutcomeUnknown { side, source: Box::new(cause) })),
    };
    spans::stepped(&span, resolution.as_str(), resolution == Resolution::Unresolved);
    flow.shared.metrics.unknown_outcome_resolutions.add((side, resolution));
    resolved
}

async fn look_for(flow: &RouteContext, side: Side, ref_id: &str) -> Option<Record> {
    let mut pause = FIRST_PAUSE;
    for look in 1..=LOOKS {
        let looked = flow.look(side, ref_id, flow.deadline).await;
        if let Ok(LookupResult::Found(record)) = looked {
            return Some(record);
        }
        // A caller who may not look now may not look later, and a side that is tired of questions gets no more.
        let refused = matches!(looked, Ok(LookupResult::Forbidden(_) | LookupResult::Throttled(_)));
        if refused || look == LOOKS || Instant::now() + pause >= flow.deadline {
            break;
        }
        sleep(pause).await;
        pause *= 2;
    }
    None
}

/// The record is this request's own, or another's that has the same reference.
fn found(request: &CreateRequest<'_>, ref_id: &str, record: &Record) -> (RouteResponse, Resolution) {
    match Conversion::parse(&record.json) {
        Ok(conversion) if request.asks_for(&conversion) => {
            let answer =
                RouteResponse::json(http::StatusCode::OK, http::HeaderMap::new(), record.json.clone());
            (answer, Resolution::Found)
        }
        _ => {
            let problem = problem::already_exists(ref_id, Some(&record.json));
            (RouteResponse::problem(&problem), Resolution::Conflict)
        }
    }
}
