//! Progress: differences that are there because the other response was read later.

use std::collections::HashMap;

use crate::shadow::compare::difference::Difference;
use crate::shadow::json::Json;
use crate::shadow::types::DiffKind;
use crate::translate::conversion::Status;
use crate::translate::route::Route;

/// Whether progress explains all differences: each record concerned was `CREATED` and is now `SETTLED` or `CANCELLED`, with the time of
/// that change. Never the other way round.
pub(super) fn explains(route: Route, differences: &[Difference]) -> bool {
    let statuses = differences
        .iter()
        .filter_map(|difference| Some((record_path(route, difference)?, later(difference)?)));
    let moved: HashMap<&str, Status> = statuses.collect();
    differences.iter().all(|difference| {
        let now = record_path(route, difference).and_then(|path| moved.get(path).copied());
        match (name(difference), difference.kind) {
            // `updated_at` moves with the status; alone it shows another change.
            ("status", DiffKind::Value) | ("updated_at", DiffKind::Value | DiffKind::Precision) => {
                now.is_some()
            }
            ("settled_at", DiffKind::Extra) => now == Some(Status::Settled),
            ("cancelled_at", DiffKind::Extra) => now == Some(Status::Cancelled),
            _ => false,
        }
    })
}

/// The path of the record that differs: `items[3]`, or `""` if there is only one. `None` for anything else: metadata may have a key
/// `status`, and the status of a dry run never changes.
fn record_path(route: Route, difference: &Difference) -> Option<&str> {
    let path = difference.path.as_str();
    match route {
        Route::Create => None,
        Route::Get | Route::Cancel => (!path.contains('.')).then_some(""),
        Route::List => path.rsplit_once('.').map(|(record, _)| record).filter(|record| !record.contains('.')),
    }
}

fn name(difference: &Difference) -> &str {
    difference.path.rsplit_once('.').map_or(&difference.path, |(_, name)| name)
}

/// The new status, if it is final and the served one was not.
fn later(difference: &Difference) -> Option<Status> {
    let [served, other] = [&difference.served, &difference.other]
        .map(|value| value.as_ref().and_then(Json::as_text).and_then(Status::parse));
    if name(difference) != "status" || served != Some(Status::Created) {
        return None;
    }
    other.filter(|status| *status != Status::Created)
}
