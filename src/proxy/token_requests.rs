//! Token requests of clients, forwarded to the vendor's token endpoint.

use http::{Request, Response};
use tokio::time::Instant;

use super::dispatch::RequestContext;
use super::forwarding;
use super::pass_through::downstream_response;
use crate::config::auth::AuthMode;
use crate::failure::{AuthFailure, Failure};
use crate::http::body::Payload;
use crate::http::headers;
use crate::http::received::Received;
use crate::routes::token::{self, Exchanged};
use crate::telemetry::metrics::labels::RouteLabel;

impl RequestContext {
    /// Forwards the request with its scopes rewritten as `auth.scopes` says.
    pub(super) async fn token_request(
        &mut self,
        request: Request<Received>,
    ) -> Result<Response<Payload>, Failure> {
        self.access.route = RouteLabel::Token;
        // The proxy calls with its own token then; one for the client would let it call the vendor past the proxy.
        if self.config.auth.mode == AuthMode::ClientCredentials {
            return Err(AuthFailure::NoTokenRoute.into());
        }
        let (mut head, incoming) = request.into_parts();
        let version = head.version;
        let host = forwarding::host(&head.uri, &head.headers);
        headers::to_upstream(&mut head.headers);
        forwarding::describe_client(&self.config, &self.peer, version, host.as_ref(), &mut head.headers);
        let start = Instant::now();
        let (services, count) = (&self.app.services, &self.access.request_bytes);
        let exchanged = token::run(services, &self.config, head, incoming, count).await;
        self.access.upstream_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let Exchanged { response, calls } = exchanged?;
        self.access.upstream_calls = calls;
        // Without a call the status is that of an earlier one.
        self.access.upstream_status = (calls > 0).then(|| response.status().as_u16());
        Ok(downstream_response(&self.config, response, version))
    }
}
