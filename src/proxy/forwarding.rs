//! The client's address behind trusted proxies, and the headers that describe the client to an upstream.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri, Version};
use ipnet::IpNet;

use crate::config::{Config, Forwarding};
use crate::http::forwarded::{self, ClientSide};
use crate::http::peer::Peer;

impl Peer {
    /// The client's address: the connection's, or behind trusted proxies the last forwarded address that is not one of them.
    pub(super) fn client(&self, forwarding: &Forwarding, headers: &HeaderMap) -> IpAddr {
        let mut client = self.address.ip();
        let hops = headers.get_all(forwarded::X_FORWARDED_FOR).iter().rev();
        let mut hops = hops.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        while is_trusted(client, &forwarding.trusted_proxies) {
            // A trusted proxy writes valid addresses: who forwarded an invalid one is not trusted and counts as the client.
            let Some(hop) = hops.next().and_then(address) else { break };
            client = hop;
        }
        client
    }
}

/// The host of a request. Over HTTP/2 it is in the target, and a Host header is optional.
pub(super) fn host(target: &Uri, headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(HOST).cloned().or_else(|| named(target))
}

/// The authority of a target, without user information.
pub(super) fn named(target: &Uri) -> Option<HeaderValue> {
    HeaderValue::from_str(target.authority()?.as_str().rsplit('@').next()?).ok()
}

/// Adds the configured headers that describe the client. Such headers from the client are dropped, unless it is a trusted proxy.
pub(super) fn describe_client(
    config: &Config,
    peer: &Peer,
    version: Version,
    host: Option<&HeaderValue>,
    headers: &mut HeaderMap,
) {
    let forwarding = &config.forwarding;
    // Whoever is not trusted could name any client, and be limited or logged as another one.
    if !is_trusted(peer.address.ip(), &forwarding.trusted_proxies) {
        forwarded::remove(headers);
    }
    let client = ClientSide { address: peer.address.ip(), host, tls: peer.tls };
    if forwarding.x_forwarded {
        forwarded::add_x_forwarded(headers, client);
    }
    if forwarding.forwarded {
        forwarded::add_forwarded(headers, client);
    }
    if forwarding.via {
        forwarded::add_via(headers, version);
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// Parses an element of `X-Forwarded-For`: an address with an optional port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed: Option<IpAddr> =
        bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, said: &[&str]) -> String {
        let trusted_proxies = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        let forwarding = Forwarding { via: false, x_forwarded: false, forwarded: false, trusted_proxies };
        let address = SocketAddr::new(peer.parse().unwrap(), 1);
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append(forwarded::X_FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Peer { address, tls: false, certificate: None }.client(&forwarding, &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_hop_by_hop() {
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("fd00::1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        // The client's own lie is to the left of what the proxies add.
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, \u{e9}"]), "10.0.0.1");
    }
}
