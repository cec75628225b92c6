//! The last hour, for the page: snapshots of the counters at the end of each minute. A minute is the difference between two
//! snapshots, so requests pay nothing for it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::family::HistogramSnapshot;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::labels::{RouteLabel, StatusClass};
use crate::translate::side::Side;
use crate::upstream::rate_limit::{Budget, Endpoint};

pub(super) const MINUTES: usize = 60;
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Snapshots back to the start of five whole minutes, the window of the vendor's limit.
const FIVE_MINUTES: usize = 6;

/// Requests by status class, in the order of [`StatusClass::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers([u64; StatusClass::ALL.len()]);

impl Answers {
    pub(super) fn all(self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn of(self, class: StatusClass) -> u64 {
        self.0[class.index()]
    }

    fn since(self, then: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].saturating_sub(then.0[at])))
    }
}

/// Requests by route and side; `None` = no side was called.
type Requests = Vec<((RouteLabel, Option<Side>), Answers)>;

/// The counters since start, at one moment.
#[derive(Clone, Debug)]
struct Snapshot {
    requests: Requests,
    latency: Vec<(Side, HistogramSnapshot)>,
    /// Calls charged to the rate budget, by endpoint.
    charged: [u64; Endpoint::ALL.len()],
}

impl Snapshot {
    fn now(metrics: &Metrics, budget: &Budget) -> Self {
        let mut requests = Requests::new();
        for ((route, _, side, class), count) in metrics.requests.all().filter(|(_, count)| *count > 0) {
            let known = requests.iter().position(|(key, _)| *key == (route, side));
            let at = known.unwrap_or_else(|| {
                requests.push(((route, side), Answers::default()));
                requests.len() - 1
            });
            requests[at].1.0[class.index()] += count;
        }
        Self {
            requests,
            latency: metrics.upstream_seconds.all().map(|((side,), shape)| (side, shape)).collect(),
            charged: Endpoint::ALL.map(|endpoint| budget.calls_by(endpoint).all()),
        }
    }

    fn of(&self, key: (RouteLabel, Option<Side>)) -> Answers {
        let found = self.requests.iter().find(|(known, _)| *known == key);
        found.map(|(_, answers)| *answers).unwrap_or_default()
    }

    fn side(&self, side: Option<Side>) -> u64 {
        self.requests.iter().filter(|((_, known), _)| *known == side).map(|(_, answers)| answers.all()).sum()
    }
}

/// The snapshots; the oldest is from the end of the minute before the hour.
#[derive(Debug, Default)]
pub(super) struct MetricsHistory(Mutex<VecDeque<Snapshot>>);

/// The hour up to now.
#[derive(Debug)]
pub(super) struct Hour {
    /// By route and side, without zeros, in the order of the routes.
    pub(super) requests: Requests,
    /// Requests of each minute to the legacy side, the new one, and none; the last minute is the current one.
    pub(super) minutes: Vec<[u64; 3]>,
    /// Latency of calls to the sides.
    pub(super) latency: Vec<(Side, HistogramSnapshot)>,
    /// Calls charged in the last five whole minutes and the current one, in the order of [`Endpoint::ALL`].
    pub(super) charged: [u64; Endpoint::ALL.len()],
}

impl MetricsHistory {
    /// Takes the snapshot at the end of a minute.
    pub(super) fn end_minute(&self, metrics: &Metrics, budget: &Budget) {
        let mut snapshots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if snapshots.len() == MINUTES {
            snapshots.pop_front();
        }
        snapshots.push_back(Snapshot::now(metrics, budget));
    }

    /// The hour: the difference to the oldest snapshot.
    pub(super) fn hour(&self, metrics: &Metrics, budget: &Budget) -> Hour {
        let mut snapshots: Vec<_> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        if snapshots.len() < MINUTES {
            // The process is younger than an hour and started with zeros.
            snapshots.insert(0, Snapshot::now(&Metrics::default(), &Budget::default()));
        }
        let now = Snapshot::now(metrics, budget);
        let before = &snapshots[snapshots.len().saturating_sub(FIVE_MINUTES)];
        let charged = std::array::from_fn(|at| now.charged[at].saturating_sub(before.charged[at]));
        let first = snapshots[0].clone();
        snapshots.push(now.clone());
        let sides = [Some(Side::Legacy), Some(Side::New), None];
        let minutes = snapshots
            .windows(2)
            .map(|pair| sides.map(|side| pair[1].side(side).saturating_sub(pair[0].side(side))));
        let mut requests: Requests =
            now.requests.iter().map(|(key, answers)| (*key, answers.since(first.of(*key)))).collect();
        requests.retain(|(_, answers)| answers.all() > 0);
        requests.sort_by_key(|(key, _)| *key);
        let latency = now.latency.into_iter().zip(first.latency);
        let latency = latency.map(|((side, now), (_, then))| (side, since(&now, &then)));
        Hour { requests, minutes: minutes.collect(), latency: latency.collect(), charged }
    }
}

fn since(now: &HistogramSnapshot, then: &HistogramSnapshot) -> HistogramSnapshot {
    let counts = now.counts.iter().zip(&then.counts).map(|(now, then)| now.saturating_sub(*then));
    HistogramSnapshot { counts: counts.collect(), sum: now.sum.saturating_sub(then.sum) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::route::Route;

    #[test]
    fn an_hour_drops_older_minutes_and_includes_the_current_one() {
        let (history, metrics, budget) = (MetricsHistory::default(), Metrics::default(), Budget::default());
        let request =
            |side| metrics.requests.add((RouteLabel::Route(Route::Get), None, side, StatusClass::Success));
        request(Some(Side::Legacy));
        assert_eq!(history.hour(&metrics, &budget).minutes, [[1, 0, 0]]);
        history.end_minute(&metrics, &budget);
        request(Some(Side::New));
        let hour = history.hour(&metrics, &budget);
        assert_eq!(hour.minutes, [[1, 0, 0], [0, 1, 0]]);
        assert_eq!(hour.requests.len(), 2);
        for _ in 0..MINUTES {
            history.end_minute(&metrics, &budget);
        }
        request(None);
        let hour = history.hour(&metrics, &budget);
        assert_eq!((hour.minutes.len(), hour.minutes.last()), (MINUTES, Some(&[0, 0, 1])));
        let [(key, answers)] = hour.requests[..] else { panic!("{:?}", hour.requests) };
        assert_eq!((key, answers.all()), ((RouteLabel::Route(Route::Get), None), 1));
        assert_eq!((answers.of(StatusClass::Success), answers.of(StatusClass::ServerError)), (1, 0));
    }

    #[tokio::test]
    async fn charged_calls_are_dropped_after_five_whole_minutes() {
        let (history, metrics, budget) = (MetricsHistory::default(), Metrics::default(), Budget::default());
        let get = Endpoint::Get(Side::New);
        let pay = async || budget.take(get.client(), tokio::time::Instant::now()).await.unwrap();
        let paid = || history.hour(&metrics, &budget).charged[5];
        assert_eq!((Endpoint::ALL[5], paid()), (get, 0));
        let _ = pay().await;
        assert_eq!(paid(), 1, "of the current minute");
        for minute in 0..6 {
            assert_eq!(paid(), 1, "after {minute} minutes");
            history.end_minute(&metrics, &budget);
        }
        assert_eq!(paid(), 0);
        let _ = pay().await;
        assert_eq!(paid(), 1);
    }
}
