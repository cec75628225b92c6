//! A vendor that a test writes itself, for what the sandbox does not do.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A whole request.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The query, or nothing.
    pub(crate) query: String,
    pub(crate) body: Bytes,
}

impl Asked {
    /// The last segment of the path.
    pub(crate) fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    /// Whether the new API is asked.
    pub(crate) fn is_for_new(&self) -> bool {
        self.path.contains("/orchestration/")
    }

    /// A parameter of the query, percent-decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let mut all = form_urlencoded::parse(self.query.as_bytes());
        all.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

/// Status, content type and body.
pub(crate) type Said = (u16, &'static str, String);

/// A 200 with that JSON.
pub(crate) fn json(value: &serde_json::Value) -> Said {
    (200, "application/json", value.to_string())
}

/// The vendor's refusal.
pub(crate) fn problem(status: u16, detail: &str) -> Said {
    let problem =
        serde_json::json!({ "type": "about:blank", "title": "x", "status": status, "detail": detail });
    (status, "application/json", problem.to_string())
}

/// Listens until it is dropped.
pub(crate) struct ScriptedVendor {
    pub(crate) url: String,
    accepting: JoinHandle<()>,
}

impl ScriptedVendor {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v2", listener.local_addr().unwrap());
        let answer = Arc::new(answer);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                let service = service_fn(move |request: Request<Incoming>| said(answer.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { url, accepting }
    }
}

impl Drop for ScriptedVendor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn said(
    answer: Arc<impl Fn(&Asked) -> Said>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
    let (status, kind, body) = answer(&Asked { method: head.method, path, query, body });
    let response = Response::builder().status(status).header("content-type", kind);
    Ok(response.body(Full::new(body.into())).unwrap())
}
