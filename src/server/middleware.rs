//! The middleware stack of the public listener. No layer reads a body: body limits and deadlines belong to the translated routes, and would
//! break pass-through here.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use uuid::Uuid;

use super::idle_timeout::{ActiveRequest, Activity};
use super::unread::{TrackedBody, WriteProgress};
use crate::failure::{BoxError, Failure, SideEffect};
use crate::http::body::{BodyError, Payload};
use crate::http::peer::Peer;
use crate::proxy::{self, App, ClientResponse, InFlightGuard};
use crate::telemetry::access::AccessLogBody;
use crate::upstream::AnswerInProgress;

type BoxedBody = UnsyncBoxBody<bytes::Bytes, BoxError>;

/// The service of one connection.
pub(super) fn service(
    app: Arc<App>,
    peer: Peer,
    activity: Activity,
) -> TowerToHyperService<
    impl Service<Request<Incoming>, Response = Response<TrackedBody<BoxedBody>>, Error = Infallible, Future: Send>
    + Clone,
> {
    let stack = ServiceBuilder::new()
        // Outermost, so that every body is tracked to its end.
        .map_response(|response: Response<BoxedBody>| response.map(TrackedBody::new))
        // Around all that answers, so that every request and response has the id, whatever happens below.
        .layer(SetRequestIdLayer::x_request_id(NewId))
        .layer(PropagateRequestIdLayer::x_request_id())
        // Inside the id, so that the response to a panic has it; around the proxy, so that it catches every panic there.
        .layer(CatchPanicLayer::custom(panic_response))
        .service(service_fn(move |request: Request<Incoming>| {
            let ends_with_connection = request.version() == Version::HTTP_10;
            let (app, peer, active) = (app.clone(), peer.clone(), activity.start());
            // One allocation, so that the layers above move a pointer.
            Box::pin(async move {
                let ClientResponse { mut response, in_flight } = proxy::handle(app, peer, request).await;
                let upstream = response.extensions_mut().remove();
                let unsent = unsent_length(&response);
                Ok::<_, Infallible>(response.map(|body| ActivityBody {
                    ends_with_connection: ends_with_connection && body.size_hint().exact().is_none(),
                    body,
                    unsent,
                    active,
                    _in_flight: in_flight,
                    _upstream: upstream,
                    progress: WriteProgress::of_stream(),
                }))
            })
        }));
    TowerToHyperService::new(stack)
}

#[derive(Clone, Copy)]
struct NewId;

impl MakeRequestId for NewId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let mut text = Uuid::encode_buffer();
        HeaderValue::from_str(Uuid::new_v4().hyphenated().encode_lower(&mut text)).ok().map(RequestId::new)
    }
}

fn panic_response(_: Box<dyn Any + Send>) -> Response<Payload> {
    tracing::error!(target: "server", "a request panicked; this is a bug");
    proxy::refuse(&Failure::Internal { effect: SideEffect::Unknown })
}

/// A 304 has the `Content-Length` of the body that a 200 would have (RFC 9110, section 8.6). hyper's HTTP/1.1 drops it where the body says
/// that it is empty, and sends no body of a 304 whatever it says (hyper 1.12, `proto/h1/role.rs`).
fn unsent_length(response: &Response<AccessLogBody>) -> Option<u64> {
    let is_http1 = WriteProgress::of_stream().is_none();
    let length = response.headers().get(header::CONTENT_LENGTH)?;
    let length = length.to_str().ok()?.parse().ok();
    length.filter(|_| is_http1 && response.status() == StatusCode::NOT_MODIFIED)
}

/// A response body that keeps its request active on the connection, and counted in flight, to the last byte.
#[derive(Debug)]
struct ActivityBody {
    body: AccessLogBody,
    /// The length that the head says, of a body that is not sent.
    unsent: Option<u64>,
    active: ActiveRequest,
    /// Whether nothing but the end of the connection shows its end: of unknown length, for a client that knows no chunks.
    ends_with_connection: bool,
    _in_flight: Option<Arc<InFlightGuard>>,
    /// Its place on the upstream's connection.
    _upstream: Option<AnswerInProgress>,
    progress: Option<Arc<WriteProgress>>,
}

impl Drop for ActivityBody {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress
            && !progress.is_written()
        {
            self.body.cut_off(progress.is_stalled());
        }
    }
}

impl http_body::Body for ActivityBody {
    type Data = bytes::Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.ends_with_connection && matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.active.cut_short();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.unsent.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.unsent.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}
