//! The admin listener: a separate port for probes and operators. It only reads state, and shows no secrets.
//!
//! The public port has none of these paths, so pass-through never reaches them. [`documents`] has the answers' JSON types, [`view`]
//! their sources.

mod collectors;
mod cutover_documents;
pub(crate) mod documents;
mod history;
mod host;
mod ledger_view;
mod next_gate;
mod page;
mod process;
mod reloads;
pub(crate) mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::documents::{Live, ProblemDocument};
use self::view::View;
use crate::http::accept::AcceptFailures;
use crate::telemetry::metrics::exposition;

/// Maximum number of connections: enough for probes, scrapers and a few operators. Further ones wait.
const CONNECTIONS_MAX: usize = 64;
/// Timeout of a request's head, and of an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a request's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

type AdminResponse = Response<Full<Bytes>>;

/// Serves the listener until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, view: Arc<View>) {
    let mut minutes = tokio::time::interval_at(Instant::now() + history::MINUTE, history::MINUTE);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut failures = AcceptFailures::of("admin");
    let only_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    loop {
        let accepted = async {
            // Before the accept, so that connections beyond the maximum wait in the kernel's backlog and cost nothing here.
            let permit = permits.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        tokio::select! {
            Some(_) = connections.join_next() => {}
            _ = minutes.tick() => view.end_minute(),
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let view = view.clone();
                    connections.spawn(async move {
                        connection(stream, view, only_local).await;
                        drop(permit);
                    });
                }
                Err(error) => failures.pause_after(&error).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, view: Arc<View>, only_local: bool) {
    let service = service_fn(move |request: Request<Incoming>| {
        let view = view.clone();
        async move {
            // Against DNS rebinding, see `host`. A listener that other machines reach is called by names that nobody here knows.
            if only_local && !host::is_local_request(request.uri(), request.headers()) {
                return Ok::<_, Infallible>(misdirected());
            }
            Ok(answer(&view, request.method(), request.uri()).await)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(target: "server", %error, "an admin connection ended early");
    }
}

/// Every path of the listener.
async fn answer(view: &View, method: &Method, uri: &Uri) -> AdminResponse {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match uri.path() {
        "/" | "/livez" | "/readyz" | "/status" | "/metrics" if !reads => not_allowed(),
        "/" => page(view.page(uri.query() == Some("paused")).await),
        "/livez" => json(StatusCode::OK, &Live { live: true }),
        "/readyz" => {
            let readiness = view.readiness();
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            json(status, &readiness)
        }
        "/status" => json(StatusCode::OK, &view.status().await),
        "/metrics" => text(exposition::MEDIA_TYPE, view.metrics()),
        _ => {
            problem(StatusCode::NOT_FOUND, "the admin listener has /, /livez, /readyz, /status and /metrics")
        }
    }
}

fn misdirected() -> AdminResponse {
    problem(
        StatusCode::MISDIRECTED_REQUEST,
        "the admin listener is on loopback and serves only requests for an IP address or localhost",
    )
}

fn not_allowed() -> AdminResponse {
    let mut answer =
        problem(StatusCode::METHOD_NOT_ALLOWED, "the admin listener is read-only: use GET or HEAD");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

fn problem(status: StatusCode, detail: &'static str) -> AdminResponse {
    let mut answer = json(status, &ProblemDocument::about_blank(status, detail));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer
}

fn json(status: StatusCode, document: &impl Serialize) -> AdminResponse {
    // Strings, numbers and lists of them always serialize.
    let body = serde_json::to_vec(document).unwrap_or_default();
    let mut answer = text("application/json", body);
    *answer.status_mut() = status;
    answer
}

fn page(html: String) -> AdminResponse {
    let mut answer = text("text/html; charset=utf-8", html);
    let headers = answer.headers_mut();
    // Base64 and ASCII words are always a valid header value.
    if let Ok(policy) = HeaderValue::from_str(&page::policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn text(media_type: &'static str, body: impl Into<Bytes>) -> AdminResponse {
    let mut answer = Response::new(Full::from(body.into()));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
