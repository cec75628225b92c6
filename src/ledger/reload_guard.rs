//! The ledger at start and reload: opened before anything is served, read before every change of modes, probed while it is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{sleep, timeout};

use crate::config::keys;
use crate::config::reload::ReloadGuard;
use crate::config::{self, Config, ConfigProblem, Mode, NativeCreates};
use crate::ledger::{Identified, Identity, Ledger, LedgerError, OpenError, Settings, Withdrawal};
use crate::translate::side::Side;

const PROBE_WHILE_DOWN: Duration = Duration::from_secs(1);
const PROBE_WHILE_READY: Duration = Duration::from_secs(5);

/// Opens the config's ledger, if it has one.
///
/// # Errors
/// When the ledger cannot be opened, or is not the configured one.
pub async fn open(config: &Config) -> Result<Option<Ledger>, OpenError> {
    let Some(ledger) = &config.ledger else {
        if config.modes.create == Mode::Legacy && config.modes.get == Mode::Both {
            tracing::warn!(
                target: "config",
                "creates go to the old API and no ledger records them: set {} before any go to the new one", keys::LEDGER_URL
            );
        }
        return Ok(None);
    };
    let identity = identity_of(config, ledger);
    Ledger::open(&Settings { identity, ..settings_of(ledger) }).await.map(Some)
}

/// The settings of a config's ledger, without its identity.
#[must_use]
pub(crate) fn settings_of(ledger: &config::LedgerSection) -> Settings {
    Settings {
        timeout: ledger.timeout,
        pool_max: ledger.pool_max,
        failover_keeps_commits: ledger.failover_keeps_commits,
        ..Settings::new(ledger.url.reveal())
    }
}

/// The identity that the config requires. A ledger is created silently only before the cutover, while no route uses the new API.
#[must_use]
pub(crate) fn identity_of(config: &Config, ledger: &config::LedgerSection) -> Identity {
    Identity {
        create: ledger.id.is_none() && !ledger.new_in_use && !config.modes.needs(Side::New),
        adopt: false,
        agrees: true,
        id: ledger.id.clone(),
        new_in_use: ledger.new_in_use,
        hosts: Some(config.upstream.hosts()),
        tenant: Some(ledger.tenant.clone()),
        facts: Some(config.facts),
    }
}

/// Checks a config at start and before every reload. Refuses another ledger than the configured one, and read routes that would not see
/// records of the new API. Without a ledger, only past configs show where creates went, so creates must not change sides, not even by way
/// of `hold`: nothing shows which of them are retries.
#[must_use]
pub(crate) fn consult(ledger: Option<Ledger>, running: Arc<ArcSwap<Config>>) -> ReloadGuard {
    // Called before every swap, so it has seen every config that was in force.
    let went_to = Arc::new([const { AtomicBool::new(false) }; 2]);
    Box::new(move |config: Arc<Config>| {
        // The running config, not the new one: creates went where it sent them.
        if let Some(side) = creates_on(&running.load()) {
            went_to[side as usize].store(true, Ordering::Relaxed);
        }
        let elsewhere = creates_on(&config).map(Side::other);
        let elsewhere = elsewhere.filter(|other| went_to[*other as usize].load(Ordering::Relaxed));
        let (ledger, before) = (ledger.clone(), running.load_full());
        Box::pin(async move {
            let Some(ledger) = ledger else { return without_ledger(elsewhere) };
            // Before the read, which may already need them.
            if let Some(problem) = new_credentials(&ledger, &before, &config).await {
                return vec![problem];
            }
            let tenant = config.ledger.as_ref().map(|ledger| ledger.tenant.as_str());
            match ledger.reader().identified(tenant).await {
                Ok(found) => contradictions(&config, &found),
                Err(error) => {
                    let message = format!("cannot be asked whether creates went to the new API: {error}");
                    vec![ConfigProblem::new(keys::LEDGER_URL, message, "ledger")]
                }
            }
        })
    })
}

/// Asked after every other guard, before a config that they accept comes into force: what it no longer keeps from happening ends completeness
/// first, for all replicas.
#[must_use]
pub(crate) fn withdrawing(
    inner: ReloadGuard,
    ledger: Option<Ledger>,
    running: Arc<ArcSwap<Config>>,
) -> ReloadGuard {
    Box::new(move |config: Arc<Config>| {
        let (asked, ledger, before) = (inner(config.clone()), ledger.clone(), running.load_full());
        Box::pin(async move {
            let mut problems = asked.await;
            if let (true, Some(ledger)) = (problems.is_empty(), ledger) {
                problems.extend(withdraw(&ledger, &before, &config).await);
            }
            problems
        })
    })
}

