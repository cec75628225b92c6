//! The clients that still call the legacy API, and the features that block its end. A bounded table; an entry is a few atomics. The parent
//! module identifies clients and decides which requests count. No token is stored here.
//!
//! When the table is full, a new client replaces the least recently seen one that uses no blocking feature. Without such a client, its requests
//! are counted in one shared entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use jiff::Timestamp;

use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::label;
use crate::telemetry::metrics::labels::RouteLabel;

/// The capacity of the table.
pub(crate) const CLIENTS_MAX: usize = 1000;
/// The length to which names are truncated, in characters.
pub(crate) const NAME_MAX: usize = 64;

/// The name of every client that nothing identifies.
pub(super) const NOT_IDENTIFIED: &str = "not identified";

/// How a client is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KnownBy {
    /// The header field `usage.client_header`, which a client can set to anything.
    Header,
    /// An authenticated caller of `auth.callers`.
    Caller,
    Certificate,
    /// A claim of its token, not verified.
    Token,
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

/// A feature of the legacy API that blocks its end, because the new API lacks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Cancels; the new API has no such operation.
    Cancel,
    /// A list filter by the time of the last change.
    ChangeFilter,
    /// A create without a `ref_id`, which the new API requires.
    NoReference,
    /// A get of a record that only the legacy API has.
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

#[derive(Debug)]
pub(crate) struct ClientEntry {
    /// Truncated to [`NAME_MAX`], otherwise as received: escape it for display.
    pub(crate) name: String,
    /// How the client is identified.
    pub(crate) by: KnownBy,
    /// Requests on the four routes.
    pub(crate) requests: Counters<(RouteLabel,)>,
    pub(crate) features: Counters<(Feature,)>,
    /// Unix time in seconds; 0: never.
    last_seen: AtomicI64,
}

impl ClientEntry {
    fn new(by: KnownBy, name: String) -> Self {
        let (requests, features) = (Counters::default(), Counters::default());
        Self { name, by, requests, features, last_seen: AtomicI64::new(0) }
    }

    pub(crate) fn record_request(&self, route: RouteLabel) {
        self.requests.add((route,));
        self.last_seen.store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    pub(crate) fn last_seen(&self) -> Option<Timestamp> {
        timestamp(&self.last_seen)
    }

    /// Whether the entry may be replaced. One without requests has just been created by another thread.
    fn is_evictable(&self) -> bool {
        self.last_seen.load(Ordering::Relaxed) != 0 && self.features.all().all(|(_, count)| count == 0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.requests.all().map(|(_, count)| count).sum()
    }
}

/// From Unix time in seconds; 0: `None`.
fn timestamp(seconds: &AtomicI64) -> Option<Timestamp> {
    let second = seconds.load(Ordering::Relaxed);
    Timestamp::from_second(second).ok().filter(|_| second != 0)
}

/// The table of clients. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct UsageTable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// One map for each [`KnownBy`], so that an unverified name never shares the entry of a verified one.
    clients: [DashMap<String, Arc<ClientEntry>>; 5],
    len: AtomicUsize,
    others: Arc<ClientEntry>,
    /// Unix time in seconds; 0: the table was never full.
    full_since: AtomicI64,
    evicted: AtomicU64,
}

impl Default for UsageTable {
    fn default() -> Self {
        let others = Arc::new(ClientEntry::new(KnownBy::Nothing, String::new()));
        let (len, full_since, evicted) = Default::default();
        Self(Arc::new(Inner { clients: Default::default(), len, others, full_since, evicted }))
    }
}

/// Trims a name and truncates it to [`NAME_MAX`].
pub(crate) fn truncated(name: &str) -> &str {
    let name = name.trim();
    name.char_indices().nth(NAME_MAX).map_or(name, |(end, _)| name[..end].trim_end())
}

impl UsageTable {
    /// The entry of a known client.
    pub(crate) fn known(&self, by: KnownBy, name: &str) -> Option<Arc<ClientEntry>> {
        self.0.clients[by as usize].get(truncated(name)).map(|known| Arc::clone(&known))
    }

    /// The entry of a client, created if needed; the shared entry if the table is full.
    pub(crate) fn client(&self, by: KnownBy, name: &str) -> Arc<ClientEntry> {
        if let Some(known) = self.known(by, name) {
            return known;
        }
        let one_more = |len: usize| (len < CLIENTS_MAX).then_some(len + 1);
        let reserved = self.0.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        if !reserved && !self.evict_one() {
            return Arc::clone(&self.0.others);
        }
        match self.0.clients[by as usize].entry(truncated(name).to_owned()) {
            Entry::Occupied(known) => {
                self.0.len.fetch_sub(1, Ordering::Relaxed);
                Arc::clone(known.get())
            }
            Entry::Vacant(new) => {
                let client = Arc::new(ClientEntry::new(by, new.key().clone()));
                Arc::clone(&new.insert(client))
            }
        }
    }

