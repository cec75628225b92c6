//! The sections of the config as meant: checked, typed, nothing left to default. What each key is for stands in
//! `config/default.toml`. An `Option` here means "off", never "default".

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::secret::Secret;
use super::tls::{ClientAuth, TlsVersion};
use crate::translate::route::Route;

/// `[timeouts]`: the whole time of one request of a client, per translated route.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Time for a create.
    pub create: Duration,
    /// Time for a get.
    pub get: Duration,
    /// Time for a page of a list.
    pub list: Duration,
    /// Time for a cancel.
    pub cancel: Duration,
}

impl Timeouts {
    /// The time of one route.
    #[must_use]
    pub const fn of(&self, route: Route) -> Duration {
        match route {
            Route::Create => self.create,
            Route::Get => self.get,
            Route::List => self.list,
            Route::Cancel => self.cancel,
        }
    }
}

/// `[hold]`
#[derive(Clone, Debug)]
pub struct Hold {
    /// The Retry-After of a held create; whole seconds.
    pub retry_after: Duration,
}

/// `[list]`
#[derive(Clone, Debug)]
pub struct List {
    /// Most upstream calls for one page, at least 2.
    pub upstream_calls_max: usize,
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest body of a translated request, in bytes.
    pub request_body_max: usize,
    /// Longest upstream answer that is read for translation, in bytes.
    pub response_body_max: usize,
    /// Most open client connections.
    pub connections_max: usize,
    /// Longest time for the head of a request.
    pub header_read_timeout: Duration,
    /// How long a client's unused connection is kept.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// Longest head of a request, in bytes.
    pub header_bytes_max: usize,
    /// Most headers of a request.
    pub headers_max: usize,
    /// Most requests at once on one HTTP/2 connection.
    pub http2_streams_max: u32,
    /// `[limits.in_flight]`
    pub in_flight: InFlight,
}

/// `[limits.in_flight]`: most requests at one time; each at least one.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    /// All together.
    pub all: usize,
    /// Of one client.
    pub client: usize,
    /// Creates.
    pub create: usize,
    /// Gets.
    pub get: usize,
    /// Pages of lists.
    pub list: usize,
    /// Cancels.
    pub cancel: usize,
    /// Everything else.
    pub pass_through: usize,
    /// The Retry-After of what is refused; whole seconds.
    pub retry_after: Duration,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Time for requests in flight to end after SIGTERM.
    pub drain_deadline: Duration,
    /// Worker threads; 0 in the config has become the number of cores.
    pub threads: NonZeroUsize,
}

/// `[forwarding]`
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// Add `Via`.
    pub via: bool,
    /// Add `X-Forwarded-For`, `-Host`, `-Proto`.
    pub x_forwarded: bool,
    /// Add `Forwarded`.
    pub forwarded: bool,
    /// Whose word about their clients is taken.
    pub trusted_proxies: Vec<IpNet>,
}

/// `[tls]`, when it is on.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Whether clients show a certificate, and of whose authority.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

impl Tls {
    /// Every file that it is read from.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let own = [&self.certificate, &self.key];
        own.into_iter().chain(self.client_auth.authorities()).cloned().collect()
    }
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged; checked `EnvFilter` syntax.
    pub filter: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Json, Self::Text];

    /// The name used in config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// `[reload]`
#[derive(Clone, Debug)]
pub struct Reload {
    /// How often files are compared with what was read last.
    pub poll_interval: Duration,
}

/// `[canary]`: who creates on new while create is in mode canary.
#[derive(Clone, Debug)]
pub struct Canary {
    /// Profile ids that always do.
    pub profiles: HashSet<String>,
    /// Share of all others, 0 to 100.
    pub percent: u8,
    /// Part of the hash; not empty when `percent` is above 0.
    pub salt: String,
}

/// `[ledger]`, when one is configured.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Where it is; may hold a password.
    pub url: Secret,
    /// What the url's scheme says it is.
    pub kind: LedgerKind,
    /// Whose ref_ids these are.
    pub tenant: String,
    /// Longest wait in one step.
    pub timeout: Duration,
    /// Most connections of this process.
    pub pool_max: u32,
}

/// Which kind of store a ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    /// A file; one process.
    Sqlite,
    /// A server; several replicas.
    Postgres,
}

impl LedgerKind {
    /// Reads the kind off a ledger's url. The errors never repeat the url.
    pub(super) fn of_url(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let place = rest.trim_start_matches('/');
        match scheme {
            "sqlite" if rest.contains(":memory:") || rest.contains("mode=memory") => {
                Err("is a ledger in memory; it would forget every claim when the process ends".into())
            }
            "sqlite" if rest.contains(['?', '#']) => {
                Err("has parameters, and a sqlite ledger takes none".into())
            }
            "sqlite" if !place.is_empty() => Ok(Self::Sqlite),
            "postgres" | "postgresql" if rest.starts_with("//") && !place.is_empty() => Ok(Self::Postgres),
            "sqlite" | "postgres" | "postgresql" => Err("names no place for the ledger".into()),
            _ => Err("is neither sqlite:PATH nor postgres://HOST/DATABASE".into()),
        }
    }
}

impl Ledger {
    /// Whether the url holds a password: before the host or as a parameter.
    pub(super) fn has_password(&self) -> bool {
        let url = self.url.reveal();
        let user =
            url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map_or("", |(user, _)| user);
        self.kind == LedgerKind::Postgres && (user.contains(':') || url.contains("password="))
    }
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where probes and `status` are answered; `None` = nowhere.
    pub listen: Option<SocketAddr>,
}

/// `[sandbox]`
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Where the stand-in for the vendor listens.
    pub listen: SocketAddr,
    /// How long it takes to settle.
    pub settle_after: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledgers_kind_is_its_scheme() {
        assert_eq!(LedgerKind::of_url("sqlite:/var/lib/l.db"), Ok(LedgerKind::Sqlite));
        assert_eq!(LedgerKind::of_url("sqlite:l.db"), Ok(LedgerKind::Sqlite));
        assert_eq!(LedgerKind::of_url("postgres://u:p@h/d"), Ok(LedgerKind::Postgres));
        assert_eq!(LedgerKind::of_url("postgresql:///d?host=/run/pg"), Ok(LedgerKind::Postgres));
    }

    #[test]
    fn a_ledger_that_forgets_or_is_nowhere_is_refused_without_repeating_it() {
        let urls = ["sqlite:", "sqlite::memory:", "sqlite://hunter2?mode=memory", "postgres:", "postgres://"];
        for url in urls.into_iter().chain(["mysql://u:hunter2@h/d", "hunter2", "sqlite:?x=1"]) {
            let error = LedgerKind::of_url(url).expect_err(url);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
