//! Which headers travel, each way. Pure; the rules of HTTP proxies (RFC 9110, 7.6) and of translated answers in one place.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Meant for one connection only (RFC 9110, 7.6.1). `te` is special: see [`remove_hop_by_hop`].
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Speak of the client's bytes, or ask for a form of answer that a translated one does not have.
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

/// Speak of the upstream's bytes or the new API's addresses, or name a call of the proxy's own.
const ANSWER_ONLY_AS_SENT: [HeaderName; 16] = [
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

/// Check sums of the bytes of a body.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-md5"),
];

/// Some servers take a request for one of the method that these name.
const METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// The request id, made by the edge when the client sent none.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's address as proxies tell it, the nearest last.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whether a message says in one way only how long its body is: one plain length, or the one coding that ends by itself. With
/// two ways two readers may end it in two places.
#[must_use]
pub fn has_one_length(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let digits = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    match (codings.next(), lengths.next()) {
        (Some(_), Some(_)) => false,
        (Some(coding), None) => {
            coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
        }
        (None, Some(length)) => digits(length) && lengths.all(|other| other == length),
        (None, None) => true,
    }
}

/// Whether some server might take a request for one of another method than its own.
#[must_use]
pub fn override_method(headers: &HeaderMap) -> bool {
    METHOD_OVERRIDES.iter().any(|name| headers.contains_key(name))
}

/// Removes what tells where a request came from; anybody can write that. `Via` stays: it names proxies, not clients, and is
/// what ends a loop of them.
pub fn remove_forwarding(headers: &mut HeaderMap) {
    let tells = |name: &HeaderName| {
        *name == header::FORWARDED
            || name.as_str() == "x-real-ip"
            || name.as_str().starts_with("x-forwarded-")
    };
    let names: Vec<_> = headers.keys().filter(|name| tells(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Removes what is meant for one connection only, whatever `Connection` names included. `te: trailers` stays, because the
/// proxy passes trailers on.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if let Some(named) = named_by_connection(headers) {
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    let trailers = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
    if !headers.get_all(header::TE).iter().all(trailers) {
        headers.remove(header::TE);
    }
}

/// The names in `Connection`, unless it says only what every client says.
fn named_by_connection(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let usual = |value: &HeaderValue| {
        ["keep-alive", "close", "te"]
            .iter()
            .any(|word| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
    };
    let values = headers.get_all(header::CONNECTION);
    if values.iter().all(usual) {
        return None;
    }
    let names = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let names = names.filter_map(|name| name.trim().parse().ok());
    Some(names.filter(|name| *name != header::TE).collect())
}

/// Headers of a request that goes on as it came. Its Host becomes the upstream's.
pub fn to_upstream(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(header::HOST);
}

/// Headers of a client's request for calls that the proxy makes in its stead: credentials, tracing and whatever else the
/// client adds travel; what described its own bytes does not.
pub fn to_translated(headers: &mut HeaderMap) {
    to_upstream(headers);
    for name in REQUEST_ONLY_AS_SENT.iter().chain(&METHOD_OVERRIDES) {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
}

/// Headers of an upstream's answer for the answer that the proxy writes in its stead. The edge sets the length.
pub fn from_translated(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in &ANSWER_ONLY_AS_SENT {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// Headers of a request whose body the proxy has read, or leaves out: its length is the body's own again. A length that no body
/// follows would make an upstream take the next request of the connection for it.
pub fn fit_to_body(headers: &mut HeaderMap, empty: bool) {
    headers.remove(header::CONTENT_LENGTH);
    if empty {
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::EXPECT, header::TRAILER] {
            headers.remove(name);
        }
    }
}

/// Headers of a request of which the proxy has changed a part of the body: nothing speaks of the old bytes, and the answer comes in
/// a coding that can be read.
pub fn to_edited(headers: &mut HeaderMap) {
    for name in [header::CONTENT_LENGTH, header::ACCEPT_ENCODING, header::EXPECT, header::TRAILER] {
        headers.remove(name);
    }
    for name in &DIGESTS {
        headers.remove(name);
    }
}

/// Headers of an answer of which the proxy has changed a part of the body.
pub fn from_edited(headers: &mut HeaderMap) {
    for name in
        [header::CONTENT_LENGTH, header::CONTENT_RANGE, header::ACCEPT_RANGES, header::ETAG, header::TRAILER]
    {
        headers.remove(name);
    }
    for name in &DIGESTS {
        headers.remove(name);
    }
}

/// Whom the proxy speaks for, for the headers that may say so.
#[derive(Clone, Copy, Debug)]
pub struct ClientSide<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The Host that it asked for.
    pub host: Option<&'a HeaderValue>,
    /// Whether it came by TLS.
    pub tls: bool,
}

/// Adds `X-Forwarded-For`, `-Host` and `-Proto`. An address that the client sent along is kept before its own.
pub fn add_x_forwarded(headers: &mut HeaderMap, client: ClientSide<'_>) {
    append_to_list(headers, &X_FORWARDED_FOR, &client.address.to_string());
    if let Some(host) = client.host {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host.clone());
    }
    let proto = HeaderValue::from_static(if client.tls { "https" } else { "http" });
    headers.insert(HeaderName::from_static("x-forwarded-proto"), proto);
}

/// Adds `Forwarded` (RFC 7239).
pub fn add_forwarded(headers: &mut HeaderMap, client: ClientSide<'_>) {
    let node = match client.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let proto = if client.tls { "https" } else { "http" };
    let host = client.host.and_then(|host| host.to_str().ok()).filter(|host| !host.contains(['"', '\\']));
    let host = host.map_or_else(String::new, |host| format!(";host=\"{host}\""));
    append_to_list(headers, &header::FORWARDED, &format!("for={node};proto={proto}{host}"));
}

/// Adds `Via` (RFC 9110, 7.6.3) for a message that came in `version`.
pub fn add_via(headers: &mut HeaderMap, version: http::Version) {
    let version = match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        _ => "1.1",
    };
    append_to_list(headers, &header::VIA, &format!("{version} conversion-shim"));
}

fn append_to_list(headers: &mut HeaderMap, name: &HeaderName, element: &str) {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name.clone(), value);
    }
}
