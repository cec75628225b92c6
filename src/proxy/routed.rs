//! Serves a request with its route's handler, within the route's timeout.

use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::time::{Instant, timeout_at};

use super::dispatch::RequestContext;
use super::forwarding;
use super::response::respond;
use crate::failure::Failure;
use crate::http::body::{self, CollectError, Payload};
use crate::http::detach::DetachOnDrop;
use crate::http::headers;
use crate::http::received::Received;
use crate::routes::{self, RouteContext, UpstreamCallStats};
use crate::translate::route::{Id, Route};

impl RequestContext {
    /// Runs the handler. A create or cancel goes on when its client disconnects, because what was sent may already have taken effect.
    pub(super) async fn routed(
        &mut self,
        route: Route,
        id: Id,
        request: Request<Received>,
    ) -> Result<Response<Payload>, Failure> {
        let time = self.config.timeouts.of(route);
        let is_head = *request.method() == Method::HEAD;
        let (context, incoming) = self.route_context(route, request);
        // The guard goes with the work: a write whose client left still counts as in flight, and a drain waits for it.
        let (detached, in_flight) = (self.app.services.detached.clone(), self.in_flight.clone());
        let (answered, context) = match route {
            Route::Create => {
                // Before the body is read and the reference claimed.
                self.check_unauthorized(&context.head.headers)?;
                let body = self.whole_body(incoming, &context).await?;
                let run = async move {
                    let _in_flight = in_flight;
                    (routes::create::run(&context, body).await, context)
                };
                DetachOnDrop::new(run, &detached, time).await
            }
            Route::Cancel => {
                let run = async move {
                    let _in_flight = in_flight;
                    (routes::cancel::run(&context, &id).await, context)
                };
                DetachOnDrop::new(run, &detached, time).await
            }
            // Reads end with their client: nothing is left undone by that.
            Route::Get => (routes::get::run(&context, &id).await, context),
            Route::List => (routes::list::run(&context).await, context),
        };
        self.take_stats(context.stats.into_inner().unwrap_or_default());
        let response = answered.map(respond)?;
        Ok(if is_head { response.map(|_| Payload::empty()) } else { response })
    }

    fn route_context(&self, route: Route, request: Request<Received>) -> (RouteContext, Received) {
        let deadline = Instant::now() + self.config.timeouts.of(route);
        let (mut head, incoming) = request.into_parts();
        // Only the whole answer to a GET says whether a record exists. The caller leaves its body out.
        if head.method == Method::HEAD {
            head.method = Method::GET;
        }
        let host = forwarding::host(&head.uri, &head.headers);
        headers::to_upstream(&mut head.headers);
        forwarding::describe_client(&self.config, &self.peer, head.version, host.as_ref(), &mut head.headers);
        let (config, services) = (self.config.clone(), self.app.services.clone());
        let stats = Mutex::default();
        (RouteContext { config, services, head, credentials: None, deadline, stats }, incoming)
    }

    async fn whole_body(&mut self, incoming: Received, context: &RouteContext) -> Result<Bytes, Failure> {
        let max = self.config.limits.request_body_max;
        let collected = timeout_at(context.deadline, body::collect(incoming, max)).await;
        let body = collected.map_err(|_| Failure::BodySlow)?.map_err(|error| match error {
            CollectError::TooLong { max } => Failure::BodyTooLong { max },
            CollectError::Broken(source) => Failure::BodyBroken(source.into()),
        })?;
        self.access.request_bytes.add(body.len());
        if let Some(capture) = &mut self.capture {
            capture.set_request_body(&body);
        }
        Ok(body)
    }

    fn take_stats(&mut self, stats: UpstreamCallStats) {
        self.access.side = stats.side;
        self.access.upstream_status = stats.upstream_status;
        self.access.upstream_calls = stats.upstream_calls;
        self.access.upstream_us = stats.upstream_us;
        self.without_reference = stats.without_reference;
        if stats.throttled {
            self.app.throttled(&self.config);
        }
    }
}
