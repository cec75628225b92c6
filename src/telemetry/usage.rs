//! Who still calls the old API, and what of it: for the day when it is to be switched off. A table of clients that never outgrows
//! its bound; an entry is a few atomics. How a client is told from others is `proxy`'s business; no token ever comes here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use jiff::Timestamp;

use super::metrics::labels::RouteLabel;
use crate::meters::{Counters, label};

/// Most clients that are told apart; what comes later is counted together.
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
        let second = self.last_seen.load(Ordering::Relaxed);
        Timestamp::from_second(second).ok().filter(|_| second != 0)
    }

    /// How many it made.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.all().map(|(_, count)| count).sum()
    }
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
}

impl Default for Usage {
    fn default() -> Self {
        let others = Arc::new(Client::new(KnownBy::Nothing, String::new()));
        Self(Arc::new(Table { clients: Default::default(), taken: AtomicUsize::new(0), others }))
    }
}

impl Usage {
    /// The entry of a client; that of all others once the table is full.
    #[must_use]
    pub fn client(&self, by: KnownBy, name: &str) -> Arc<Client> {
        let name = name.char_indices().nth(NAME_MAX).map_or(name, |(end, _)| &name[..end]);
        let clients = &self.0.clients[by as usize];
        if let Some(known) = clients.get(name) {
            return Arc::clone(&known);
        }
        let more = |taken: usize| (taken < CLIENTS_MAX).then_some(taken + 1);
        if self.0.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Arc::clone(&self.0.others);
        }
        match clients.entry(name.to_owned()) {
            Entry::Occupied(known) => {
                self.0.taken.fetch_sub(1, Ordering::Relaxed);
                Arc::clone(known.get())
            }
            Entry::Vacant(new) => Arc::clone(&new.insert(Arc::new(Client::new(by, name.to_owned())))),
        }
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

    #[test]
    fn the_table_never_grows_past_its_bound_and_names_are_cut() {
        let usage = Usage::default();
        for number in 0..CLIENTS_MAX + 50 {
            usage.client(KnownBy::Header, &format!("client-{number}")).seen(RouteLabel::Get);
        }
        assert_eq!((usage.clients().len(), usage.others().total()), (CLIENTS_MAX, 50));
        usage.client(KnownBy::Header, "client-0").seen(RouteLabel::Get);
        assert_eq!(
            usage.clients()[0].name,
            "client-0",
            "who is known stays known, and the busiest comes first"
        );
        assert_eq!(Usage::default().client(KnownBy::Token, &"é".repeat(500)).name, "é".repeat(NAME_MAX));
    }

    #[test]
    fn one_name_known_by_two_ways_is_two_clients() {
        let usage = Usage::default();
        usage.client(KnownBy::Header, "treasury").seen(RouteLabel::Get);
        usage.client(KnownBy::Caller, "treasury").seen(RouteLabel::Cancel);
        let told: Vec<_> = usage.clients().iter().map(|client| (client.by, client.total())).collect();
        assert_eq!(told, [(KnownBy::Header, 1), (KnownBy::Caller, 1)]);
    }
}
