//! What the next stage needs, for the page. The ledger is asked at most every ten seconds.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::documents::{ConditionDocument, GateDocument};
use crate::config::{Config, Stage};
use crate::gate::{self, Condition};
use crate::ledger::{Ledger, LedgerError};

/// A step may read the whole table of claims.
const READ_EVERY: Duration = Duration::from_secs(10);

/// The last answer, and the config and time of its question.
#[derive(Default)]
pub(super) struct NextGate(Mutex<Option<(Instant, String, Option<GateDocument>)>>);

impl NextGate {
    pub(super) async fn of(&self, config: &Config, ledger: Option<&Ledger>) -> Option<GateDocument> {
        let ledger = ledger.filter(|ledger| ledger.health().is_ready())?;
        let mut last = self.0.lock().await;
        if let Some((at, hash, document)) = &*last
            && at.elapsed() < READ_EVERY
            && *hash == config.hash
        {
            return document.clone();
        }
        // A ledger that does not answer is asked again for the next page.
        let document = next(config, ledger).await.ok()?;
        *last = Some((Instant::now(), config.hash.clone(), document.clone()));
        document
    }
}

/// The first stage that needs something.
async fn next(config: &Config, ledger: &Ledger) -> Result<Option<GateDocument>, LedgerError> {
    for stage in Stage::ALL {
        let conditions = gate::conditions(ledger.reader(), config, &stage.modes()).await?;
        if !conditions.is_empty() {
            let conditions = conditions.into_iter().map(document).collect();
            return Ok(Some(GateDocument {
                to: stage.to_string(),
                enforced: config.gate.enforce,
                conditions,
            }));
        }
    }
    Ok(None)
}

fn document(condition: Condition) -> ConditionDocument {
    let Condition { step, name, met, text } = condition;
    ConditionDocument { step: step.as_str().into(), condition: name.into(), met, text }
}
