//! The ledger's part in starting and reloading: opened before anything is served, asked before any change of modes, tried
//! again while it is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{sleep, timeout};

use crate::config::reload::ReloadGuard;
use crate::config::{self, Config, Mode, Problem};
use crate::ledger::{Ledger, OpenError, Settings};
use crate::translate::side::Side;

const PROBE_WHILE_DOWN: Duration = Duration::from_secs(1);
const PROBE_WHILE_READY: Duration = Duration::from_secs(5);

/// Opens the config's ledger, if it has one.
///
/// # Errors
/// What the ledger says.
pub async fn open(config: &Config) -> Result<Option<Ledger>, OpenError> {
    let Some(settings) = &config.ledger else {
        if config.modes.create == Mode::Legacy && config.modes.get == Mode::Both {
            tracing::warn!(
                target: "config",
                "creates go to the old API and no ledger records them: set ledger.url before any go to the new one"
            );
        }
        return Ok(None);
    };
    Ledger::open(&settings_of(settings)).await.map(Some)
}

/// How to open the ledger that a config names.
#[must_use]
pub fn settings_of(ledger: &config::Ledger) -> Settings {
    Settings { timeout: ledger.timeout, pool_max: ledger.pool_max, ..Settings::new(ledger.url.reveal()) }
}

/// Asked at the start and before every reload: readers that would not see what was made on the new API are refused. Without
/// a ledger only the configs that were in force tell where creates went, and then none may go to the other side, not by way
/// of `hold` either: nothing knows which of them are retries.
#[must_use]
pub fn consult(ledger: Option<Ledger>, running: Arc<ArcSwap<Config>>) -> ReloadGuard {
    // Asked before every swap, so no config that was in force is missed.
    let went_to = Arc::new([const { AtomicBool::new(false) }; 2]);
    Box::new(move |config: Arc<Config>| {
        if let Some(side) = creates_on(&running.load()) {
            went_to[side as usize].store(true, Ordering::Relaxed);
        }
        let elsewhere = creates_on(&config).map(Side::other);
        let elsewhere = elsewhere.filter(|other| went_to[*other as usize].load(Ordering::Relaxed));
        let ledger = ledger.clone();
        Box::pin(async move {
            let Some(ledger) = ledger else { return without_ledger(elsewhere) };
            match ledger.first_new_create_at().await {
                Ok(since) => config.check_against_history(since.is_some()),
                Err(error) => {
                    let message = format!("cannot be asked whether creates went to the new API: {error}");
                    vec![Problem::new("ledger.url", message, "ledger")]
                }
            }
        })
    })
}

/// The side that creates go to; none while they are held.
fn creates_on(config: &Config) -> Option<Side> {
    let mode = config.modes.create;
    (mode != Mode::Hold).then(|| mode.creates_on())
}

fn without_ledger(elsewhere: Option<Side>) -> Vec<Problem> {
    let refuse = |side: Side| {
        let message = format!(
            "creates went to the {side} side and no ledger knows their ref_ids: a retry would be converted again on the \
             other one; set ledger.url before anything moves, or restart when no client can retry any more"
        );
        Problem::new("routes.create", message, "the running config")
    };
    elsewhere.map(refuse).into_iter().collect()
}

/// Tries the ledger without a client's help: every second while it is down, so that readiness returns, and every few seconds
/// while it is ready, so that a replica without creates does not call itself ready for long when it is not. Never ends.
pub async fn keep_probing(ledger: Ledger) {
    let mut health = ledger.watch_health();
    loop {
        let down = async { health.wait_for(|health| !health.is_ready()).await.map(drop) };
        match timeout(PROBE_WHILE_READY, down).await {
            Ok(Ok(())) => sleep(PROBE_WHILE_DOWN).await,
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        // The health itself tells how it went.
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
