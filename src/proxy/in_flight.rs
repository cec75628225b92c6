//! In-flight limits: in total, by route, and by client. A request above a limit is refused before anything is sent. Nothing is queued,
//! because a queue would fill with requests whose clients have given up.
//!
//! Uses counters rather than semaphores, so that a reload changes the limits while requests are in flight.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::config::InFlight;
use crate::failure::{Failure, ResponsibleParty};
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::labels::RouteLabel;
use crate::translate::route::Matched;
use crate::translate::route::Route;

/// The requests in flight. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission(Arc<InFlightCounts>);

#[derive(Debug, Default)]
struct InFlightCounts {
    all: AtomicUsize,
    lanes: [AtomicUsize; 5],
    /// Requests refused by a limit.
    shed: Counters<(RouteLabel,)>,
    /// Clients with a request in flight. The last request removes the entry, so there are never more than `all`.
    clients: DashMap<IpAddr, usize>,
    /// The request ids, by a number of their own: clients choose the ids and may repeat them. Never more than `all`.
    request_ids: DashMap<u64, String>,
    next: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrafficClass {
    Route(Route),
    PassThrough,
}

impl TrafficClass {
    pub(super) const fn of(matched: &Matched) -> Self {
        match matched {
            Matched::Route(route, _) => Self::Route(*route),
            Matched::UnroutedWrite | Matched::PassThrough => Self::PassThrough,
        }
    }

    fn label(self) -> RouteLabel {
        match self {
            Self::Route(route) => route.into(),
            Self::PassThrough => RouteLabel::PassThrough,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Route(Route::Create) => 0,
            Self::Route(Route::Get) => 1,
            Self::Route(Route::List) => 2,
            Self::Route(Route::Cancel) => 3,
            Self::PassThrough => 4,
        }
    }

    const fn cap(self, caps: &InFlight) -> usize {
        match self {
            Self::Route(Route::Create) => caps.create,
            Self::Route(Route::Get) => caps.get,
            Self::Route(Route::List) => caps.list,
            Self::Route(Route::Cancel) => caps.cancel,
            Self::PassThrough => caps.pass_through,
        }
    }
}

impl Admission {
    /// Admits one more request.
    ///
    /// # Errors
    /// When a limit is reached; `Overloaded` names whose.
    pub(super) fn admit(
        &self,
        lane: TrafficClass,
        client: IpAddr,
        caps: &InFlight,
        request_id: &str,
    ) -> Result<Arc<InFlightGuard>, Failure> {
        let counts = &*self.0;
        let refused = |fault| {
            counts.shed.add((lane.label(),));
            Failure::Overloaded { fault, retry_after: caps.retry_after }
        };
        // A refusal drops the counts taken so far.
        let all = Taken::one(&counts.all, caps.all).ok_or_else(|| refused(ResponsibleParty::Proxy))?;
        let route = Taken::one(&counts.lanes[lane.index()], lane.cap(caps))
            .ok_or_else(|| refused(ResponsibleParty::Proxy))?;
        let client = network(client);
        if !counts.enter(client, caps.client) {
            return Err(refused(ResponsibleParty::Caller));
        }
        // From here on the guard counts them down.
        all.keep();
        route.keep();
        let number = counts.next.fetch_add(1, Ordering::Relaxed);
        counts.request_ids.insert(number, request_id.to_owned());
        Ok(Arc::new(InFlightGuard { counts: Arc::clone(&self.0), lane, client, number }))
    }

