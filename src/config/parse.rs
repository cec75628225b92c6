//! The sections, from as written to as meant: each reads all its keys before it gives up on one, and judges what
//! concerns it alone. In the order of `default.toml`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::read::Written;
use super::settings::{
    Canary, Forwarding, Hold, InFlight, Ledger, LedgerKind, Limits, Log, LogFormat, Sandbox, Server,
    Timeouts, Tls,
};
use super::tls::{Identity, client_auth, identity, version};
use super::upstream::{Upstream, Upstreams};
use super::values::file_path;

const KIB: usize = 1 << 10;
const GIB: usize = 1 << 30;
const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn upstreams(written: &mut Written) -> Option<Upstreams> {
    let connect_timeout = written.duration("upstream.connect_timeout", MILLISECOND);
    let pool_idle_timeout = written.duration("upstream.pool_idle_timeout", MILLISECOND);
    let pool_idle_max = written.number("upstream.pool_idle_max", 0..=65_536_usize);
    let ca_file = written.optional("upstream.ca_file", file_path);
    let identity = identity(written, "upstream.client_certificate", "upstream.client_key");
    let tls_min_version = version(written, "upstream.tls_min_version");
    let allow_http = written.switch("upstream.allow_http");
    let legacy = upstream(written, "upstream.legacy.url", allow_http);
    let new = upstream(written, "upstream.new.url", allow_http);
    let oauth = upstream(written, "upstream.oauth.url", allow_http);
    Some(Upstreams {
        connect_timeout: connect_timeout?,
        pool_idle_timeout: pool_idle_timeout?,
        pool_idle_max: pool_idle_max?,
        ca_file: ca_file?,
        identity: identity?,
        tls_min_version: tls_min_version?,
        legacy: legacy?,
        new: new?,
        oauth: oauth?,
    })
}

fn upstream(written: &mut Written, key: &'static str, allow_http: Option<bool>) -> Option<Upstream> {
    let upstream = written.parsed(key, str::parse::<Upstream>)?;
    if allow_http == Some(false) && upstream.is_in_the_clear() {
        let message = "is http, and credentials would cross the network in the clear; make it https, or set upstream.allow_http";
        written.problem(key, message);
    }
    Some(upstream)
}

pub(super) fn timeouts(written: &mut Written) -> Option<Timeouts> {
    let create = written.duration("timeouts.create", MILLISECOND);
    let get = written.duration("timeouts.get", MILLISECOND);
    let list = written.duration("timeouts.list", MILLISECOND);
    let cancel = written.duration("timeouts.cancel", MILLISECOND);
    Some(Timeouts { create: create?, get: get?, list: list?, cancel: cancel? })
}

pub(super) fn hold(written: &mut Written) -> Option<Hold> {
    Some(Hold { retry_after: seconds(written, "hold.retry_after")? })
}

/// Retry-After knows whole seconds only.
fn seconds(written: &mut Written, key: &'static str) -> Option<Duration> {
    let duration = written.duration(key, Duration::from_secs(1))?;
    if duration.subsec_nanos() != 0 {
        written.problem(key, "must be whole seconds");
    }
    Some(duration)
}

pub(super) fn limits(written: &mut Written) -> Option<Limits> {
    let request_body_max = written.bytes("limits.request_body_max", KIB..=GIB);
    let response_body_max = written.bytes("limits.response_body_max", KIB..=GIB);
    let connections_max = written.number("limits.connections_max", 1..=1_000_000_usize);
    let header_read_timeout = written.duration("limits.header_read_timeout", MILLISECOND);
    let keep_alive_timeout = written.duration("limits.keep_alive_timeout", MILLISECOND);
    let write_timeout = written.duration("limits.write_timeout", MILLISECOND);
    // hyper refuses to work with less.
    let header_bytes_max = written.bytes("limits.header_bytes_max", 8 * KIB..=1024 * KIB);
    let headers_max = written.number("limits.headers_max", 10..=10_000_usize);
    let http2_streams_max = written.number("limits.http2_streams_max", 1..=10_000_u32);
    let in_flight = in_flight(written);
    Some(Limits {
        request_body_max: request_body_max?,
        response_body_max: response_body_max?,
        connections_max: connections_max?,
        header_read_timeout: header_read_timeout?,
        keep_alive_timeout: keep_alive_timeout?,
        write_timeout: write_timeout?,
        header_bytes_max: header_bytes_max?,
        headers_max: headers_max?,
        http2_streams_max: http2_streams_max?,
        in_flight: in_flight?,
    })
}

fn in_flight(written: &mut Written) -> Option<InFlight> {
    let mut cap = |key| written.number(key, 1..=1_000_000_usize);
    let all = cap("limits.in_flight.all");
    let client = cap("limits.in_flight.client");
    let create = cap("limits.in_flight.create");
    let get = cap("limits.in_flight.get");
    let list = cap("limits.in_flight.list");
    let cancel = cap("limits.in_flight.cancel");
    let pass_through = cap("limits.in_flight.pass_through");
    let retry_after = seconds(written, "limits.in_flight.retry_after");
    Some(InFlight {
        all: all?,
        client: client?,
        create: create?,
        get: get?,
        list: list?,
        cancel: cancel?,
        pass_through: pass_through?,
        retry_after: retry_after?,
    })
}

