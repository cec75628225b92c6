//! What arrived: the operations the sandbox knows, a bounded log of requests, and counters. Decides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::watch;

use crate::translate::side::Side;

/// How many requests [`Requests`] remembers; older ones are forgotten, the counters are not.
const REMEMBERED: usize = 10_000;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Make a conversion or an orchestration.
    Create,
    /// Read one by its id.
    Get,
    /// List.
    List,
    /// Cancel a conversion (legacy only).
    Cancel,
    /// Fetch an access token; belongs to no side.
    Token,
    /// Anything else; belongs to no side.
    Other,
}

impl Operation {
    /// The name used in `/sandbox/faults` and `/sandbox/books`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Cancel => "cancel",
            Self::Token => "token",
            Self::Other => "other",
        }
    }

    /// The operation of that name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Create, Self::Get, Self::List, Self::Cancel, Self::Token, Self::Other];
        all.into_iter().find(|operation| operation.as_str() == name)
    }
}

/// A request's side (none for tokens and unknown paths) and operation.
pub(super) type Target = (Option<Side>, Operation);

/// What a method and path ask for, with the id that the path ends in.
pub(super) fn classify<'path>(method: &Method, path: &'path str) -> (Target, Option<&'path str>) {
    const LEGACY: &str = "/v2/conversion/stablecoins";
    const NEW: &str = "/v2/orchestration/orchestrations";
    let nothing = ((None, Operation::Other), None);
    if path == "/oauth2/token" && method == Method::POST {
        return ((None, Operation::Token), None);
    }
    let (side, rest) = match (path.strip_prefix(LEGACY), path.strip_prefix(NEW)) {
        (Some(rest), _) => (Side::Legacy, rest),
        (_, Some(rest)) => (Side::New, rest),
        _ => return nothing,
    };
    let id = rest.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/'));
    let operation = match (method.as_str(), id, side) {
        ("POST", None, _) if rest.is_empty() => Operation::Create,
        ("GET", None, _) if rest.is_empty() => Operation::List,
        ("GET", Some(_), _) => Operation::Get,
        ("DELETE", Some(_), Side::Legacy) => Operation::Cancel,
        _ => return nothing,
    };
    ((Some(side), operation), id)
}

/// One request as it arrived. Holds credentials: for assertions in memory, never to be printed.
#[derive(Clone)]
pub struct ReceivedRequest {
    /// Counts the requests that arrived, from 1.
    pub sequence: u64,
    /// The API that was asked; none for tokens and unknown paths.
    pub side: Option<Side>,
    /// What was asked for.
    pub operation: Operation,
    /// The method.
    pub method: Method,
    /// Path and query, as sent.
    pub path_and_query: String,
    /// All headers, in the order in which they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

#[derive(Default)]
struct Log {
    seen: VecDeque<ReceivedRequest>,
    arrived: BTreeMap<Target, u64>,
    applied: BTreeMap<Target, u64>,
}

/// The log and the counters.
pub(super) struct Requests {
    log: Mutex<Log>,
    sequence: watch::Sender<u64>,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { log: Mutex::default(), sequence: watch::Sender::new(0) }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs and counts one request, and wakes whoever waits for it.
    pub(super) fn note(&self, (side, operation): Target, parts: &http::request::Parts, body: Bytes) {
        let path_and_query = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let mut log = self.log();
        let sequence = *self.sequence.borrow() + 1;
        if log.seen.len() == REMEMBERED {
            log.seen.pop_front();
        }
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        log.seen.push_back(ReceivedRequest {
            sequence,
            side,
            operation,
            method,
            path_and_query,
            headers,
            body,
        });
        *log.arrived.entry((side, operation)).or_default() += 1;
        self.sequence.send_replace(sequence);
    }

    pub(super) fn note_applied(&self, target: Target) {
        *self.log().applied.entry(target).or_default() += 1;
    }

    pub(super) fn all(&self) -> Vec<ReceivedRequest> {
        self.log().seen.iter().cloned().collect()
    }

    pub(super) fn arrived(&self, target: Target) -> u64 {
        self.log().arrived.get(&target).copied().unwrap_or(0)
    }

    pub(super) fn applied(&self, target: Target) -> u64 {
        self.log().applied.get(&target).copied().unwrap_or(0)
    }

    pub(super) fn counters(&self) -> (BTreeMap<Target, u64>, BTreeMap<Target, u64>) {
        let log = self.log();
        (log.arrived.clone(), log.applied.clone())
    }

    /// Resolves once `count` requests for `target` have arrived in all.
    pub(super) async fn wait(&self, target: Target, count: u64) {
        let mut changes = self.sequence.subscribe();
        // Not by `wait_for`: it holds the channel's lock while it looks, and `note` takes the two locks the other way round.
        while self.arrived(target) < count {
            // The sender lives in `self`, so waiting cannot fail.
            let _ = changes.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{Bytes, Operation, Requests};

    #[test]
    fn waiting_and_arriving_never_stand_in_each_others_way() {
        const MANY: u64 = 5_000;
        let requests = Arc::new(Requests::new());
        let (sender, done) = channel();
        let noted = (requests.clone(), sender.clone());
        std::thread::spawn(move || {
            let (parts, ()) = http::Request::new(()).into_parts();
            (0..MANY).for_each(|_| noted.0.note((None, Operation::Other), &parts, Bytes::new()));
            noted.1.send(()).unwrap();
        });
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let wait = async {
                for count in 1..=MANY {
                    requests.wait((None, Operation::Other), count).await;
                }
            };
            runtime.block_on(wait);
            sender.send(()).unwrap();
        });
        // Both ends, or nobody moves any more.
        (0..2).for_each(|_| done.recv_timeout(Duration::from_secs(20)).unwrap());
    }
}