    /// The ids of the requests in flight, oldest first.
    #[must_use]
    pub(crate) fn request_ids(&self) -> Vec<String> {
        let mut ids: Vec<_> =
            self.0.request_ids.iter().map(|entry| (*entry.key(), entry.value().clone())).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    #[cfg(test)]
    fn in_flight(&self) -> usize {
        self.0.all.load(Ordering::Relaxed)
    }

    /// Requests in flight by route; token requests count as pass-through.
    #[must_use]
    pub(crate) fn by_route(&self) -> Vec<(RouteLabel, usize)> {
        let lanes = Route::ALL.map(TrafficClass::Route).into_iter().chain([TrafficClass::PassThrough]);
        lanes.map(|lane| (lane.label(), self.0.lanes[lane.index()].load(Ordering::Relaxed))).collect()
    }

    /// Requests refused by a limit since start.
    #[must_use]
    pub(crate) fn shed(&self) -> &Counters<(RouteLabel,)> {
        &self.0.shed
    }

    /// Clients with a request in flight.
    #[must_use]
    pub(crate) fn clients(&self) -> usize {
        self.0.clients.len()
    }
}

/// One count taken from a limit; given back on drop unless kept.
struct Taken<'a>(Option<&'a AtomicUsize>);

impl<'a> Taken<'a> {
    fn one(counter: &'a AtomicUsize, cap: usize) -> Option<Self> {
        let more = |count: usize| (count < cap).then_some(count + 1);
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Some(counter)))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(counter) = self.0 {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl InFlightCounts {
    fn enter(&self, client: IpAddr, cap: usize) -> bool {
        match self.clients.entry(client) {
            Entry::Occupied(count) if *count.get() >= cap => false,
            Entry::Occupied(mut count) => {
                *count.get_mut() += 1;
                true
            }
            // The limit is at least 1, so a first request fits.
            Entry::Vacant(none) => {
                none.insert(1);
                true
            }
        }
    }

    fn leave(&self, client: IpAddr) {
        if let Entry::Occupied(mut count) = self.clients.entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Counts one request as in flight until dropped. The answer's body holds it, and so does a write that goes on without its client.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    counts: Arc<InFlightCounts>,
    lane: TrafficClass,
    client: IpAddr,
    number: u64,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.counts.request_ids.remove(&self.number);
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
        self.counts.lanes[self.lane.index()].fetch_sub(1, Ordering::Relaxed);
        self.counts.leave(self.client);
    }
}

/// The address that a client counts as. An IPv6 client usually owns a /64 network and may use any address in it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        // A /64 is one subscriber: its addresses are free, so each of them would have a limit of its own.
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CAPS: InFlight = InFlight {
        all: 4,
        client: 2,
        create: 1,
        get: 4,
        list: 4,
        cancel: 4,
        pass_through: 4,
        retry_after: Duration::from_secs(1),
    };

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_refusal_counts_nothing_and_a_dropped_guard_leaves_no_count() {
        let admission = Admission::default();
        let admit = |lane, from| admission.admit(lane, client(from), &CAPS, from);
        let create = admit(TrafficClass::Route(Route::Create), "192.0.2.1").unwrap();
        admit(TrafficClass::Route(Route::Create), "192.0.2.2").unwrap_err();
        let pass = admit(TrafficClass::PassThrough, "::ffff:192.0.2.1").unwrap();
        assert_eq!(
            admit(TrafficClass::PassThrough, "192.0.2.1").unwrap_err().fault(),
            ResponsibleParty::Caller
        );
        assert_eq!((admission.in_flight(), admission.clients()), (2, 1));
        let other = admit(TrafficClass::PassThrough, "2001:db8::1").unwrap();
        let same_network = admit(TrafficClass::PassThrough, "2001:db8::2").unwrap();
        assert_eq!(admission.clients(), 2);
        assert_eq!(admission.request_ids(), ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2"]);
        assert_eq!(
            admit(TrafficClass::PassThrough, "192.0.2.9").unwrap_err().fault(),
            ResponsibleParty::Proxy,
            "all are taken"
        );
        drop((create, pass, other, same_network));
        assert_eq!((admission.in_flight(), admission.clients()), (0, 0));
        assert!(admission.request_ids().is_empty());
        assert!(admission.0.lanes.iter().all(|lane| lane.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_request_counts_until_its_last_guard_is_dropped() {
        let admission = Admission::default();
        let guard = admission.admit(TrafficClass::PassThrough, client("192.0.2.1"), &CAPS, "id").unwrap();
        let work = Arc::clone(&guard);
        drop(guard);
        assert_eq!(admission.in_flight(), 1);
        drop(work);
        assert_eq!(admission.in_flight(), 0);
    }
}
