//! From the config as written to the config as meant: every key once, in the order of `default.toml`.
//!
//! Each section reads all its keys before it gives up on one, so that all problems are told at once. A section that has a
//! problem is `None`, and rules over several keys judge only what could be read.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing_subscriber::EnvFilter;

use super::load::Loaded;
use super::modes::{Mode, Modes, Stage};
use super::refusals::{self, Decided, Judged};
use super::secret;
use super::settings::{
    Admin, Canary, Forwarding, Hold, Ledger, LedgerKind, Limits, List, Log, LogFormat, Reload, Sandbox,
    Server, Timeouts, Tls,
};
use super::upstream::{Upstream, Upstreams};
use super::values::{canonical_path, file_path};
use super::written::{NOT_SET, Row, Written};
use super::{Config, Problem, RouteName};

const KIB: usize = 1 << 10;
const GIB: usize = 1 << 30;
const MILLISECOND: Duration = Duration::from_millis(1);

/// Every key with its value in force and its source, in the order of `default.toml`. Secrets are `(set)`.
#[must_use]
pub fn explain(loaded: &Loaded) -> Vec<Row> {
    loaded.rows.clone()
}

/// Reads every key; all problems at once.
pub(super) fn mean(mut written: Written) -> Result<Loaded, Vec<Problem>> {
    let config = whole(&mut written);
    let Written { problems, rows, .. } = written;
    match config {
        Some(mut config) if problems.is_empty() => {
            config.hash = hash(&rows);
            Ok(Loaded { config: Arc::new(config), rows })
        }
        _ => Err(problems),
    }
}

fn whole(written: &mut Written) -> Option<Config> {
    let listen = written.parsed("listen", address);
    let base_path = written.parsed("base_path", base_path);
    let stage = written.parsed("stage", stage);
    let replicas = written.number("replicas", 1..=1000_u32);
    let routes = routes(written, stage);
    let upstream = upstreams(written);
    let timeouts = timeouts(written);
    let hold = hold(written);
    let list = written.number("list.upstream_calls_max", 2..=1000_usize);
    let limits = limits(written);
    let server = server(written);
    let forwarding = forwarding(written);
    let tls = tls(written);
    let log = log(written);
    let poll_interval = written.duration("reload.poll_interval", Duration::from_millis(100));
    let canary = canary(written);
    let ledger = ledger(written);
    let admin = written.optional("admin.listen", address);
    let sandbox = sandbox(written);

    across(written, routes.as_ref(), ledger.as_ref(), replicas);
    distinct(written, listen, admin);
    let (modes, decided) = routes?;
    Some(Config {
        listen: listen?,
        base_path: base_path?,
        stage: stage?,
        modes,
        replicas: replicas?,
        upstream: upstream?,
        timeouts: timeouts?,
        hold: hold?,
        list: List { upstream_calls_max: list? },
        limits: limits?,
        server: server?,
        forwarding: forwarding?,
        tls: tls?,
        log: log?,
        reload: Reload { poll_interval: poll_interval? },
        canary: canary?,
        ledger: ledger?,
        admin: Admin { listen: admin? },
        sandbox: sandbox?,
        hash: String::new(),
        decided,
    })
}

fn routes(written: &mut Written, stage: Option<Stage>) -> Option<(Modes, Decided)> {
    let create = route(written, "routes.create", RouteName::Create, stage);
    let get = route(written, "routes.get", RouteName::Get, stage);
    let list = route(written, "routes.list", RouteName::List, stage);
    let cancel = route(written, "routes.cancel", RouteName::Cancel, stage);
    let (create, get, list, cancel) = (create?, get?, list?, cancel?);
    let modes = Modes { create: create.0, get: get.0, list: list.0, cancel: cancel.0 };
    let decided = [create.1, get.1, list.1, cancel.1].map(|key| (key, written.source(key)));
    Some((modes, Decided(decided)))
}

/// A route's mode, and the key that decided it.
fn route(
    written: &mut Written,
    key: &'static str,
    route: RouteName,
    stage: Option<Stage>,
) -> Option<(Mode, &'static str)> {
    if let Some(mode) = written.optional(key, |text| mode(text, route))? {
        return Some((mode, key));
    }
    let mode = stage?.modes().of(route);
    written.show(format!("{mode} (by stage)"));
    Some((mode, "stage"))
}

