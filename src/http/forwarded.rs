//! Header fields that describe the client and the proxies on the way: `Forwarded` (RFC 7239), `X-Forwarded-*` and `Via`.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The addresses of the client and of the proxies between, the nearest last.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's end of a request, as the added fields describe it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientSide<'a> {
    pub(crate) address: IpAddr,
    /// The Host of the client's request.
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) tls: bool,
}

/// Removes the fields that describe the client, since any client can send them. `Via` stays: it names proxies, not clients, and is
/// how proxies detect a loop (RFC 9110, 7.6.3).
pub(crate) fn remove(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|name| describes_client(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether the field says where a request came from.
pub(super) fn describes_client(name: &HeaderName) -> bool {
    *name == header::FORWARDED || name.as_str() == "x-real-ip" || name.as_str().starts_with("x-forwarded-")
}

/// Adds `X-Forwarded-For`, `-Host` and `-Proto`. Addresses in a received `X-Forwarded-For` stay in front; a received host or scheme stays,
/// because only a trusted proxy's is still there, and that proxy knows what the client asked for.
pub(crate) fn add_x_forwarded(headers: &mut HeaderMap, client: ClientSide<'_>) {
    append_to_list(headers, &X_FORWARDED_FOR, &client.address.to_string());
    const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    let says = |name: HeaderName| headers.get(name).is_some_and(|value| !value.is_empty());
    // What a trusted proxy says stays: it saw the client's own connection.
    let (says_host, says_proto) = (says(HOST), says(PROTO));
    if let Some(host) = client.host.filter(|_| !says_host) {
        headers.insert(HOST, host.clone());
    }
    if !says_proto {
        let proto = HeaderValue::from_static(if client.tls { "https" } else { "http" });
        headers.insert(PROTO, proto);
    }
}

pub(crate) fn add_forwarded(headers: &mut HeaderMap, client: ClientSide<'_>) {
    let node = match client.address {
        IpAddr::V4(address) => address.to_string(),
        // RFC 7239, 6: an IPv6 address is in brackets, which a token cannot contain, so the value is quoted.
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let proto = if client.tls { "https" } else { "http" };
    // A quote or a backslash would end the quoted string early.
    let host = client.host.and_then(|host| host.to_str().ok()).filter(|host| !host.contains(['"', '\\']));
    let host = host.map_or_else(String::new, |host| format!(";host=\"{host}\""));
    append_to_list(headers, &header::FORWARDED, &format!("for={node};proto={proto}{host}"));
}

/// Adds `Via` (RFC 9110, 7.6.3). `version` is that of the received message.
pub(crate) fn add_via(headers: &mut HeaderMap, version: http::Version) {
    let version = match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        _ => "1.1",
    };
    append_to_list(headers, &header::VIA, &format!("{version} conversion-shim"));
}

fn append_to_list(headers: &mut HeaderMap, name: &HeaderName, element: &str) {
    let mut list = Vec::new();
    for value in headers.get_all(name).iter().filter(|value| !value.is_empty()) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name.clone(), value);
    }
}
