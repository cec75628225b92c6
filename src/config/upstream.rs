//! Where the upstreams are, parsed once so that a request needs no parsing.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::uri::{Authority, Scheme, Uri};

use super::tls::{Identity, TlsVersion};
use super::values::canonical_path;
use crate::translate::side::Side;

/// The section `[upstream]`.
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// Longest time for name lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// How many unused connections are kept per host; 0 keeps none.
    pub pool_idle_max: usize,
    /// PEM file with further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// What the proxy shows to upstreams that ask; `None` = nothing.
    pub identity: Option<Identity>,
    /// The oldest version of TLS that is spoken.
    pub tls_min_version: TlsVersion,
    /// The old API, and pass-through.
    pub legacy: Upstream,
    /// The new API.
    pub new: Upstream,
    /// The token endpoint; its path prefix is the whole path.
    pub oauth: Upstream,
}

impl Upstreams {
    /// The upstream of one side.
    #[must_use]
    pub const fn side(&self, side: Side) -> &Upstream {
        match side {
            Side::Legacy => &self.legacy,
            Side::New => &self.new,
        }
    }
}

/// A url taken apart: origin and path prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host, and port when the url names one.
    pub authority: Authority,
    /// What replaces `base_path`; empty or starting with a slash, never ending in one.
    pub path_prefix: String,
}

impl FromStr for Upstream {
    type Err = String;

    /// The errors never repeat the url: it may hold what does not belong there, such as a password.
    fn from_str(url: &str) -> Result<Self, String> {
        if url.contains(['?', '#']) {
            return Err("has a query or a fragment; it must end with its path".into());
        }
        let uri: Uri = url.parse().map_err(|error| format!("is not a url ({error})"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err("is not a whole url; write it like https://host/path".into());
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
    /// Whether the credentials in a request would cross a network in the clear: http, and not to this machine.
    pub(super) fn is_in_the_clear(&self) -> bool {
        let host = self.authority.host();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let here = host.eq_ignore_ascii_case("localhost")
            || bare.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
        self.scheme == Scheme::HTTP && !here
    }
}

fn check_authority(authority: &Authority) -> Result<(), String> {
    if authority.as_str().contains('@') {
        return Err("names a user or a password; upstreams get the client's credentials only".into());
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
    fn a_url_is_taken_apart() {
        let upstream: Upstream = "https://api.example:8443/v2/".parse().unwrap();
        assert_eq!(upstream.scheme, Scheme::HTTPS);
        assert_eq!(upstream.authority, "api.example:8443");
        assert_eq!(upstream.path_prefix, "/v2");
        assert_eq!(upstream.to_string(), "https://api.example:8443/v2");
        assert_eq!("http://[::1]:80".parse::<Upstream>().unwrap().path_prefix, "");
    }

    #[test]
    fn http_is_in_the_clear_unless_it_stays_on_this_machine() {
        for (host, clear) in [
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
            assert_eq!(upstream("http").is_in_the_clear(), clear, "{host}");
            assert!(!upstream("https").is_in_the_clear(), "{host}");
        }
    }

    #[test]
    fn what_is_not_an_upstream_is_refused_without_repeating_it() {
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
