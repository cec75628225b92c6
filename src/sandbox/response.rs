//! Answers before they are put on the wire, and bodies that break off or have wrong types.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value};

use super::problem::VendorProblem;

pub(super) type ResponseBody = BoxBody<Bytes, io::Error>;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// An answer that can still be distorted.
#[derive(Clone)]
pub(super) struct VendorResponse {
    status: StatusCode,
    content_type: &'static str,
    content_encoding: Option<HeaderValue>,
    retry_after: Option<u64>,
    body: Bytes,
    /// Answers HEAD: says what the body would be, and has none.
    without_body: bool,
    truncated: bool,
    /// Its connection gets it once more.
    pub(super) twice: bool,
}

impl VendorResponse {
    fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type,
            content_encoding: None,
            retry_after: None,
            body: body.into(),
            without_body: false,
            truncated: false,
            twice: false,
        }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, JSON, body.to_string())
    }

    pub(super) fn html(status: StatusCode) -> Self {
        Self::new(status, HTML, format!("<html><body><h1>{status}</h1></body></html>"))
    }

    /// These bytes, in that coding.
    pub(super) fn bytes(body: Bytes, content_encoding: Option<HeaderValue>) -> Self {
        Self { content_encoding, ..Self::new(StatusCode::OK, BYTES, body) }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, JSON, "")
    }

    pub(super) fn retry_after(self, seconds: Option<u64>) -> Self {
        Self { retry_after: seconds, ..self }
    }

    /// The same body, said to be HTML.
    pub(super) fn with_html_type(self) -> Self {
        Self { content_type: HTML, ..self }
    }

    pub(super) const fn without_body(mut self) -> Self {
        self.without_body = true;
        self
    }

    /// Changes the members of a success.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Map<String, Value>)) {
        if self.status.is_success()
            && let Ok(mut members) = serde_json::from_slice(&self.body)
        {
            edit(&mut members);
            self.body = Value::Object(members).to_string().into();
        }
    }

    /// Breaks off after half of the body.
    pub(super) const fn truncate(&mut self) {
        self.truncated = true;
    }

    /// A 200 whose fields have other types.
    pub(super) fn with_wrong_types(&self) -> Self {
        let body = serde_json::from_slice(&self.body).unwrap_or_default();
        Self::json(StatusCode::OK, &wrong_types(body))
    }

    /// Status, content type and body as they are, without a wire.
    pub(super) fn into_parts(self) -> (u16, &'static str, Bytes) {
        (self.status.as_u16(), self.content_type, self.body)
    }

    pub(super) fn into_response(self) -> Response<ResponseBody> {
        let mut response = Response::new(match (self.without_body, self.truncated) {
            (true, _) => whole(Bytes::new()),
            (false, true) => halved(&self.body),
            (false, false) => whole(self.body.clone()),
        });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if let Some(coding) = self.content_encoding {
            headers.insert(CONTENT_ENCODING, coding);
        }
        // That of the whole body: a client sees that a truncated one is incomplete (RFC 9112, section 8), and HEAD announces what GET sends
        // (RFC 9110, section 9.3.2).
        if self.truncated || self.without_body {
            headers.insert(CONTENT_LENGTH, self.body.len().into());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        // Required with a 401 (RFC 9110, section 15.5.2).
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<VendorProblem> for VendorResponse {
    fn from(problem: VendorProblem) -> Self {
        Self::json(problem.status, &problem.body)
    }
}

pub(super) fn whole(bytes: Bytes) -> ResponseBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// The first half of the bytes, then an error, which makes hyper drop the connection (HTTP/2: reset the stream).
fn halved(bytes: &Bytes) -> ResponseBody {
    Halved { half: Some(bytes.slice(..bytes.len() / 2)), flushed: false }.boxed()
}

struct Halved {
    half: Option<Bytes>,
    flushed: bool,
}

impl http_body::Body for Halved {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.flushed {
            // One pending poll lets hyper flush the half; an immediate error would discard it.
            self.flushed = true;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut off on request"))))
    }
}

/// The same names with values of other types, in a record or in a list of records.
fn wrong_types(answer: Value) -> Value {
    let Value::Object(fields) = answer else { return Value::Bool(true) };
    let fields = fields.into_iter().map(|(name, value)| {
        let value = match value {
            Value::String(_) => Value::from(7),
            Value::Array(rows) => rows.into_iter().map(wrong_types).collect(),
            Value::Object(_) => Value::from("an object"),
            Value::Null | Value::Bool(_) | Value::Number(_) => Value::Array(Vec::new()),
        };
        (name, value)
    });
    Value::Object(fields.collect())
}
