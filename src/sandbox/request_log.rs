//! A bounded log of the requests that arrived, and counters of what arrived and what took effect.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::watch;

use super::operation::{Operation, OperationTarget};
use crate::translate::side::Side;

/// Requests that [`RequestLog`] keeps; older ones are dropped, the counters are not.
const REMEMBERED: usize = 10_000;

/// One request as it arrived. Holds credentials, so it has no `Debug`.
#[derive(Clone)]
pub struct ReceivedRequest {
    /// Position among all requests, from 1.
    pub sequence: u64,
    /// The API; none for tokens and unknown paths.
    pub side: Option<Side>,
    /// The operation.
    pub operation: Operation,
    /// The method.
    pub method: Method,
    /// Path and query, as sent.
    pub path_and_query: String,
    /// All headers, in the order received.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

#[derive(Default)]
struct LoggedRequests {
    received: VecDeque<ReceivedRequest>,
    arrived: BTreeMap<OperationTarget, u64>,
    applied: BTreeMap<OperationTarget, u64>,
}

pub(super) struct RequestLog {
    log: Mutex<LoggedRequests>,
    sequence: watch::Sender<u64>,
    in_progress: watch::Sender<u64>,
}

/// A request that is being handled, until this is dropped.
pub(super) struct InProgress(watch::Sender<u64>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl RequestLog {
    pub(super) fn new() -> Self {
        Self { log: Mutex::default(), sequence: watch::Sender::new(0), in_progress: watch::Sender::new(0) }
    }

    fn log(&self) -> MutexGuard<'_, LoggedRequests> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs and counts one request, and wakes its waiters.
    pub(super) fn record(
        &self,
        (side, operation): OperationTarget,
        parts: &http::request::Parts,
        body: Bytes,
    ) {
        let path_and_query = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let mut log = self.log();
        let sequence = *self.sequence.borrow() + 1;
        if log.received.len() == REMEMBERED {
            log.received.pop_front();
        }
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        log.received.push_back(ReceivedRequest {
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

    /// Counts a request as in progress.
    pub(super) fn begin(&self) -> InProgress {
        self.in_progress.send_modify(|count| *count += 1);
        InProgress(self.in_progress.clone())
    }

    /// Resolves once no request is in progress.
    pub(super) async fn wait_idle(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.in_progress.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(super) fn record_applied(&self, target: OperationTarget) {
        *self.log().applied.entry(target).or_default() += 1;
    }

    pub(super) fn all(&self) -> Vec<ReceivedRequest> {
        self.log().received.iter().cloned().collect()
    }

    pub(super) fn arrived(&self, target: OperationTarget) -> u64 {
        self.log().arrived.get(&target).copied().unwrap_or(0)
    }

    pub(super) fn applied(&self, target: OperationTarget) -> u64 {
        self.log().applied.get(&target).copied().unwrap_or(0)
    }

    pub(super) fn counters(&self) -> (BTreeMap<OperationTarget, u64>, BTreeMap<OperationTarget, u64>) {
        let log = self.log();
        (log.arrived.clone(), log.applied.clone())
    }

    /// Resolves once `count` requests for `target` have arrived in all.
    pub(super) async fn wait(&self, target: OperationTarget, count: u64) {
        let mut changes = self.sequence.subscribe();
        // Not `wait_for`: it holds the channel's lock while it evaluates, and `record` takes the two locks in the other order.
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

    use super::{Bytes, Operation, RequestLog};

    #[test]
    fn waiting_and_recording_do_not_deadlock() {
        const MANY: u64 = 5_000;
        let requests = Arc::new(RequestLog::new());
        let (sender, done) = channel();
        let recording = (requests.clone(), sender.clone());
        std::thread::spawn(move || {
            let (parts, ()) = http::Request::new(()).into_parts();
            (0..MANY).for_each(|_| recording.0.record((None, Operation::Other), &parts, Bytes::new()));
            recording.1.send(()).unwrap();
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
        // Both threads end, unless they deadlock.
        (0..2).for_each(|_| done.recv_timeout(Duration::from_secs(20)).unwrap());
    }
}
