//! The whole edge stack on one screen. Nothing here looks at a body: caps and deadlines belong to the translated routes.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use uuid::Uuid;

use super::idle_timeout::{Activity, Busy};
use crate::failure::{Failure, SideEffect};
use crate::http::body::Payload;
use crate::proxy::{self, App, InFlightGuard, Peer};
use crate::telemetry::access::AccessLogBody;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<bytes::Bytes, BoxError>;

/// One connection's service.
pub(super) fn service(
    app: Arc<App>,
    peer: Peer,
    activity: Activity,
) -> TowerToHyperService<
    impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone,
> {
    let stack = ServiceBuilder::new()
        // Outermost: whatever happens below, request and answer bear one id.
        .layer(SetRequestIdLayer::x_request_id(NewId))
        .layer(PropagateRequestIdLayer::x_request_id())
        // Inside the id, so that even the answer to a bug bears it; outside the story, so that it catches all of it.
        .layer(CatchPanicLayer::custom(answer_to_panic))
        .service(service_fn(move |request| {
            let (app, peer, busy) = (app.clone(), peer.clone(), activity.begin());
            async move {
                let mut answer = proxy::handle(app, peer, request).await;
                let place = answer.extensions_mut().remove().flatten();
                Ok::<_, Infallible>(answer.map(|body| ActivityBody { body, _busy: busy, _place: place }))
            }
        }));
    TowerToHyperService::new(stack)
}

#[derive(Clone, Copy)]
struct NewId;

impl MakeRequestId for NewId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let id = Uuid::new_v4().hyphenated().to_string();
        id.parse().ok().map(RequestId::new)
    }
}

fn answer_to_panic(_: Box<dyn Any + Send>) -> Response<Payload> {
    tracing::error!(target: "server", "a request panicked; this is a bug");
    proxy::refuse(&Failure::Internal { effect: SideEffect::Unknown })
}

/// An answer's body that keeps its connection busy, and its place taken, to the last byte.
#[derive(Debug)]
struct ActivityBody {
    body: AccessLogBody,
    _busy: Busy,
    _place: Option<Arc<InFlightGuard>>,
}

impl http_body::Body for ActivityBody {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
