//! Progress: what differs because the other answer was read later.

use std::collections::HashMap;

use crate::shadow::compare::Difference;
use crate::shadow::json::Json;
use crate::shadow::types::DiffKind;
use crate::translate::conversion::Status;
use crate::translate::route::Route;

/// Whether this explains all that differs: each record in question was `CREATED` and is `SETTLED` or `CANCELLED` now, and says since
/// when. Never the other way round.
pub(super) fn explains(route: Route, differences: &[Difference]) -> bool {
    let statuses =
        differences.iter().filter_map(|difference| Some((place(route, difference)?, later(difference)?)));
    let moved: HashMap<&str, Status> = statuses.collect();
    differences.iter().all(|difference| {
        let now = place(route, difference).and_then(|place| moved.get(place).copied());
        match (name(difference), difference.kind) {
            ("status", DiffKind::Value) | ("updated_at", DiffKind::Value | DiffKind::Precision) => {
                now.is_some()
            }
            ("settled_at", DiffKind::Extra) => now == Some(Status::Settled),
            ("cancelled_at", DiffKind::Extra) => now == Some(Status::Cancelled),
            _ => false,
        }
    })
}

/// The record in which it differs: `items[3]`, or `""` where there is only one. Nothing else has a status that moves on: not
/// metadata with such a key, and not a rehearsal, which was read from nowhere.
fn place(route: Route, difference: &Difference) -> Option<&str> {
    let path = difference.path.as_str();
    match route {
        Route::Create => None,
        Route::Get | Route::Cancel => (!path.contains('.')).then_some(""),
        Route::List => path.rsplit_once('.').map(|(place, _)| place).filter(|place| !place.contains('.')),
    }
}

fn name(difference: &Difference) -> &str {
    difference.path.rsplit_once('.').map_or(&difference.path, |(_, name)| name)
}

/// The later status, if it is one.
fn later(difference: &Difference) -> Option<Status> {
    let [served, other] = [&difference.served, &difference.other]
        .map(|value| value.as_ref().and_then(Json::as_text).and_then(Status::parse));
    if name(difference) != "status" || served != Some(Status::Created) {
        return None;
    }
    other.filter(|status| *status != Status::Created)
}
