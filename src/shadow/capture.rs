//! One chosen request on the data path: what it asked and what it was answered is copied as it passes, and becomes a [`Job`]
//! once the client has its answer. Nothing here waits.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header};
use tokio::sync::oneshot;

use super::Shadow;
use super::stats::ShadowDropReason;
use crate::config::Config;
use crate::http::body::Payload;
use crate::http::capture::{CaptureState, CapturedBody, Tee};
use crate::http::headers;
use crate::translate::route::Route;

/// A comparison to make.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) route: Route,
    pub(super) asked: CapturedRequest,
    pub(super) served: Served,
}

/// What the client asked.
#[derive(Debug)]
pub(super) struct CapturedRequest {
    /// The snapshot that the request began with.
    pub(super) config: Arc<Config>,
    pub(super) request_id: String,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The client's credentials and tracing; nothing else.
    pub(super) headers: HeaderMap,
    /// A create's body.
    pub(super) body: Option<oneshot::Receiver<CapturedBody>>,
}

/// What it was answered.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) status: StatusCode,
    pub(super) encoding: Option<String>,
    pub(super) body: CapturedBody,
    /// From sending to the last byte.
    pub(super) latency: Duration,
}

/// What the other side needs to know of the client.
const KEPT: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::USER_AGENT,
    headers::REQUEST_ID,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// A request that was chosen.
#[derive(Debug)]
pub struct ShadowCapture {
    shadow: Shadow,
    route: Route,
    asked: CapturedRequest,
    start: Instant,
}

impl ShadowCapture {
    /// Chooses, or not, by the route's share and a hash of the request id.
    pub(super) fn choose<B>(
        shadow: &Shadow,
        config: &Arc<Config>,
        route: Route,
        request: &Request<B>,
        request_id: &str,
    ) -> Option<Self> {
        if !is_sampled(config.shadow.sample.of(route), request_id) {
            return None;
        }
        shadow.0.tally.due(route);
        if shadow.0.cooldown.left().is_some() {
            shadow.0.tally.dropped(route, ShadowDropReason::Cooldown);
            return None;
        }
        let kept =
            KEPT.into_iter().filter_map(|name| Some((name.clone(), request.headers().get(&name)?.clone())));
        let asked = CapturedRequest {
            config: Arc::clone(config),
            request_id: request_id.to_owned(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: kept.collect(),
            body: None,
        };
        Some(Self { shadow: shadow.clone(), route, asked, start: Instant::now() })
    }

    /// Copies a create's body as it goes on.
    #[must_use]
    pub fn request(&mut self, request: Request<Payload>) -> Request<Payload> {
        if self.route != Route::Create {
            return request;
        }
        let (hand, handed) = oneshot::channel();
        self.asked.body = Some(handed);
        // Nobody is there any more if the client left.
        let tee = Tee::new(self.copy(), |copy| drop(hand.send(copy)));
        request.map(|payload| payload.copied(tee))
    }

    /// Copies a create's body that is in memory already.
    pub fn request_body(&mut self, body: &[u8]) {
        let (hand, handed) = oneshot::channel();
        let mut copy = self.copy();
        copy.add(body);
        copy.end();
        if hand.send(copy).is_ok() {
            self.asked.body = Some(handed);
        }
    }

    /// Copies the answer as it goes to the client, and asks for the comparison at its end.
    #[must_use]
    pub fn answer(self, response: Response<Payload>) -> Response<Payload> {
        let status = response.status();
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.map(|coding| String::from_utf8_lossy(coding.as_bytes()).into_owned());
        let copy = self.copy();
        let Self { shadow, route, asked, start } = self;
        let tee = Tee::new(copy, move |body| {
            let served = Served { status, encoding, body, latency: start.elapsed() };
            shadow.offer(Job { route, asked, served });
        });
        response.map(|payload| payload.copied(tee))
    }

    /// The request was not sent: the proxy's own budget says nothing about either API.
    pub fn over_budget(self) {
        self.shadow.0.tally.dropped(self.route, ShadowDropReason::Budget);
    }

    fn copy(&self) -> CapturedBody {
        CapturedBody::new(self.asked.config.shadow.body_max, self.shadow.0.room.clone())
    }
}

impl Shadow {
    fn offer(&self, job: Job) {
        let route = job.route;
        if job.served.body.state() == CaptureState::NoRoom {
            self.0.tally.dropped(route, ShadowDropReason::Bytes);
        } else if let Err(error) = self.0.jobs.try_send(job) {
            let why = match error {
                tokio::sync::mpsc::error::TrySendError::Full(_) => ShadowDropReason::Jobs,
                tokio::sync::mpsc::error::TrySendError::Closed(_) => ShadowDropReason::Shutdown,
            };
            self.0.tally.dropped(route, why);
        }
    }
}

/// Whether a text falls into a share of all texts. The same text always does, on every replica.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a share of requests; 53 bits of a hash are plenty"
)]
pub(super) fn is_sampled(share: f64, text: &str) -> bool {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    (hasher.finish() as f64) < share * (u64::MAX as f64) || share >= 1.0
}

/// As [`is_sampled`], for what is written of that which was compared: with one draw for both, whatever is in the smaller share
/// would always be in the larger.
pub(super) fn is_written(share: f64, text: &str) -> bool {
    is_sampled(share, &format!("written {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_about_that_many_and_a_larger_one_only_adds() {
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
