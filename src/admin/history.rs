//! The last hour, for the page: what was counted at the end of each of its minutes. Nothing is added on the way of a request; a
//! minute is the difference between two looks.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::family::HistogramSnapshot;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::labels::{RouteLabel, StatusClass};
use crate::translate::side::Side;
use crate::upstream::rate_limit::{Budget, Endpoint};

/// Minutes that are remembered.
pub(super) const MINUTES: usize = 60;
/// How long one of them is.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// The last five minutes, for which the vendor's limit counts, begin so many moments ago: all five are whole.
const FIVE_MINUTES: usize = 6;

/// Requests by what they were answered, in the order of [`StatusClass::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers([u64; StatusClass::ALL.len()]);

impl Answers {
    /// All of them.
    pub(super) fn all(self) -> u64 {
        self.0.iter().sum()
    }

    /// Those of one class.
    pub(super) fn of(self, class: StatusClass) -> u64 {
        self.0[class.index()]
    }

    fn since(self, then: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].saturating_sub(then.0[at])))
    }
}

/// Requests by route and side; `None` = no side was asked.
type Requests = Vec<((RouteLabel, Option<Side>), Answers)>;

/// What had been counted at one moment since the start.
#[derive(Clone, Debug)]
struct Moment {
    requests: Requests,
    latency: Vec<(Side, HistogramSnapshot)>,
    /// Calls that were paid for, by endpoint.
    paid: [u64; Endpoint::ALL.len()],
}

impl Moment {
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
            paid: Endpoint::ALL.map(|endpoint| budget.calls_by(endpoint).all()),
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

/// The moments; the oldest is the end of the minute before the hour.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Moment>>);

/// The hour up to now.
#[derive(Debug)]
pub(super) struct Hour {
    /// By route and side, only where there were some; in the order of the routes.
    pub(super) requests: Requests,
    /// Requests of each minute that went to the legacy side, to the new one, and to none; the last minute is still going on.
    pub(super) minutes: Vec<[u64; 3]>,
    /// The times of calls to the sides.
    pub(super) latency: Vec<(Side, HistogramSnapshot)>,
    /// Calls of the last five minutes and a bit by endpoint, in the order of [`Endpoint::ALL`].
    pub(super) paid: [u64; Endpoint::ALL.len()],
}

impl History {
    /// A minute has ended.
    pub(super) fn minute(&self, metrics: &Metrics, budget: &Budget) {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if moments.len() == MINUTES {
            moments.pop_front();
        }
        moments.push_back(Moment::now(metrics, budget));
    }

    /// What happened since the oldest moment that is remembered.
    pub(super) fn hour(&self, metrics: &Metrics, budget: &Budget) -> Hour {
        let mut moments: Vec<_> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        if moments.len() < MINUTES {
            // Younger than an hour: it began with nothing.
            moments.insert(0, Moment::now(&Metrics::default(), &Budget::default()));
        }
        let now = Moment::now(metrics, budget);
        let before = &moments[moments.len().saturating_sub(FIVE_MINUTES)];
        let paid = std::array::from_fn(|at| now.paid[at].saturating_sub(before.paid[at]));
        let first = moments[0].clone();
        moments.push(now.clone());
        let sides = [Some(Side::Legacy), Some(Side::New), None];
        let minutes = moments
            .windows(2)
            .map(|pair| sides.map(|side| pair[1].side(side).saturating_sub(pair[0].side(side))));
        let mut requests: Requests =
            now.requests.iter().map(|(key, answers)| (*key, answers.since(first.of(*key)))).collect();
        requests.retain(|(_, answers)| answers.all() > 0);
        requests.sort_by_key(|(key, _)| *key);
        let latency = now.latency.into_iter().zip(first.latency);
        let latency = latency.map(|((side, now), (_, then))| (side, since(&now, &then)));
        Hour { requests, minutes: minutes.collect(), latency: latency.collect(), paid }
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
    fn an_hour_forgets_what_was_before_and_counts_the_minute_that_goes_on() {
        let (history, metrics, budget) = (History::default(), Metrics::default(), Budget::default());
        let request =
            |side| metrics.requests.add((RouteLabel::Route(Route::Get), None, side, StatusClass::Success));
        request(Some(Side::Legacy));
        assert_eq!(history.hour(&metrics, &budget).minutes, [[1, 0, 0]]);
        history.minute(&metrics, &budget);
        request(Some(Side::New));
        let hour = history.hour(&metrics, &budget);
        assert_eq!(hour.minutes, [[1, 0, 0], [0, 1, 0]]);
        assert_eq!(hour.requests.len(), 2);
        for _ in 0..MINUTES {
            history.minute(&metrics, &budget);
        }
        request(None);
        let hour = history.hour(&metrics, &budget);
        assert_eq!((hour.minutes.len(), hour.minutes.last()), (MINUTES, Some(&[0, 0, 1])));
        let [(key, answers)] = hour.requests[..] else { panic!("{:?}", hour.requests) };
        assert_eq!((key, answers.all()), ((RouteLabel::Route(Route::Get), None), 1));
        assert_eq!((answers.of(StatusClass::Success), answers.of(StatusClass::ServerError)), (1, 0));
    }

    #[tokio::test]
    async fn what_was_paid_for_is_forgotten_after_five_whole_minutes() {
        let (history, metrics, budget) = (History::default(), Metrics::default(), Budget::default());
        let get = Endpoint::Get(Side::New);
        let pay = async || budget.take(get.primary(), tokio::time::Instant::now()).await.unwrap();
        let paid = || history.hour(&metrics, &budget).paid[5];
        assert_eq!((Endpoint::ALL[5], paid()), (get, 0));
        let _ = pay().await;
        assert_eq!(paid(), 1, "of the minute that goes on");
        for minute in 0..6 {
            assert_eq!(paid(), 1, "after {minute} minutes");
            history.minute(&metrics, &budget);
        }
        assert_eq!(paid(), 0);
        let _ = pay().await;
        assert_eq!(paid(), 1);
    }
}
