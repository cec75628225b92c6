//! Hop-by-hop header fields (RFC 9110, 7.6.1): they belong to one connection, and a proxy removes them before it forwards a message.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::forwarded::describes_client;

/// RFC 9110, 7.6.1 names the first four and `keep-alive`, `proxy-connection` and `te`. `proxy-authorization` and `proxy-authenticate`
/// are for the next proxy (11.7), which is this one, and `http2-settings` is for an upgrade that is not forwarded (RFC 7540, 3.2.1).
/// `te` is handled by [`remove`].
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

/// Removes the hop-by-hop fields, and every field that `Connection` names. `te: trailers` stays, because the proxy forwards trailers.
pub(crate) fn remove(headers: &mut HeaderMap) {
    // Before `Connection` itself is removed.
    if let Some(named) = named_by_connection(headers) {
        for name in named {
            headers.remove(name);
        }
    }
    remove_all(headers, &HOP_BY_HOP);
    let trailers = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
    if !headers.get_all(header::TE).iter().all(trailers) {
        headers.remove(header::TE);
    }
}

/// Removes the fields with these names. Most are absent, and a comparison of names costs less than a lookup.
pub(super) fn remove_all(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        if headers.keys().any(|key| key == name) {
            headers.remove(name);
        }
    }
}

/// The fields that `Connection` names. `None` for the usual values, which name no further field, so that most requests allocate nothing.
fn named_by_connection(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let usual = |value: &HeaderValue| {
        ["keep-alive", "close", "te"]
            .iter()
            .any(|option| value.as_bytes().eq_ignore_ascii_case(option.as_bytes()))
    };
    let values = headers.get_all(header::CONNECTION);
    if values.iter().all(usual) {
        return None;
    }
    let names = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let names = names.filter_map(|name| name.trim().parse().ok());
    // A proxy in front may forward a client's `Connection`: that must not remove what the proxy itself says of the client.
    Some(names.filter(|name| *name != header::TE && !describes_client(name)).collect())
}
