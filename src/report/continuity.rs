//! Lines that a process wrote and the input lacks. Each process numbers its lines from 1, so that every gap shows, wherever it is: at the
//! beginning (a rotated file that is gone), in the middle (a disk that was full), or at a restart. A number that was read before is a repeat:
//! a file that was copied, or read next to the one that it was rotated from.

use jiff::Timestamp;

/// Most runs of consecutive lines that are kept for one process; past it the oldest two become one.
const RUNS_MAX: usize = 1000;

/// The lines of one process, in runs without a gap, by number.
#[derive(Debug, Default)]
pub(super) struct Continuity {
    runs: Vec<LineRun>,
    /// Gaps between runs that became one.
    closed_gaps: Gap,
    /// Up to this number a line may be one of a closed gap.
    closed_to: u64,
}

#[derive(Clone, Copy, Debug)]
struct LineRun {
    first: u64,
    last: u64,
    began: Timestamp,
    ended: Timestamp,
}

/// Lines that a process numbered and that are not in the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) lines: u64,
    /// The time of the last line before the first of them; `None` if the process had written no other.
    pub(super) after: Option<Timestamp>,
    /// The time of the first line after the last of them.
    pub(super) before: Option<Timestamp>,
}

impl Gap {
    pub(super) fn and(self, other: Self) -> Self {
        if self.lines == 0 || other.lines == 0 {
            return if self.lines == 0 { other } else { self };
        }
        Self {
            lines: self.lines.saturating_add(other.lines),
            after: self.after.min(other.after),
            before: self.before.max(other.before),
        }
    }
}

impl Continuity {
    /// Adds a line and returns whether it is new. Lines may come in any order. A line that may be one of a closed gap counts as new: it may
    /// hold a difference, and the gap is against the route anyway.
    pub(super) fn add(&mut self, number: u64, time: Timestamp) -> bool {
        let next = self.runs.partition_point(|run| run.first <= number);
        let extends = |run: &LineRun| number > run.last && number - run.last == 1;
        let precedes = self.runs.get(next).is_some_and(|run| run.first - number == 1);
        if let Some(run) = next.checked_sub(1).map(|at| &mut self.runs[at])
            && (number <= run.last || extends(run))
        {
            if number <= run.last {
                return number <= self.closed_to;
            }
            (run.last, run.ended) = (number, time);
            if precedes {
                let joined = self.runs.remove(next);
                let run = &mut self.runs[next - 1];
                (run.last, run.ended) = (joined.last, joined.ended);
            }
        } else if precedes {
            let run = &mut self.runs[next];
            (run.first, run.began) = (number, time);
        } else {
            self.runs.insert(next, LineRun { first: number, last: number, began: time, ended: time });
            self.bound();
        }
        true
    }

    fn bound(&mut self) {
        if self.runs.len() > RUNS_MAX {
            self.closed_gaps = self.closed_gaps.and(gap(&self.runs[0], &self.runs[1]));
            let joined = self.runs.remove(1);
            self.closed_to = joined.last;
            (self.runs[0].last, self.runs[0].ended) = (joined.last, joined.ended);
        }
    }

    /// What is missing, except for gaps that end before `since`.
    pub(super) fn missing(&self, since: Option<Timestamp>) -> Gap {
        let beginning =
            self.runs.first().map(|run| Gap { lines: run.first - 1, after: None, before: Some(run.began) });
        let between = self.runs.windows(2).map(|pair| gap(&pair[0], &pair[1]));
        let all = beginning.into_iter().chain([self.closed_gaps]).chain(between);
        all.filter(|gap| gap.before >= since).fold(Gap::default(), Gap::and)
    }
}

fn gap(one: &LineRun, next: &LineRun) -> Gap {
    Gap { lines: next.first - one.last - 1, after: Some(one.ended), before: Some(next.began) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
    }

    fn missing(numbers: &[u64], since: Option<u64>) -> Gap {
        let mut lines = Continuity::default();
        for number in numbers {
            lines.add(*number, at(*number));
        }
        lines.missing(since.map(at))
    }

    fn gap_of(lines: u64, after: Option<u64>, before: u64) -> Gap {
        Gap { lines, after: after.map(at), before: Some(at(before)) }
    }

    #[test]
    fn every_gap_is_found_in_whatever_order_the_lines_come() {
        for numbers in [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [1, 3, 5, 4, 2], [4, 5, 1, 2, 3]] {
            assert_eq!(missing(&numbers, None).lines, 0, "{numbers:?}");
        }
        for numbers in [[1, 2, 5, 6, 6], [6, 5, 2, 1, 1], [2, 6, 1, 5, 2]] {
            assert_eq!(missing(&numbers, None), gap_of(2, Some(2), 5), "{numbers:?}");
        }
        assert_eq!(missing(&[4, 5], None), gap_of(3, None, 4), "at the beginning");
        assert_eq!(missing(&[1, 3, 6], None), gap_of(3, Some(1), 6), "two gaps");
    }

    #[test]
    fn a_repeat_is_told_from_a_line_that_is_late() {
        let mut lines = Continuity::default();
        let numbers = [1, 2, 2, 5, 6, 5, 3, 3, 4, 4, 1, 7];
        let are_new = numbers.map(|number| lines.add(number, at(number)));
        let expected = [1, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1].map(|new| new == 1);
        assert_eq!(are_new, expected);
    }

    #[test]
    fn a_gap_before_the_window_is_none_of_it() {
        assert_eq!(missing(&[1, 4, 5], Some(5)).lines, 0);
        assert_eq!(missing(&[1, 4, 5], Some(4)).lines, 2, "it ends in the window");
        assert_eq!(missing(&[3, 4], Some(4)).lines, 0, "an earlier line is there");
        assert_eq!(missing(&[3, 4], Some(3)).lines, 2);
    }

    #[test]
    fn the_runs_are_bounded() {
        let numbers: Vec<u64> = (1..=3000).map(|n| 2 * n).collect();
        let mut lines = Continuity::default();
        assert!(numbers.iter().all(|number| lines.add(*number, at(*number))));
        assert_eq!((lines.runs.len(), lines.missing(None).lines), (RUNS_MAX, 3000));
        assert_eq!(
            [6000, 4004, 4002, 3, 2].map(|number| lines.add(number, at(number))),
            [false, false, true, true, true]
        );
    }
}
