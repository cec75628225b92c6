//! `[upstream]`: the vendor's urls, parsed once so that a request parses none, and the connections to them.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::uri::{Authority, Scheme, Uri};

use super::tls::{TlsIdentity, TlsVersion, identity, version};
use crate::config::read::KeyReader;
use crate::config::values::{MILLISECOND, canonical_path};
use crate::translate::side::Side;

pub(crate) const POOL_IDLE_MAX: &str = "upstream.pool_idle_max";
pub(crate) const CA_FILE: &str = "upstream.ca_file";
pub(crate) const CLIENT_CERTIFICATE: &str = "upstream.client_certificate";
pub(crate) const CLIENT_KEY: &str = "upstream.client_key";
pub(crate) const LEGACY_URL: &str = "upstream.legacy.url";
pub(crate) const NEW_URL: &str = "upstream.new.url";
pub(crate) const OAUTH_URL: &str = "upstream.oauth.url";

/// `[upstream]`
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// Timeout of DNS lookup, TCP and TLS together.
    pub(crate) connect_timeout: Duration,
    /// Time after which an idle connection is closed.
    pub(crate) pool_idle_timeout: Duration,
    pub(crate) http_version: HttpVersion,
    /// Interval of the pings that show whether a connection is alive.
    pub(crate) keep_alive_interval: Duration,
    /// Time after which a ping without an answer closes its connection.
    pub(crate) keep_alive_timeout: Duration,
    /// Age after which a connection takes no further request.
    pub(crate) connection_max_age: Duration,
    /// Maximum number of idle connections per host; 0 keeps none.
    pub(crate) pool_idle_max: usize,
    /// PEM file with additional certificate authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// Client certificate for upstreams that request one.
    pub(crate) identity: Option<TlsIdentity>,
    /// A connection to an upstream below this version is refused.
    pub tls_min_version: TlsVersion,
    /// The old API, and pass-through.
    pub legacy: Upstream,
    pub(crate) new: Upstream,
    /// The token endpoint; its path prefix is the whole path.
    pub(crate) oauth: Upstream,
}

impl Upstreams {
    /// The upstream of one side.
    #[must_use]
    pub(crate) const fn side(&self, side: Side) -> &Upstream {
        match side {
            Side::Legacy => &self.legacy,
            Side::New => &self.new,
        }
    }

    /// The vendor that is meant, for records: `legacy=HOST:PORT new=HOST:PORT`. With ports, because behind sidecars on one machine
    /// environments differ by nothing else.
    pub(crate) fn hosts(&self) -> String {
        let host = |upstream: &Upstream| {
            let usual = if upstream.scheme == Scheme::HTTPS { 443 } else { 80 };
            format!("{}:{}", upstream.authority.host(), upstream.authority.port_u16().unwrap_or(usual))
        };
        format!("legacy={} new={}", host(&self.legacy), host(&self.new)).to_ascii_lowercase()
    }
}

impl Upstreams {
    /// Every file that TLS towards upstreams reads.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let identity = self.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        self.ca_file.iter().chain(identity).cloned().collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    /// HTTP/2 where an https upstream offers it (ALPN), else HTTP/1.1.
    Auto,
    Http11,
}

impl HttpVersion {
    const ALL: [Self; 2] = [Self::Auto, Self::Http11];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http11 => "1.1",
        }
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Upstreams> {
    let connect_timeout = keys.on_restart("upstream.connect_timeout").duration(MILLISECOND);
    let pool_idle_timeout = keys.on_restart("upstream.pool_idle_timeout").duration(MILLISECOND);
    let pool_idle_max = keys.on_restart(POOL_IDLE_MAX).number(0..=65_536);
    let http_version = keys.on_restart("upstream.http_version").choice(HttpVersion::ALL, HttpVersion::as_str);
    let keep_alive_interval = keys.on_restart("upstream.keep_alive_interval").duration(MILLISECOND);
    let keep_alive_timeout = keys.on_restart("upstream.keep_alive_timeout").duration(MILLISECOND);
    let connection_max_age = keys.on_restart("upstream.connection_max_age").duration(MILLISECOND);
    let ca_file = keys.on_restart(CA_FILE).file();
    let identity = identity(keys, CLIENT_CERTIFICATE, CLIENT_KEY);
    let tls_min_version = version(keys.on_restart("upstream.tls_min_version"));
    let allow_http = keys.on_reload("upstream.allow_http").boolean();
    let legacy = url(keys, LEGACY_URL, allow_http);
    let new = url(keys, NEW_URL, allow_http);
    let oauth = url(keys, OAUTH_URL, allow_http);
    Some(Upstreams {
        connect_timeout: connect_timeout?,
        pool_idle_timeout: pool_idle_timeout?,
        pool_idle_max: pool_idle_max?,
        http_version: http_version?,
        keep_alive_interval: keep_alive_interval?,
        keep_alive_timeout: keep_alive_timeout?,
        connection_max_age: connection_max_age?,
        ca_file: ca_file?,
        identity: identity?,
        tls_min_version: tls_min_version?,
        legacy: legacy?,
        new: new?,
        oauth: oauth?,
    })
}