    /// Removes the least recently seen evictable client. `len` does not change: the caller uses the freed slot.
    fn evict_one(&self) -> bool {
        let now = Timestamp::now().as_second();
        let _ = self.0.full_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        let each = self.0.clients.iter().flat_map(DashMap::iter);
        let evictable = each.filter(|entry| entry.is_evictable()).map(|entry| Arc::clone(&entry));
        let Some(oldest) = evictable.min_by_key(|client| client.last_seen.load(Ordering::Relaxed)) else {
            return false;
        };
        let clients = &self.0.clients[oldest.by as usize];
        // Another thread may have removed it, or it may have called in between.
        let removed = clients
            .remove_if(&oldest.name, |_, client| Arc::ptr_eq(client, &oldest) && client.is_evictable());
        self.0.evicted.fetch_add(u64::from(removed.is_some()), Ordering::Relaxed);
        removed.is_some()
    }

    /// When a new client first found the table full; `None`: never.
    pub(crate) fn full_since(&self) -> Option<Timestamp> {
        timestamp(&self.0.full_since)
    }

    /// Clients replaced by new ones.
    pub(crate) fn evicted(&self) -> u64 {
        self.0.evicted.load(Ordering::Relaxed)
    }

    /// Every client, the one with the most requests first.
    pub(crate) fn clients(&self) -> Vec<Arc<ClientEntry>> {
        let each = self.0.clients.iter().flat_map(DashMap::iter);
        let mut clients: Vec<_> =
            each.map(|entry| Arc::clone(&entry)).filter(|client| client.last_seen().is_some()).collect();
        clients
            .sort_by_cached_key(|client| (std::cmp::Reverse(client.total()), client.by, client.name.clone()));
        clients
    }

    /// The shared entry for clients that did not fit in the table.
    pub(crate) fn others(&self) -> &ClientEntry {
        &self.0.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::route::Route;

    #[test]
    fn the_table_is_bounded_and_names_are_truncated() {
        let usage = UsageTable::default();
        let call = |number: usize| {
            let client = usage.client(KnownBy::Header, &format!("client-{number}"));
            client.features.add((Feature::Cancel,));
            client.record_request(RouteLabel::Route(Route::Get));
        };
        (0..CLIENTS_MAX).for_each(call);
        assert_eq!(usage.full_since(), None, "the table was not full");
        (CLIENTS_MAX..CLIENTS_MAX + 50).for_each(call);
        assert_eq!((usage.clients().len(), usage.others().total()), (CLIENTS_MAX, 50));
        assert!(usage.full_since().is_some());
        assert_eq!(usage.evicted(), 0, "every client blocks");
        usage.client(KnownBy::Header, "client-0").record_request(RouteLabel::Route(Route::Get));
        assert_eq!(usage.clients()[0].name, "client-0", "a known client stays, and the busiest comes first");
        assert_eq!(UsageTable::default().client(KnownBy::Token, &"é".repeat(500)).name, "é".repeat(NAME_MAX));
    }

    #[test]
    fn the_least_recently_seen_client_without_blocking_features_is_evicted() {
        let usage = UsageTable::default();
        for number in 0..CLIENTS_MAX {
            let client = usage.client(KnownBy::Header, &format!("client-{number}"));
            client.record_request(RouteLabel::Route(Route::Get));
            client.last_seen.store(number as i64 + 1, Ordering::Relaxed);
        }
        usage.client(KnownBy::Header, "client-0").features.add((Feature::Cancel,));
        usage.client(KnownBy::Token, "new").record_request(RouteLabel::Route(Route::Get));
        assert!(usage.known(KnownBy::Token, "new").is_some());
        assert!(usage.known(KnownBy::Header, "client-0").is_some(), "it blocks");
        assert!(usage.known(KnownBy::Header, "client-1").is_none());
        assert_eq!((usage.clients().len(), usage.evicted()), (CLIENTS_MAX, 1));
    }

    #[test]
    fn one_name_identified_in_two_ways_is_two_clients() {
        let usage = UsageTable::default();
        usage.client(KnownBy::Header, "treasury").record_request(RouteLabel::Route(Route::Get));
        usage.client(KnownBy::Caller, "treasury").record_request(RouteLabel::Route(Route::Cancel));
        let clients: Vec<_> = usage.clients().iter().map(|client| (client.by, client.total())).collect();
        assert_eq!(clients, [(KnownBy::Header, 1), (KnownBy::Caller, 1)]);
    }
}
