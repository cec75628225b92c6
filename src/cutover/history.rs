//! The ledger's part in starting and reloading: opened before anything is served, asked before any change of modes, tried
//! again while it is down.

use std::sync::Arc;
use std::time::Duration;

use crate::config::reload::Consult;
use crate::config::{Config, Mode, Problem};
use crate::ledger::{Ledger, OpenError, Settings};

const PROBE_EVERY: Duration = Duration::from_secs(1);

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
    let settings = Settings {
        timeout: settings.timeout,
        pool_max: settings.pool_max,
        ..Settings::new(settings.url.reveal())
    };
    Ledger::open(&settings).await.map(Some)
}

/// Asked at the start and before every reload: readers that would not see what was made on the new API are refused.
#[must_use]
pub fn consult(ledger: Option<Ledger>) -> Consult {
    Box::new(move |config: Arc<Config>| {
        let ledger = ledger.clone();
        Box::pin(async move {
            let Some(ledger) = ledger else { return Vec::new() };
            match ledger.new_since().await {
                Ok(since) => config.check_against_history(since.is_some()),
                Err(error) => {
                    let message = format!("cannot be asked whether creates went to the new API: {error}");
                    vec![Problem::new("ledger.url", message, "ledger")]
                }
            }
        })
    })
}

/// While the ledger is down, tries it every second, so that readiness returns without a client's help. Never ends.
pub async fn keep_probing(ledger: Ledger) {
    let mut health = ledger.watch_health();
    while health.wait_for(|health| !health.is_ready()).await.is_ok() {
        tokio::time::sleep(PROBE_EVERY).await;
        // The health itself tells how it went.
        let _ = ledger.probe().await;
    }
}