fn upstreams(written: &mut Written) -> Option<Upstreams> {
    let connect_timeout = written.duration("upstream.connect_timeout", MILLISECOND);
    let pool_idle_timeout = written.duration("upstream.pool_idle_timeout", MILLISECOND);
    let pool_idle_max = written.number("upstream.pool_idle_max", 0..=65_536_usize);
    let ca_file = written.optional("upstream.ca_file", file_path);
    let legacy = written.parsed("upstream.legacy.url", str::parse::<Upstream>);
    let new = written.parsed("upstream.new.url", str::parse::<Upstream>);
    let oauth = written.parsed("upstream.oauth.url", str::parse::<Upstream>);
    Some(Upstreams {
        connect_timeout: connect_timeout?,
        pool_idle_timeout: pool_idle_timeout?,
        pool_idle_max: pool_idle_max?,
        ca_file: ca_file?,
        legacy: legacy?,
        new: new?,
        oauth: oauth?,
    })
}

fn timeouts(written: &mut Written) -> Option<Timeouts> {
    let create = written.duration("timeouts.create", MILLISECOND);
    let get = written.duration("timeouts.get", MILLISECOND);
    let list = written.duration("timeouts.list", MILLISECOND);
    let cancel = written.duration("timeouts.cancel", MILLISECOND);
    Some(Timeouts { create: create?, get: get?, list: list?, cancel: cancel? })
}

/// Retry-After knows whole seconds only.
fn hold(written: &mut Written) -> Option<Hold> {
    let retry_after = written.duration("hold.retry_after", Duration::from_secs(1))?;
    if retry_after.subsec_nanos() != 0 {
        written.problem("hold.retry_after", "must be whole seconds");
    }
    Some(Hold { retry_after })
}

fn limits(written: &mut Written) -> Option<Limits> {
    let request_body_max = written.bytes("limits.request_body_max", KIB..=GIB);
    let response_body_max = written.bytes("limits.response_body_max", KIB..=GIB);
    let connections_max = written.number("limits.connections_max", 1..=1_000_000_usize);
    let header_read_timeout = written.duration("limits.header_read_timeout", MILLISECOND);
    let keep_alive_timeout = written.duration("limits.keep_alive_timeout", MILLISECOND);
    // hyper refuses to work with less.
    let header_bytes_max = written.bytes("limits.header_bytes_max", 8 * KIB..=1024 * KIB);
    Some(Limits {
        request_body_max: request_body_max?,
        response_body_max: response_body_max?,
        connections_max: connections_max?,
        header_read_timeout: header_read_timeout?,
        keep_alive_timeout: keep_alive_timeout?,
        header_bytes_max: header_bytes_max?,
    })
}

fn server(written: &mut Written) -> Option<Server> {
    let drain_deadline = written.duration("server.drain_deadline", Duration::ZERO);
    let threads = written.number("server.threads", 0..=1024_usize);
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Some(Server {
        drain_deadline: drain_deadline?,
        threads: NonZeroUsize::new(threads?).unwrap_or_else(cores),
    })
}

fn forwarding(written: &mut Written) -> Option<Forwarding> {
    let via = written.switch("forwarding.via");
    let x_forwarded = written.switch("forwarding.x_forwarded");
    let forwarded = written.switch("forwarding.forwarded");
    Some(Forwarding { via: via?, x_forwarded: x_forwarded?, forwarded: forwarded? })
}

fn tls(written: &mut Written) -> Option<Option<Tls>> {
    let certificate = written.optional("tls.certificate", file_path);
    let key = written.optional("tls.key", file_path);
    match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some(Some(Tls { certificate, key })),
        (None, None) => Some(None),
        (Some(_), None) => {
            written.problem("tls.certificate", "is set without tls.key; set both or neither");
            None
        }
        (None, Some(_)) => {
            written.problem("tls.key", "is set without tls.certificate; set both or neither");
            None
        }
    }
}

