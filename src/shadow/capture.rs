//! Captures one sampled request on the data path: copies of the request and of the response as they pass become a
//! [`CompareJob`] when the response has ended. Nothing here waits.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, Request, Response, header};
use tokio::sync::oneshot;

use super::handle::Shadow;
use super::job::{CapturedRequest, CompareJob, ServedResponse};
use super::stats::ShadowDropReason;
use super::types::COMPARED;
use crate::config::{Config, Mode};
use crate::http::body::Payload;
use crate::http::capture::{CapturedBody, Tee};
use crate::http::headers;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// The headers that a read on the client's behalf carries: its credentials and its tracing context.
const COPIED_HEADERS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::USER_AGENT,
    headers::REQUEST_ID,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// A request that was sampled.
#[derive(Debug)]
pub(crate) struct ShadowCapture {
    shadow: Shadow,
    route: Route,
    request: CapturedRequest,
    start: Instant,
    /// See [`CompareJob::is_own`].
    is_own: bool,
}

impl Shadow {
    /// Samples a request of a route in mode `shadow`, or a create in mode `canary`, by the route's share and a hash of the request id.
    /// `None` when it is not compared.
    #[must_use]
    pub(crate) fn capture<B>(
        &self,
        config: &Arc<Config>,
        route: Route,
        request: &Request<B>,
        request_id: &str,
    ) -> Option<ShadowCapture> {
        let mode = config.modes.of(route);
        let is_own = mode == Mode::Canary && route == Route::Create;
        let is_shadowed = mode == Mode::Shadow && COMPARED.contains(&route);
        if !(is_shadowed || is_own) || !is_sampled(config.shadow.sample.of(route), request_id) {
            return None;
        }
        // A create in canary is due once it is known to have been made on the new API.
        if !is_own && !self.is_due(route) {
            return None;
        }
        let headers = COPIED_HEADERS
            .into_iter()
            .filter_map(|name| Some((name.clone(), request.headers().get(&name)?.clone())));
        let request = CapturedRequest {
            config: Arc::clone(config),
            request_id: request_id.to_owned(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: headers.collect(),
            body: None,
        };
        Some(ShadowCapture { shadow: self.clone(), route, request, start: Instant::now(), is_own })
    }

    /// Counts a comparison as due. Returns `false` during a back-off, when it is dropped.
    fn is_due(&self, route: Route) -> bool {
        self.stats().due(route);
        let is_paused = self.cooldown().left().is_some();
        if is_paused {
            self.stats().dropped(route, ShadowDropReason::Cooldown);
        }
        !is_paused
    }
}

impl ShadowCapture {
    /// Copies the body of a create as it streams to the upstream.
    #[must_use]
    pub(crate) fn tee_request(&mut self, request: Request<Payload>) -> Request<Payload> {
        // Only a dry run reads the request. The comparison with the own record starts from the answer.
        if self.route != Route::Create || self.is_own {
            return request;
        }
        let (sender, receiver) = oneshot::channel();
        self.request.body = Some(receiver);
        // The receiver is gone when the client disconnected before its response began.
        let tee = Tee::new(self.new_copy(), |copy| drop(sender.send(copy)));
        request.map(|payload| payload.captured(tee))
    }

    /// Copies the body of a create that is already in memory.
    pub(crate) fn set_request_body(&mut self, body: &[u8]) {
        if self.is_own {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        let mut copy = self.new_copy();
        copy.add(body);
        copy.end();
        if sender.send(copy).is_ok() {
            self.request.body = Some(receiver);
        }
    }

    /// Copies the response as it streams to the client, and queues the comparison at its end. `side`: whose response it is.
    #[must_use]
    pub(crate) fn tee_response(self, response: Response<Payload>, side: Option<Side>) -> Response<Payload> {
        let status = response.status();
        if self.is_own {
            let is_made_on_new = side == Some(Side::New) && status.is_success();
            if !is_made_on_new || !self.shadow.is_due(self.route) {
                return response;
            }
        }
        // The body is captured as it was sent; without its content coding it could not be decoded later.
        let codings = response.headers().get_all(header::CONTENT_ENCODING).iter();
        let headers = codings.map(|coding| (header::CONTENT_ENCODING, coding.clone())).collect();
        let copy = self.new_copy();
        // The tee calls back when the body ends or is dropped, so a client that leaves early is compared as `incomplete`, not lost.
        let Self { shadow, route, request, start, is_own } = self;
        let tee = Tee::new(copy, move |body| {
            let served = ServedResponse { status, headers, body, latency: start.elapsed() };
            shadow.enqueue(CompareJob { route, request, served, is_own });
        });
        response.map(|payload| payload.captured(tee))
    }

    /// Drops the capture of a request that the proxy's own rate budget refused: it says nothing about either API.
    pub(crate) fn over_budget(self) {
        if self.is_own {
            return;
        }
        self.shadow.stats().dropped(self.route, ShadowDropReason::Budget);
    }

    fn new_copy(&self) -> CapturedBody {
        CapturedBody::new(self.request.config.shadow.body_max, self.shadow.memory().clone())
    }
}

/// Whether `id` falls into this share (0 to 1) of all ids. The same id gives the same result on every replica.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a share of requests; 53 bits of a hash are plenty"
)]
fn is_sampled(share: f64, id: &str) -> bool {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    // A hash of the id instead of a random draw: `DefaultHasher::new` has fixed keys, so replicas agree. The hash can equal the maximum,
    // and `<` would then leave out a request at share 1.
    (hasher.finish() as f64) < share * (u64::MAX as f64) || share >= 1.0
}

/// As [`is_sampled`], for the share of matches that is written. The salt makes the two draws independent: with one draw, the
/// smaller share would be a subset of the larger.
pub(super) fn is_written(share: f64, request_id: &str) -> bool {
    is_sampled(share, &format!("written {request_id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_samples_about_that_many_and_a_larger_share_only_adds() {
        let ids: Vec<_> = (0..10_000).map(|number| format!("request-{number}")).collect();
        let taken = |share| ids.iter().filter(|id| is_sampled(share, id)).collect::<Vec<_>>();
        assert_eq!((taken(0.0).len(), taken(1.0).len()), (0, ids.len()));
        let (tenth, third) = (taken(0.1), taken(0.33));
        assert!((900..1100).contains(&tenth.len()), "{}", tenth.len());
        assert!(tenth.iter().all(|id| third.contains(id)));
        let written = tenth.iter().filter(|id| is_written(0.1, id)).count();
        assert!((60..150).contains(&written), "a tenth of what was compared, not all of it: {written}");
    }
}
