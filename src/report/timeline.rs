//! Comparisons over time, in at most [`COLUMNS`] columns whatever the time span.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::document::{Class, Column};
use crate::telemetry::format::moment;

/// Most columns; a day in quarters of an hour fits.
const COLUMNS: i64 = 100;

/// How much wider each column is than the one before: 1 s, 5 s, 15 s, 1 m, 5 m, 15 m, 1 h, 6 h, 1 d; then it doubles.
const STEPS: [i64; 8] = [5, 3, 4, 5, 3, 4, 6, 4];

/// Counts by time; columns grow wider as the time grows longer.
pub(super) struct Timeline {
    seconds: i64,
    steps: usize,
    columns: BTreeMap<i64, [u64; 4]>,
}

impl Timeline {
    pub(super) const fn new() -> Self {
        Self { seconds: 1, steps: 0, columns: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, time: Timestamp, class: Class, count: u64) {
        let at = time.as_second().div_euclid(self.seconds);
        let cell = &mut self.columns.entry(at).or_default()[class as usize];
        *cell = cell.saturating_add(count);
        while self.span() > COLUMNS {
            self.widen();
        }
    }

    fn span(&self) -> i64 {
        let ends = self.columns.first_key_value().zip(self.columns.last_key_value());
        ends.map_or(0, |((first, _), (last, _))| last - first + 1)
    }

    fn widen(&mut self) {
        let factor = STEPS.get(self.steps).copied().unwrap_or(2);
        self.steps += 1;
        self.seconds *= factor;
        for (at, counts) in std::mem::take(&mut self.columns) {
            let wider = self.columns.entry(at.div_euclid(factor)).or_default();
            for (sum, count) in wider.iter_mut().zip(counts) {
                *sum = sum.saturating_add(count);
            }
        }
    }

    /// The width of a column in seconds, and the columns that are not empty.
    pub(super) fn columns(&self) -> (i64, Vec<Column>) {
        let column = |(at, [agreed, explained, not_compared, differed]): (&i64, &[u64; 4])| Column {
            start: Timestamp::from_second(at * self.seconds).map(moment).unwrap_or_default(),
            index: at - self.columns.first_key_value().map_or(0, |(first, _)| *first),
            agreed: *agreed,
            explained: *explained,
            not_compared: *not_compared,
            differed: *differed,
        };
        (self.seconds, self.columns.iter().map(column).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_fits_and_no_count_is_lost() {
        let mut timeline = Timeline::new();
        for second in [0, 1, 86_400, -377_705_000_000, 253_402_000_000] {
            timeline.add(Timestamp::from_second(second).unwrap(), Class::Agreed, 2);
        }
        let (_, columns) = timeline.columns();
        assert!(columns.iter().all(|column| column.index < COLUMNS));
        assert_eq!(columns.iter().map(|column| column.agreed).sum::<u64>(), 10);
    }
}
