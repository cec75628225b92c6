//! Answers that the proxy writes.

use http::{HeaderValue, Response, StatusCode, header};

use crate::failure::Failure;
use crate::http::body::Payload;
use crate::routes::RouteResponse;

pub(super) fn respond(answer: RouteResponse) -> Response<Payload> {
    let length = HeaderValue::from(answer.body.len());
    let mut response = Response::new(Payload::whole(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    *response.extensions_mut() = answer.extensions;
    // That of a 304 is the length of another body.
    if answer.status != StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    response
}

/// The answer to a failure. The only place where a failure becomes one.
pub(crate) fn refuse(failure: &Failure) -> Response<Payload> {
    let mut response = respond(RouteResponse::problem(&failure.problem()));
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(std::time::SystemTime::now())) {
        headers.insert(header::DATE, date);
    }
    if failure.status() == StatusCode::UNAUTHORIZED.as_u16() {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(after) = failure.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    response
}
