//! The HTTP client of the demo's clients. It repeats nothing that was sent.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

use crate::http::body;
use crate::sandbox::TOKEN;

/// Longer than the proxy takes for a create.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Maximum size of an answer, in bytes.
const ANSWER_MAX: usize = 4 << 20;

#[derive(Clone)]
pub(super) struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer that was read to its end.
pub(super) struct HttpReply {
    pub(super) status: u16,
    body: Bytes,
}

impl HttpReply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Http {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    pub(super) async fn get(&self, url: &str, client: &str) -> Option<HttpReply> {
        self.send(Method::GET, url, client, Bytes::new()).await
    }

    /// `None`: no answer, or none that could be read.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        client: &str,
        body: Bytes,
    ) -> Option<HttpReply> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header("x-client", client)
            .body(Full::new(body))
            .ok()?;
        timeout(TIMEOUT, self.exchange(request)).await.ok()?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Option<HttpReply> {
        let answer = self.0.request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = body::collect(answer.into_body(), ANSWER_MAX).await.ok()?;
        Some(HttpReply { status, body })
    }
}