fn log(written: &mut Written) -> Option<Log> {
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
fn canary(written: &mut Written) -> Option<Canary> {
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

fn ledger(written: &mut Written) -> Option<Option<Ledger>> {
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
    if ledger.has_password() && written.source("ledger.url").starts_with("flag") {
        written.problem(
            "ledger.url",
            "holds a password and came by a flag, which other users of the machine can see",
        );
    }
    Some(Some(ledger))
}

fn sandbox(written: &mut Written) -> Option<Sandbox> {
    let listen = written.parsed("sandbox.listen", address);
    let settle_after = written.duration("sandbox.settle_after", Duration::ZERO);
    Some(Sandbox { listen: listen?, settle_after: settle_after? })
}

/// Rules over several sections, when all of them could be read.
fn across(
    written: &mut Written,
    routes: Option<&(Modes, Decided)>,
    ledger: Option<&Option<Ledger>>,
    replicas: Option<u32>,
) {
    let (Some((modes, decided)), Some(ledger), Some(replicas), true) =
        (routes, ledger, replicas, written.whole)
    else {
        return;
    };
    let replicas_source = &written.source("replicas");
    let judged = Judged { modes, decided, ledger: ledger.as_ref(), replicas, replicas_source };
    written.problems.extend(refusals::all(&judged));
}

fn distinct(written: &mut Written, listen: Option<SocketAddr>, admin: Option<Option<SocketAddr>>) {
    if let (Some(listen), Some(Some(admin))) = (listen, admin)
        && listen == admin
        && listen.port() != 0
    {
        written.problem("admin.listen", "is the same as listen");
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address with a port, like 127.0.0.1:8080"))
}

fn base_path(text: &str) -> Result<String, String> {
    canonical_path(text).map(|()| text.to_owned())
}

fn stage(text: &str) -> Result<Stage, String> {
    let name = one_of(text, Stage::ALL.map(Stage::as_str))?;
    name.parse().map_err(|_| format!("{text:?} is not a stage"))
}

fn mode(text: &str, route: RouteName) -> Result<Mode, String> {
    let allowed = Mode::of_route(route);
    let found = allowed.iter().find(|mode| mode.as_str() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|mode| mode.as_str()).collect();
        format!("{text:?} is not a mode of {}; it has {}", route.as_str(), names.join(", "))
    })
}

fn one_of<const N: usize>(text: &str, names: [&'static str; N]) -> Result<&'static str, String> {
    let found = names.into_iter().find(|name| *name == text);
    found.ok_or_else(|| format!("{text:?} is none of {}", names.join(", ")))
}

/// Twelve hex digits over every key and value; secrets are shown as one word and so are not in it.
fn hash(rows: &[Row]) -> String {
    debug_assert!(
        rows.iter().all(|row| row.key != "ledger.url" || [secret::SHOWN, NOT_SET].contains(&&*row.value))
    );
    let mut sha = Sha256::new();
    for row in rows {
        sha.update(format!("{}={}\n", row.key, row.value));
    }
    sha.finalize()[..6].iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::super::known::Known;
    use super::super::load::{DEFAULT, Sources, load};
    use figment::providers::{Format, Toml};

    #[test]
    fn every_key_of_default_toml_is_read_and_no_other() {
        let loaded = load(&Sources::default()).unwrap();
        let mut read: Vec<_> = loaded.rows.iter().map(|row| row.key).collect();
        let known = Known::new(&Toml::from_str(DEFAULT).unwrap());
        read.sort_unstable();
        assert_eq!(read, known.keys().collect::<Vec<_>>());
    }

    #[test]
    fn rows_come_in_the_order_of_default_toml() {
        let loaded = load(&Sources::default()).unwrap();
        let mut section = String::new();
        let mut keys = Vec::new();
        for line in DEFAULT.lines().filter(|line| !line.starts_with('#')) {
            if let Some((key, _)) = line.split_once(" = ") {
                keys.push(format!("{section}{key}"));
            } else if let Some(name) = line.strip_prefix('[') {
                section = format!("{}.", name.trim_end_matches(']'));
            }
        }
        assert_eq!(loaded.rows.iter().map(|row| row.key).collect::<Vec<_>>(), keys);
    }
}
