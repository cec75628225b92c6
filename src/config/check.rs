//! From the config as written to the config as meant: every key once, in the order of `default.toml`.
//!
//! All problems are told at once: what could not be read is `None` and the reading goes on (`sections`). Rules over several
//! keys judge only what could be read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::auth::{self, Auth};
use super::budget::budget;
use super::deprecation::{deprecation, usage};
use super::load::Loaded;
use super::modes::{Mode, Modes, Stage};
use super::parse::{
    address, canary, forwarding, hold, ledger, limits, log, one_of, sandbox, server, timeouts, tls, upstreams,
};
use super::read::{NOT_SET, Row, Written};
use super::rules::{self, Decided, Judged};
use super::secret::{self, is_secret};
use super::settings::{Admin, Ledger, List, Reload, Tls};
use super::shadow::shadow;
use super::traces::traces;
use super::values::canonical_path;
use super::{Config, Problem};
use crate::translate::route::Route;

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
    let auth = auth::read(written, base_path.as_deref());
    let (timeouts, hold) = (timeouts(written), hold(written));
    let list = written.number("list.upstream_calls_max", 2..=1000_usize);
    let limits = limits(written);
    let (server, forwarding) = (server(written), forwarding(written));
    let (tls, log, traces) = (tls(written), log(written), traces(written));
    let poll_interval = written.duration("reload.poll_interval", Duration::from_millis(100));
    let (canary, ledger) = (canary(written), ledger(written));
    let budget = budget(written, replicas);
    let shadow = shadow(written);
    let (usage, deprecation) = (usage(written), deprecation(written));
    let admin = written.optional("admin.listen", address);
    let sandbox = sandbox(written);

    across(written, routes.as_ref(), ledger.as_ref(), replicas);
    between(written, (listen, admin), auth.as_ref(), tls.as_ref());
    Some(Config {
        listen: listen?,
        base_path: base_path?,
        stage: stage?,
        modes: routes.as_ref()?.0,
        replicas: replicas?,
        upstream: upstream?,
        auth: auth?,
        timeouts: timeouts?,
        hold: hold?,
        list: List { upstream_calls_max: list? },
        limits: limits?,
        server: server?,
        forwarding: forwarding?,
        tls: tls?,
        log: log?,
        traces: traces?,
        reload: Reload { poll_interval: poll_interval? },
        canary: canary?,
        ledger: ledger?,
        budget: budget?,
        shadow: shadow?,
        usage: usage?,
        deprecation: deprecation?,
        admin: Admin { listen: admin? },
        sandbox: sandbox?,
        hash: String::new(),
        decided: routes?.1,
    })
}

fn routes(written: &mut Written, stage: Option<Stage>) -> Option<(Modes, Decided)> {
    let create = route(written, "routes.create", Route::Create, stage);
    let get = route(written, "routes.get", Route::Get, stage);
    let list = route(written, "routes.list", Route::List, stage);
    let cancel = route(written, "routes.cancel", Route::Cancel, stage);
    let (create, get, list, cancel) = (create?, get?, list?, cancel?);
    let modes = Modes { create: create.0, get: get.0, list: list.0, cancel: cancel.0 };
    let decided = [create.1, get.1, list.1, cancel.1].map(|key| (key, written.source(key)));
    Some((modes, Decided(decided)))
}

/// A route's mode, and the key that decided it.
fn route(
    written: &mut Written,
    key: &'static str,
    route: Route,
    stage: Option<Stage>,
) -> Option<(Mode, &'static str)> {
    if let Some(mode) = written.optional(key, |text| mode(text, route))? {
        return Some((mode, key));
    }
    let mode = stage?.modes().of(route);
    written.show(format!("{mode} (by stage)"));
    Some((mode, "stage"))
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
    written.problems.extend(rules::all(&judged));
}

/// Rules over two sections each.
fn between(
    written: &mut Written,
    (listen, admin): (Option<SocketAddr>, Option<Option<SocketAddr>>),
    auth: Option<&Auth>,
    tls: Option<&Option<Tls>>,
) {
    if let (Some(listen), Some(Some(admin))) = (listen, admin)
        && listen == admin
        && listen.port() != 0
    {
        written.problem("admin.listen", "is the same as listen");
    }
    let asked = |tls: &Option<Tls>| tls.as_ref().is_some_and(|tls| tls.client_auth.authorities().is_some());
    if let (Some(auth), Some(tls), true) = (auth, tls, written.whole)
        && auth.callers.iter().any(|caller| caller.certificate.is_some())
        && !asked(tls)
    {
        let message = "has a certificate_sha256, and no client is asked for a certificate; set tls.client_auth and tls.client_ca";
        written.problem("auth.callers", message);
    }
}

fn base_path(text: &str) -> Result<String, String> {
    canonical_path(text).map(|()| text.to_owned())
}

fn stage(text: &str) -> Result<Stage, String> {
    let name = one_of(text, Stage::ALL.map(Stage::as_str))?;
    name.parse().map_err(|_| format!("{text:?} is not a stage"))
}

fn mode(text: &str, route: Route) -> Result<Mode, String> {
    let allowed = Mode::of_route(route);
    let found = allowed.iter().find(|mode| mode.as_str() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|mode| mode.as_str()).collect();
        format!("{text:?} is not a mode of {}; it has {}", route.as_str(), names.join(", "))
    })
}

/// Twelve hex digits over every key and value; secrets are shown as one word and so are not in it.
fn hash(rows: &[Row]) -> String {
    debug_assert!(
        rows.iter().all(|row| !is_secret(row.key) || [secret::SHOWN, NOT_SET].contains(&&*row.value))
    );
    let mut sha = Sha256::new();
    for row in rows {
        sha.update(format!("{}={}\n", row.key, row.value));
    }
    const_hex::encode(&sha.finalize()[..6])
}

#[cfg(test)]
mod tests {
    use super::super::load::{DEFAULT, Sources, load};
    use super::super::schema::Known;
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