fn url(keys: &mut KeyReader, key: &'static str, allow_http: Option<bool>) -> Option<Upstream> {
    let upstream = keys.on_reload(key).parsed(str::parse::<Upstream>)?;
    // If `allow_http` itself cannot be read, its own problem is enough.
    if allow_http == Some(false) && upstream.is_unencrypted() {
        let message = "is http, and credentials would cross the network unencrypted; use https, or set upstream.allow_http";
        keys.problem(key, message);
    }
    Some(upstream)
}

/// A url, split into origin and path prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub(crate) scheme: Scheme,
    /// Host, and the port if the url has one.
    pub(crate) authority: Authority,
    /// Replaces `base_path`. Empty, or starts with a slash; never ends in one.
    pub(crate) path_prefix: String,
}

impl FromStr for Upstream {
    type Err = String;

    /// Errors never repeat the url: it may hold a password.
    fn from_str(url: &str) -> Result<Self, String> {
        if url.contains(['?', '#']) {
            return Err("has a query or a fragment; it must end with its path".into());
        }
        let uri: Uri = url.parse().map_err(|error| format!("is not a url ({error})"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err("is not a complete url; write it like https://host/path".into());
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err("has a scheme that is neither http nor https".into());
        }
        check_authority(&authority)?;
        let path = parts.path_and_query.as_ref().map_or("", |path| path.path()).trim_end_matches('/');
        if !path.is_empty() {
            canonical_path(path).map_err(|error| format!("has a path that {error}"))?;
        }
        Ok(Self { scheme, authority, path_prefix: path.to_owned() })
    }
}

impl Upstream {
    /// Whether a request would cross a network unencrypted: http, and not to this machine.
    pub(super) fn is_unencrypted(&self) -> bool {
        let host = self.authority.host();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let loopback = host.eq_ignore_ascii_case("localhost")
            // Canonical: `::ffff:127.0.0.1` is a loopback address as well.
            || bare.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
        self.scheme == Scheme::HTTP && !loopback
    }
}

fn check_authority(authority: &Authority) -> Result<(), String> {
    if authority.as_str().contains('@') {
        return Err("holds a user or a password; requests carry their own credentials".into());
    }
    let after_host = &authority.as_str()[authority.host().len()..];
    if authority.host().is_empty()
        || (!after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0))
    {
        return Err("has no host or no usable port".into());
    }
    Ok(())
}

impl fmt::Display for Upstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}{}", self.scheme, self.authority, self.path_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_origin_and_path() {
        let upstream: Upstream = "https://api.example:8443/v2/".parse().unwrap();
        assert_eq!(upstream.scheme, Scheme::HTTPS);
        assert_eq!(upstream.authority, "api.example:8443");
        assert_eq!(upstream.path_prefix, "/v2");
        assert_eq!(upstream.to_string(), "https://api.example:8443/v2");
        assert_eq!("http://[::1]:80".parse::<Upstream>().unwrap().path_prefix, "");
    }

    #[test]
    fn http_is_unencrypted_unless_it_stays_on_this_machine() {
        for (host, unencrypted) in [
            ("localhost", false),
            ("LOCALHOST:80", false),
            ("127.0.0.1", false),
            ("127.9.9.9:80", false),
            ("[::1]", false),
            ("[::ffff:127.0.0.1]:80", false),
            ("127.0.0.1.example", true),
            ("localhost.example", true),
            ("0.0.0.0", true),
            ("10.0.0.1", true),
            ("[fd00::1]", true),
        ] {
            let upstream = |scheme| format!("{scheme}://{host}/v2").parse::<Upstream>().unwrap();
            assert_eq!(upstream("http").is_unencrypted(), unencrypted, "{host}");
            assert!(!upstream("https").is_unencrypted(), "{host}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_without_repeating_it() {
        for url in [
            "",
            "/v2",
            "api.example",
            "ftp://api.example/v2",
            "https://user:hunter2@api.example/v2",
            "https://api.example/v2?a=hunter2",
            "https://api.example/v2#hunter2",
            "https://api.example/v2/../hunter2",
            "https://api.example//hunter2",
            "https://api.example:/v2",
            "https://api.example:0/v2",
            "https://api.example:99999/v2",
            "https://api example/hunter2",
        ] {
            let error = url.parse::<Upstream>().expect_err(url);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
