//! What clients used, route by route, and whether it was ever compared with a record on both sides. It is known from written records
//! alone.

use std::collections::BTreeMap;

use super::document::Uncovered;
use crate::shadow::record::ComparisonRecord;
use crate::shadow::types::{COMPARED, Verdict};
use crate::telemetry::sanitize::clip;
use crate::translate::route::Route;

/// Most names of a route that are followed.
const NAMES_MAX: usize = 500;
/// Stands for all names that there was no room for.
const OTHER_NAMES: &str = "other names";

const ASSET_PAIR: &str = "asset pair";
const STATUS: &str = "status";
const PARAMETER: &str = "parameter";

/// Whether each name that was used was compared on both sides.
#[derive(Default)]
pub(super) struct UsedNames([BTreeMap<(&'static str, String), bool>; COMPARED.len()]);

impl UsedNames {
    pub(super) fn add(&mut self, record: &ComparisonRecord) {
        let compared = is_compared(record);
        let mut used = Vec::new();
        for seen in &record.seen {
            used.extend([(ASSET_PAIR, seen.asset_pair.as_str()), (STATUS, seen.status.as_str())]);
        }
        used.extend(record.asset_pair.as_deref().map(|pair| (ASSET_PAIR, pair)));
        if record.route == Route::List {
            used.extend(record.query.iter().map(|name| (PARAMETER, name.as_str())));
        }
        let names = &mut self.0[record.route as usize];
        for (kind, name) in used {
            let mut key = (kind, clip(name, 64).into_owned());
            if names.len() >= NAMES_MAX && !names.contains_key(&key) {
                // One of them that was not compared leaves all of them unproven.
                key = (kind, OTHER_NAMES.to_owned());
                *names.entry(key).or_insert(compared) &= compared;
                continue;
            }
            *names.entry(key).or_default() |= compared;
        }
    }

    /// What of a route was used and never compared.
    pub(super) fn uncovered(&self, route: Route) -> Vec<Uncovered> {
        let never = self.0[route as usize].iter().filter(|(_, compared)| !**compared);
        never.map(|((kind, name), _)| Uncovered { route, kind, name: name.clone() }).collect()
    }
}

/// Whether both sides held a record that was compared.
fn is_compared(record: &ComparisonRecord) -> bool {
    record.both_held && record.verdict.is_judged() && record.verdict != Verdict::NoCounterpart
}