pub(super) fn server(written: &mut Written) -> Option<Server> {
    let drain_deadline = written.duration("server.drain_deadline", Duration::ZERO);
    let threads = written.number("server.threads", 0..=1024_usize);
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Some(Server {
        drain_deadline: drain_deadline?,
        threads: NonZeroUsize::new(threads?).unwrap_or_else(cores),
    })
}

pub(super) fn forwarding(written: &mut Written) -> Option<Forwarding> {
    let via = written.switch("forwarding.via");
    let x_forwarded = written.switch("forwarding.x_forwarded");
    let forwarded = written.switch("forwarding.forwarded");
    let trusted_proxies = networks(written, "forwarding.trusted_proxies");
    Some(Forwarding {
        via: via?,
        x_forwarded: x_forwarded?,
        forwarded: forwarded?,
        trusted_proxies: trusted_proxies?,
    })
}

/// Networks with the length of their prefix: a lone address is one slip away from meaning another.
fn networks(written: &mut Written, key: &'static str) -> Option<Vec<IpNet>> {
    let named = written.names(key)?;
    let (mut networks, mut wrong) = (Vec::new(), Vec::new());
    for name in named {
        match name.parse::<IpNet>() {
            Ok(network) if network.trunc() == network => networks.push(network),
            _ => wrong.push(name),
        }
    }
    for name in &wrong {
        let message = format!("{name:?} is not a network, like 10.0.0.0/8, 192.0.2.1/32 or fd00::/8");
        written.problem(key, message);
    }
    wrong.is_empty().then_some(networks)
}

pub(super) fn tls(written: &mut Written) -> Option<Option<Tls>> {
    let identity = identity(written, "tls.certificate", "tls.key");
    let client_auth = client_auth(written);
    let min_version = version(written, "tls.min_version");
    let (identity, client_auth, min_version) = (identity?, client_auth?, min_version?);
    let Some(Identity { certificate, key }) = identity else {
        if client_auth.authorities().is_some() {
            written.problem(
                "tls.client_auth",
                "needs tls.certificate and tls.key: there is no TLS without them",
            );
        }
        return Some(None);
    };
    Some(Some(Tls { certificate, key, client_auth, min_version }))
}

pub(super) fn log(written: &mut Written) -> Option<Log> {
    let format = written.parsed("log.format", |text| one_of(text, LogFormat::ALL.map(LogFormat::as_str)));
    let filter = written.parsed("log.filter", |text| match EnvFilter::builder().parse(text) {
        Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
        Ok(_) => Err("is empty; \"off\" turns logs off".into()),
        Err(error) => Err(format!("is not a log filter: {error}")),
    });
    let format = format?;
    let format = LogFormat::ALL.into_iter().find(|known| known.as_str() == format)?;
    Some(Log { format, filter: filter? })
}

/// Every replica must hash alike, so the salt is said, never made up.
pub(super) fn canary(written: &mut Written) -> Option<Canary> {
    let profiles = written.names("canary.profiles");
    let percent = written.number("canary.percent", 0..=100_u8);
    let salt = written.text("canary.salt");
    let (percent, salt) = (percent?, salt?);
    if percent > 0 && salt.trim().is_empty() {
        written
            .problem("canary.salt", "is required while canary.percent is above 0; the same on every replica");
    }
    Some(Canary { profiles: profiles?.into_iter().collect(), percent, salt })
}

pub(super) fn ledger(written: &mut Written) -> Option<Option<Ledger>> {
    let url = written.secret("ledger.url", LedgerKind::of_url);
    let url_file = written.optional("ledger.url_file", file_path);
    let tenant = written.text("ledger.tenant");
    let timeout = written.duration("ledger.timeout", MILLISECOND);
    let pool_max = written.number("ledger.pool_max", 1..=1000_u32);
    let (url, url_file, tenant) = (url?, url_file?, tenant?);
    if tenant.trim() != tenant || tenant.is_empty() {
        written.problem("ledger.tenant", "is empty, or has blanks around it");
    }
    let Some((url, kind)) = url else {
        // A file was named and said nothing: that there is no ledger is not what was meant.
        return if url_file.is_some() { None } else { Some(None) };
    };
    let ledger = Ledger { url, kind, tenant, timeout: timeout?, pool_max: pool_max? };
    if ledger.has_password() {
        written.not_by_flag("ledger.url", "holds a password");
    }
    Some(Some(ledger))
}

pub(super) fn sandbox(written: &mut Written) -> Option<Sandbox> {
    let listen = written.parsed("sandbox.listen", address);
    let settle_after = written.duration("sandbox.settle_after", Duration::ZERO);
    Some(Sandbox { listen: listen?, settle_after: settle_after? })
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address with a port, like 127.0.0.1:8080"))
}

pub(super) fn one_of<const N: usize>(text: &str, names: [&'static str; N]) -> Result<&'static str, String> {
    let found = names.into_iter().find(|name| *name == text);
    found.ok_or_else(|| format!("{text:?} is none of {}", names.join(", ")))
}
