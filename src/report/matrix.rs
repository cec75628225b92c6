//! The status × status matrix of one route, as a grid.

use super::document::RouteReport;

/// Most rows and most columns. What does not fit is counted in `outside`.
const MOST: usize = 8;

/// Counts by served status (rows) and the other side's (columns).
pub(super) struct Matrix {
    pub(super) rows: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) counts: Vec<Vec<u64>>,
    pub(super) outside: u64,
}

impl Matrix {
    pub(super) fn of(route: &RouteReport) -> Self {
        let rows = axis(route.statuses.iter().map(|pair| &pair.served));
        let columns = axis(route.statuses.iter().map(|pair| &pair.other));
        let mut counts = vec![vec![0_u64; columns.len()]; rows.len()];
        let mut outside = route.statuses_left_out;
        for pair in &route.statuses {
            let row = rows.iter().position(|row| *row == pair.served);
            match row.zip(columns.iter().position(|column| *column == pair.other)) {
                Some((row, column)) => counts[row][column] = counts[row][column].saturating_add(pair.count),
                None => outside = outside.saturating_add(pair.count),
            }
        }
        Self { rows, columns, counts, outside }
    }

    /// The largest count, which has the strongest shade.
    pub(super) fn largest(&self) -> u64 {
        self.counts.iter().flatten().copied().max().unwrap_or_default()
    }
}

/// The most frequent names, sorted.
fn axis<'a>(by_frequency: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in by_frequency {
        if names.len() < MOST && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.sort();
    names
}
