//! Who still calls the old API, and what of it: for the day when it is to be switched off. A table of clients that never outgrows
//! its bound; an entry is a few atomics. How a client is told from others, and which requests count, is `proxy`'s business; no token
//! ever comes here.
//!
//! When the table is full, a new client takes the place of the one that was not seen for longest, of those with nothing in the way
//! of switching the old API off. Where there is none, it is counted with all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use jiff::Timestamp;

use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::label;
use crate::telemetry::metrics::labels::RouteLabel;

/// Most clients that are told apart at a time.
pub const CLIENTS_MAX: usize = 1000;
/// Longest name that is kept, in characters.
pub const NAME_MAX: usize = 64;

/// By what a client is told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KnownBy {
    /// What it says in the header `usage.client_header`. Anybody can say anything.
    Header,
    /// Its name among `auth.callers`, proven.
    Caller,
    /// Its certificate, proven.
    Certificate,
    /// What its token says, not verified here.
    Token,
    /// Nothing.
    Nothing,
}
label!(
    KnownBy,
    "by",
    Header = "header",
    Caller = "caller",
    Certificate = "certificate",
    Token = "token",
    Nothing = "nothing",
);

/// What stands in the way of switching the old API off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// It cancels; the new API cannot.
    Cancel,
    /// It filters a list by the time of the last change; the new API cannot.
    ChangeFilter,
    /// It creates without a reference; the new API demands one.
    NoReference,
    /// It reads records that only the old API has.
    LegacyRecord,
}
label!(
    Feature,
    "feature",
    Cancel = "cancel",
    ChangeFilter = "change_filter",
    NoReference = "no_reference",
    LegacyRecord = "legacy_record",
);

/// What is known of one client.
#[derive(Debug)]
pub struct Client {
    /// Its name, cut to [`NAME_MAX`]; as it came, so escape it wherever it is shown.
    pub name: String,
    /// By what it is told from others.
    pub by: KnownBy,
    /// Its requests on the four routes.
    pub requests: Counters<(RouteLabel,)>,
    /// Those that stand in the way.
    pub features: Counters<(Feature,)>,
    /// In seconds since 1970; 0 = never.
    last_seen: AtomicI64,
}

impl Client {
    fn new(by: KnownBy, name: String) -> Self {
        let (requests, features) = (Counters::default(), Counters::default());
        Self { name, by, requests, features, last_seen: AtomicI64::new(0) }
    }

    /// It made a request.
    pub fn seen(&self, route: RouteLabel) {
        self.requests.add((route,));
        self.last_seen.store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    /// When it made the last one.
    #[must_use]
    pub fn last_seen(&self) -> Option<Timestamp> {
        at(&self.last_seen)
    }

    /// Whether it may be forgotten: it has called, and nothing of it stands in the way.
    fn may_go(&self) -> bool {
        self.last_seen.load(Ordering::Relaxed) != 0 && self.features.all().all(|(_, count)| count == 0)
    }

    /// How many it made.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.all().map(|(_, count)| count).sum()
    }
}

/// Seconds since 1970; 0 = never.
fn at(seconds: &AtomicI64) -> Option<Timestamp> {
    let second = seconds.load(Ordering::Relaxed);
    Timestamp::from_second(second).ok().filter(|_| second != 0)
}

/// The table. Clones share it.
#[derive(Clone, Debug)]
pub struct Usage(Arc<Table>);

#[derive(Debug)]
struct Table {
    /// One map for each way of knowing a client, so that nobody can take another's name by another way.
    clients: [DashMap<String, Arc<Client>>; 5],
    taken: AtomicUsize,
    others: Arc<Client>,
    /// In seconds since 1970; 0 = there was a place for everybody.
    full_since: AtomicI64,
    given_way: AtomicU64,
}

impl Default for Usage {
    fn default() -> Self {
        let others = Arc::new(Client::new(KnownBy::Nothing, String::new()));
        let (taken, full_since, given_way) = Default::default();
        Self(Arc::new(Table { clients: Default::default(), taken, others, full_since, given_way }))
    }
}

/// A name as it is kept: without blanks around it, and not longer than [`NAME_MAX`].
#[must_use]
pub fn cut(name: &str) -> &str {
    let name = name.trim();
    name.char_indices().nth(NAME_MAX).map_or(name, |(end, _)| name[..end].trim_end())
}

impl Usage {
    /// The entry of a client that was seen before.
    #[must_use]
    pub fn known(&self, by: KnownBy, name: &str) -> Option<Arc<Client>> {
        self.0.clients[by as usize].get(cut(name)).map(|known| Arc::clone(&known))
    }

