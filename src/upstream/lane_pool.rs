//! The connections of one lane. On HTTP/2 hyper-util sends every request to a host on one connection, and what exceeds the streams that the
//! peer allows waits there in a queue. Here it goes to another pool, and so to another connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::uri::Authority;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::HEADERS_MAX;
use super::connector::{self, Connector};
use super::http1_hosts::Http1Hosts;
use super::peer_streams::{PoolStreams, StreamLimit};
use crate::config::Upstreams;
use crate::http::body::Payload;

type HttpClient = legacy::Client<Connector, Payload>;

#[derive(Debug)]
pub(super) struct LanePool {
    builder: legacy::Builder,
    connector: Connector,
    pools: RwLock<Vec<Arc<Pool>>>,
    limit: StreamLimit,
    http1: Http1Hosts,
    /// Of the pool on which requests of this one are repeated.
    http1_repeated: Option<Http1Hosts>,
}

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Usual,
    /// Their requests may stall for minutes and go on.
    AnswersLate,
    /// Each carries one request.
    Never,
}

#[derive(Debug)]
struct Pool {
    http: HttpClient,
    in_flight: AtomicUsize,
    streams: PoolStreams,
}

/// Counts a request on its connection until its answer is whole.
#[derive(Debug)]
pub(super) struct StreamSlot(Arc<Pool>);

impl StreamSlot {
    pub(super) fn http(&self) -> &HttpClient {
        &self.0.http
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LanePool {
    pub(super) fn new(reuse: Reuse, settings: &Upstreams, tls: rustls::ClientConfig) -> Self {
        let (limit, http1) = (StreamLimit::default(), Http1Hosts::default());
        let connector = connector::build(settings, tls, reuse == Reuse::AnswersLate, http1.clone());
        let idle_max = if reuse == Reuse::Never { 0 } else { settings.pool_idle_max };
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(idle_max)
            // Pass-through keeps the bytes of headers as the client and legacy wrote them.
            .http1_preserve_header_case(true)
            .http1_max_headers(HEADERS_MAX)
            // A folded line is read as other clients read it: as one line with a space.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(settings.keep_alive_interval)
            .http2_keep_alive_timeout(settings.keep_alive_timeout)
            // A peer that freezes while nothing is asked of it would cost the next request the time in which a ping finds it dead.
            .http2_keep_alive_while_idle(true)
            // A resend inside the pool would not know a write from a read; `send` repeats reads alone.
            .retry_canceled_requests(false);
        Self { builder, connector, pools: RwLock::default(), limit, http1, http1_repeated: None }
    }

    /// Its requests are repeated on connections of `fresh`, if at all.
    pub(super) fn repeating_on(self, fresh: &Self) -> Self {
        Self { http1_repeated: Some(fresh.http1.clone()), ..self }
    }

    /// That upstream requires HTTP/1.1: for a while no request goes to it over HTTP/2, nor does its repetition.
    pub(super) fn use_http1(&self, authority: &Authority) {
        let hosts = std::iter::once(&self.http1).chain(&self.http1_repeated);
        hosts.for_each(|hosts| hosts.add(authority.clone()));
        // Those of another upstream connect anew.
        self.pools.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A request of that slot timed out, or waited for a stream in vain: the idle connections of its pool are as suspect as the one that it
    /// was on, so none of them is used again.
    pub(super) fn retire(&self, slot: &StreamSlot) {
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| !Arc::ptr_eq(pool, &slot.0));
    }

    /// A place for a request, to be held until its answer is whole.
    pub(super) fn slot(&self) -> StreamSlot {
        let streams_max = self.limit.get();
        let with_room =
            |pools: &[Arc<Pool>]| pools.iter().find(|pool| pool.enter(streams_max)).map(Pool::slot);
        if let Some(found) = with_room(&self.pools.read().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        // Looked up again under the write lock: another request may have made room meanwhile.
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        with_room(&pools).unwrap_or_else(|| {
            let streams = PoolStreams::new(self.limit.clone());
            let pool = Arc::new(Pool {
                http: self.builder.build(self.connector.of_pool(streams.clone())),
                in_flight: AtomicUsize::new(1),
                streams,
            });
            pools.push(pool.clone());
            Pool::slot(&pool)
        })
    }
}

impl Pool {
    /// Counts a request, if there is room for it.
    fn enter(&self, max: usize) -> bool {
        if self.streams.has_refusing() {
            return false;
        }
        let more = |in_flight| (in_flight < max).then_some(in_flight + 1);
        // Compare and add in one step: two requests must not both take the last stream.
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// The slot of a request that entered.
    fn slot(pool: &Arc<Self>) -> StreamSlot {
        StreamSlot(pool.clone())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.streams.unused().cancel();
    }
}
