//! Which header fields of a message stay when the proxy forwards it, edits its body, or answers in its place.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::hop_by_hop::{self, remove_all};

/// Describe the client's bytes, or ask for a form of response that a translated one does not have.
const REQUEST_ONLY_AS_SENT: [HeaderName; 15] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::EXPECT,
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::TE,
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// Describe the upstream's bytes, point into the new API, or identify a call of the proxy's own.
const RESPONSE_ONLY_AS_SENT: [HeaderName; 16] = [
    REQUEST_ID,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::CONTENT_LOCATION,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::LINK,
    header::TRAILER,
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-md5"),
];

const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-md5"),
];

/// Some servers treat a request with one of these as a request with the method that the field names.
const METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// The request id. The proxy creates one if the client sends none.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether a message states the length of its body in exactly one way: one decimal `Content-Length`, or `Transfer-Encoding: chunked`.
/// With two, two readers may end the body at different bytes, which is how requests are smuggled (RFC 9112, 11.2).
pub(crate) fn has_one_length(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let is_decimal = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    match (codings.next(), lengths.next()) {
        // RFC 9112, section 6.3: both together are how requests are smuggled.
        (Some(_), Some(_)) => false,
        (Some(coding), None) => {
            coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
        }
        (None, Some(length)) => is_decimal(length) && lengths.all(|other| other == length),
        (None, None) => true,
    }
}

/// Whether a server may treat the request as one with another method.
pub(crate) fn override_method(headers: &HeaderMap) -> bool {
    METHOD_OVERRIDES.iter().any(|name| headers.contains_key(name))
}

/// Prepares the fields of a request that is forwarded unchanged. The client sets `Host` for the upstream.
pub(crate) fn to_upstream(headers: &mut HeaderMap) {
    hop_by_hop::remove(headers);
    headers.remove(header::HOST);
}

/// The `Accept-Encoding` of requests whose answers the proxy reads: without the field a server may use any coding.
pub(crate) const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The fields of a client's request for calls that the proxy makes in its place. Credentials, tracing and unknown fields stay; what describes
/// the client's bytes goes.
pub(crate) fn to_translated(of_client: &HeaderMap) -> HeaderMap {
    let mut headers = of_client.clone();
    to_upstream(&mut headers);
    remove_all(&mut headers, &REQUEST_ONLY_AS_SENT);
    // The route has decided the method; a server that honours the header would do something else.
    remove_all(&mut headers, &METHOD_OVERRIDES);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    headers
}

/// Prepares the fields of an upstream's response for the response that the proxy writes in its place. The server sets the length.
pub(crate) fn from_translated(headers: &mut HeaderMap) {
    hop_by_hop::remove(headers);
    remove_all(headers, &RESPONSE_ONLY_AS_SENT);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// Removes the length of a request whose body the proxy has read or leaves out; the HTTP client sets it anew. A length without a body
/// would make the upstream read the next request on the connection as that body.
pub(crate) fn fit_to_body(headers: &mut HeaderMap, empty: bool) {
    headers.remove(header::CONTENT_LENGTH);
    if empty {
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::EXPECT, header::TRAILER] {
            headers.remove(name);
        }
    }
}

/// Prepares the fields of a request whose body the proxy has edited: nothing describes the old bytes, and the response comes without
/// a content coding, so that the proxy can read it.
pub(crate) fn to_edited(headers: &mut HeaderMap) {
    for name in [header::CONTENT_LENGTH, header::EXPECT, header::TRAILER] {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    for name in &DIGESTS {
        headers.remove(name);
    }
}

/// Prepares the fields of a response whose body the proxy has edited.
pub(crate) fn from_edited(headers: &mut HeaderMap) {
    for name in
        [header::CONTENT_LENGTH, header::CONTENT_RANGE, header::ACCEPT_RANGES, header::ETAG, header::TRAILER]
    {
        headers.remove(name);
    }
    for name in &DIGESTS {
        headers.remove(name);
    }
}
