//! What the written records covered. A high match rate over narrow traffic is no evidence.

use std::collections::BTreeSet;

use super::bounded::Bounded;
use super::document::{self, CoverageRow, RefIds, Uncovered};
use super::uncovered::UsedNames;
use crate::shadow::record::ComparisonRecord;
use crate::shadow::types::COMPARED;
use crate::translate::conversion::Status;
use crate::translate::list::PARAMETERS;
use crate::translate::route::Route;

/// Any other status in a record.
const OTHER_STATUS: &str = "other";

/// Most asset pairs that are counted apart.
const PAIRS_MAX: usize = 100;

pub(super) struct CoverageTotals {
    any: Cells,
    /// By asset pair; one after the other the statuses, then all others.
    pairs: Bounded<[Cells; Status::ALL.len() + 1]>,
    ref_ids: [[u64; 2]; COMPARED.len()],
    used: UsedNames,
}

#[derive(Clone, Copy, Default)]
struct Cells {
    routes: [u64; COMPARED.len()],
    parameters: [u64; PARAMETERS.len()],
}

impl Cells {
    fn add(&mut self, record: &ComparisonRecord) {
        self.routes[record.route as usize] += 1;
        if record.route == Route::List {
            for (cell, name) in self.parameters.iter_mut().zip(PARAMETERS) {
                *cell += u64::from(record.query.iter().any(|known| known == name));
            }
        }
    }

    fn row(&self, asset_pair: Option<&str>, status: Option<&str>) -> CoverageRow {
        CoverageRow {
            asset_pair: asset_pair.map(str::to_owned),
            status: status.map(str::to_owned),
            routes: self.routes,
            parameters: self.parameters.to_vec(),
        }
    }
}

impl CoverageTotals {
    pub(super) fn new() -> Self {
        let (any, used) = (Cells::default(), UsedNames::default());
        Self { any, pairs: Bounded::new(PAIRS_MAX), ref_ids: Default::default(), used }
    }

    pub(super) fn add(&mut self, record: &ComparisonRecord) {
        self.any.add(record);
        self.used.add(record);
        if let Some(present) = record.ref_id_present {
            self.ref_ids[record.route as usize][usize::from(!present)] += 1;
        }
        for seen in &record.seen {
            let status = Status::parse(&seen.status).map(|status| status as usize);
            if let Some(statuses) = self.pairs.entry(&seen.asset_pair, 1, Default::default) {
                statuses[status.unwrap_or(Status::ALL.len())].add(record);
            }
        }
        // A response without rows, such as an error, may still be known to concern a pair.
        if let Some(pair) = record.asset_pair.as_deref().filter(|_| record.seen.is_empty()) {
            self.pairs.entry(pair, 1, Default::default);
        }
    }

    pub(super) fn document(&self) -> document::Coverage {
        let rows = self.rows();
        let (cells, never_seen) = self.count(&rows);
        document::Coverage {
            parameters: PARAMETERS.to_vec(),
            rows,
            never_seen,
            cells,
            pairs_left_out: self.pairs.left_out(),
            ref_ids: self.ref_ids(),
            uncovered: COMPARED.into_iter().flat_map(|route| self.uncovered(route)).collect(),
        }
    }

    /// What clients used of a route and what was never compared on both sides.
    pub(super) fn uncovered(&self, route: Route) -> Vec<Uncovered> {
        self.used.uncovered(route)
    }

    fn rows(&self) -> Vec<CoverageRow> {
        let mut rows = vec![self.any.row(None, None)];
        let names: BTreeSet<_> = self.pairs.iter().map(|(pair, _)| pair).collect();
        for (pair, statuses) in
            names.iter().filter_map(|name| self.pairs.iter().find(|(pair, _)| pair == name))
        {
            let known = statuses.iter().zip(Status::ALL);
            rows.extend(known.map(|(cells, status)| cells.row(Some(pair), Some(status.as_str()))));
            let other = statuses[Status::ALL.len()];
            if other.routes.iter().any(|count| *count > 0) {
                rows.push(other.row(Some(pair), Some(OTHER_STATUS)));
            }
        }
        rows
    }

    /// All cells and the empty ones. Routes without any record are left out.
    fn count(&self, rows: &[CoverageRow]) -> (u64, u64) {
        let listed = self.any.routes[Route::List as usize] > 0;
        let counts = rows.iter().flat_map(|row| {
            let routes = row.routes.iter().zip(self.any.routes).filter(|(_, any)| *any > 0);
            let parameters = row.parameters.iter().filter(move |_| listed);
            routes.map(|(count, _)| count).chain(parameters)
        });
        counts.fold((0, 0), |(all, empty), count| (all + 1, empty + u64::from(*count == 0)))
    }

    fn ref_ids(&self) -> Vec<RefIds> {
        let all = COMPARED.into_iter().zip(self.ref_ids);
        let seen = all.filter(|(_, [with, without])| with + without > 0);
        seen.map(|(route, [with, without])| RefIds { route, with, without }).collect()
    }
}