    /// The entry of a client, which is new if need be; that of all others when there is no place for it.
    #[must_use]
    pub fn client(&self, by: KnownBy, name: &str) -> Arc<Client> {
        if let Some(known) = self.known(by, name) {
            return known;
        }
        let more = |taken: usize| (taken < CLIENTS_MAX).then_some(taken + 1);
        let free = self.0.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !free && !self.one_gives_way() {
            return Arc::clone(&self.0.others);
        }
        match self.0.clients[by as usize].entry(cut(name).to_owned()) {
            Entry::Occupied(known) => {
                self.0.taken.fetch_sub(1, Ordering::Relaxed);
                Arc::clone(known.get())
            }
            Entry::Vacant(new) => {
                let client = Arc::new(Client::new(by, new.key().clone()));
                Arc::clone(&new.insert(client))
            }
        }
    }

    /// Frees a place, if somebody has nothing in the way. It stays taken, for whoever asked.
    fn one_gives_way(&self) -> bool {
        let now = Timestamp::now().as_second();
        let _ = self.0.full_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        let each = self.0.clients.iter().flat_map(DashMap::iter);
        let idle = each.filter(|entry| entry.may_go()).map(|entry| Arc::clone(&entry));
        let Some(oldest) = idle.min_by_key(|client| client.last_seen.load(Ordering::Relaxed)) else {
            return false;
        };
        let clients = &self.0.clients[oldest.by as usize];
        // Somebody else may have been quicker, or it has called just now.
        let gone =
            clients.remove_if(&oldest.name, |_, client| Arc::ptr_eq(client, &oldest) && client.may_go());
        self.0.given_way.fetch_add(u64::from(gone.is_some()), Ordering::Relaxed);
        gone.is_some()
    }

    /// Since when clients have come for whom there was no free place; `None`: there was always one.
    #[must_use]
    pub fn full_since(&self) -> Option<Timestamp> {
        at(&self.0.full_since)
    }

    /// How many clients were forgotten in favour of new ones.
    #[must_use]
    pub fn given_way(&self) -> u64 {
        self.0.given_way.load(Ordering::Relaxed)
    }

    /// Every client that was seen, the busiest first.
    #[must_use]
    pub fn clients(&self) -> Vec<Arc<Client>> {
        let each = self.0.clients.iter().flat_map(DashMap::iter);
        let mut clients: Vec<_> =
            each.map(|entry| Arc::clone(&entry)).filter(|client| client.last_seen().is_some()).collect();
        clients
            .sort_by_cached_key(|client| (std::cmp::Reverse(client.total()), client.by, client.name.clone()));
        clients
    }

    /// What all those did for whom the table had no place.
    #[must_use]
    pub fn others(&self) -> &Client {
        &self.0.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::route::Route;

    #[test]
    fn the_table_never_grows_past_its_bound_and_names_are_cut() {
        let usage = Usage::default();
        let call = |number: usize| {
            let client = usage.client(KnownBy::Header, &format!("client-{number}"));
            client.features.add((Feature::Cancel,));
            client.seen(RouteLabel::Route(Route::Get));
        };
        (0..CLIENTS_MAX).for_each(call);
        assert_eq!(usage.full_since(), None, "there was a place for everybody");
        (CLIENTS_MAX..CLIENTS_MAX + 50).for_each(call);
        assert_eq!((usage.clients().len(), usage.others().total()), (CLIENTS_MAX, 50));
        assert!(usage.full_since().is_some());
        assert_eq!(usage.given_way(), 0, "all of them stand in the way");
        usage.client(KnownBy::Header, "client-0").seen(RouteLabel::Route(Route::Get));
        assert_eq!(
            usage.clients()[0].name,
            "client-0",
            "who is known stays known, and the busiest comes first"
        );
        assert_eq!(Usage::default().client(KnownBy::Token, &"é".repeat(500)).name, "é".repeat(NAME_MAX));
    }

    #[test]
    fn who_was_not_seen_for_longest_and_has_nothing_in_the_way_gives_way() {
        let usage = Usage::default();
        for number in 0..CLIENTS_MAX {
            let client = usage.client(KnownBy::Header, &format!("client-{number}"));
            client.seen(RouteLabel::Route(Route::Get));
            client.last_seen.store(number as i64 + 1, Ordering::Relaxed);
        }
        usage.client(KnownBy::Header, "client-0").features.add((Feature::Cancel,));
        usage.client(KnownBy::Token, "new").seen(RouteLabel::Route(Route::Get));
        assert!(usage.known(KnownBy::Token, "new").is_some());
        assert!(usage.known(KnownBy::Header, "client-0").is_some(), "it stands in the way");
        assert!(usage.known(KnownBy::Header, "client-1").is_none());
        assert_eq!((usage.clients().len(), usage.given_way()), (CLIENTS_MAX, 1));
    }

    #[test]
    fn one_name_known_by_two_ways_is_two_clients() {
        let usage = Usage::default();
        usage.client(KnownBy::Header, "treasury").seen(RouteLabel::Route(Route::Get));
        usage.client(KnownBy::Caller, "treasury").seen(RouteLabel::Route(Route::Cancel));
        let told: Vec<_> = usage.clients().iter().map(|client| (client.by, client.total())).collect();
        assert_eq!(told, [(KnownBy::Header, 1), (KnownBy::Caller, 1)]);
    }
}