/// Why the config must not come into force: the ledger did not take what has to be written before.
async fn withdraw(ledger: &Ledger, before: &Config, config: &Config) -> Option<ConfigProblem> {
    let tenant = config.ledger.as_ref().map(|ledger| ledger.tenant.as_str())?;
    let passes = |config: &Config| {
        config.ledger.as_ref().is_some_and(|ledger| ledger.native_creates == NativeCreates::Pass)
    };
    let failed = |key, error: LedgerError| {
        let message =
            format!("what the ledger knows about a side cannot be withdrawn, which this needs: {error}");
        ConfigProblem::new(key, message, "ledger")
    };
    // A start has withdrawn both sides.
    if passes(config) && !passes(before) {
        let withdrawn = ledger.withdraw(tenant, Side::New, Withdrawal::PassedNativeCreates).await;
        if let Err(error) = withdrawn {
            return Some(failed(keys::LEDGER_NATIVE_CREATES, error));
        }
    }
    // So has a start judged by its facts.
    if before.facts.about_mirrors() == config.facts.about_mirrors() {
        return None;
    }
    let judged = ledger.judge_by(tenant, config.facts).await;
    judged.err().map(|error| failed(keys::FACTS_MIRROR, error))
}

/// Adopts another user or password of the same database before the ledger is asked: the old ones may be refused already.
async fn new_credentials(ledger: &Ledger, before: &Config, after: &Config) -> Option<ConfigProblem> {
    let (before, after) = before.ledger.as_ref().zip(after.ledger.as_ref())?;
    if before.url == after.url || !after.is_same_database(before) {
        return None;
    }
    let refused = ledger.renew_credentials(after.url.reveal()).await.err()?;
    let message =
        format!("has a user or password that the database does not accept; the old ones stay: {refused}");
    Some(ConfigProblem::new(keys::LEDGER_URL, message, ""))
}

/// What the config and the ledger contradict each other in.
fn contradictions(config: &Config, found: &Identified) -> Vec<ConfigProblem> {
    let mut problems = config.check_against_history(found.is_open);
    if let Some(ledger) = &config.ledger {
        let mismatches = found.mismatches(&identity_of(config, ledger)).into_iter();
        problems.extend(
            mismatches.map(|mismatch| ConfigProblem::new(mismatch.config_key(), mismatch.to_string(), "")),
        );
    }
    problems
}

/// The side that creates go to; none while they are held.
fn creates_on(config: &Config) -> Option<Side> {
    let mode = config.modes.create;
    (mode != Mode::Hold).then(|| mode.creates_on())
}

fn without_ledger(elsewhere: Option<Side>) -> Vec<ConfigProblem> {
    let refuse = |side: Side| {
        let message = format!(
            "creates went to the {side} side and no ledger knows their ref_ids: a retry would be converted again on the \
             other one; set {} before anything moves, or restart when no client can retry any more",
            keys::LEDGER_URL
        );
        ConfigProblem::new(keys::ROUTES_CREATE, message, "the running config")
    };
    elsewhere.map(refuse).into_iter().collect()
}

/// Probes the ledger: every second while it is down, so that readiness returns, and every few seconds while it is ready, so that a replica
/// without creates notices a failure. Never ends.
pub(crate) async fn keep_probing(ledger: Ledger) {
    let mut health = ledger.watch_health();
    loop {
        let down = async { health.wait_for(|health| !health.is_ready()).await.map(drop) };
        match timeout(PROBE_WHILE_READY, down).await {
            Ok(Ok(())) => sleep(PROBE_WHILE_DOWN).await,
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        // The ledger's health records the result.
        let _ = ledger.probe().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Flag, Sources, load};

    #[test]
    fn the_ledgers_usual_limits_are_the_configs_defaults() {
        let flags = vec![Flag::new("--set", "ledger.url", "sqlite:l.db")];
        let config = load(&Sources { flags, ..Sources::default() }).unwrap().config;
        let (ours, usual) = (settings_of(config.ledger.as_ref().unwrap()), Settings::new("sqlite:l.db"));
        assert_eq!((ours.timeout, ours.pool_max), (usual.timeout, usual.pool_max));
    }
}
