//! Protection against DNS rebinding: a website can point its own name at this machine, so that a browser sends that name here and the
//! site reads the answer. Only requests for an IP address or `localhost` are answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// Whether `Host` and the target name this machine. HTTP/1.0 probes send no `Host`; browsers always do.
pub(super) fn is_local_request(uri: &Uri, headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::HOST).iter().map(|host| host.to_str().ok());
    let target = uri.authority().map(|authority| Some(authority.as_str()));
    named.chain(target).all(|host| host.is_some_and(is_local))
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let in_brackets = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || in_brackets.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_local_and_names_are_not() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "[::1]:9090",
            "[::1]",
            "localhost",
            "LocalHost:9090",
            "10.1.2.3:1",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "::1",
            "a b",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
