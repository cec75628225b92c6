//! The gate in the loader: a start or reload that goes further than the record, without what that needs, is refused.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Condition, StageStep, conditions, tripped_on_the_way};
use crate::config::reload::ReloadGuard;
use crate::config::{Config, ConfigProblem, keys};
use crate::ledger::{Ledger, LedgerError};

/// The guard of every start and reload, with the gates behind it. With the sandbox they are notes.
pub(crate) fn guarded(
    inner: ReloadGuard,
    ledger: Option<Ledger>,
    running: Arc<ArcSwap<Config>>,
    sandbox: bool,
) -> ReloadGuard {
    Box::new(move |config: Arc<Config>| {
        let (before, ledger, running) = (inner(config.clone()), ledger.clone(), running.load_full());
        Box::pin(async move {
            // The guard of the ledger first; both report at once.
            let mut problems = before.await;
            if let Some(ledger) = ledger {
                problems.extend(missing(&ledger, (&running, &config), sandbox).await);
            }
            problems
        })
    })
}

async fn missing(
    ledger: &Ledger,
    (running, config): (&Config, &Config),
    sandbox: bool,
) -> Vec<ConfigProblem> {
    if !config.gate.enforce && !sandbox {
        return Vec::new();
    }
    // At a start both are one config: a process that ended while the trip was set starts again.
    let from = Config::progress_before(running);
    let asked = async {
        let mut all = conditions(ledger.reader(), config, &config.modes).await?;
        all.extend(tripped_on_the_way(ledger.reader(), config, (from, &config.modes)).await?);
        Ok::<_, LedgerError>(all)
    };
    let unmet = match asked.await {
        Ok(all) => all.into_iter().filter(|condition| !condition.met),
        Err(error) => {
            let message = format!("the ledger cannot be asked what this step needs: {error}");
            // Not known is not met: a step forward waits for the ledger.
            return vec![ConfigProblem::new(keys::STAGE, message, "ledger")];
        }
    };
    let unmet: Vec<_> = unmet.collect();
    if unmet.is_empty() {
        return Vec::new();
    }
    if sandbox {
        // The embedded vendor has no history to show evidence from.
        log(&unmet, "the gate would refuse this step; with the sandbox it is a note");
        return Vec::new();
    }
    if let Some(exception) = config.override_in_force() {
        let (who, why, until) = (&exception.who, &exception.why, exception.until);
        tracing::warn!(target: "gate", who, why, %until, "the gate is overridden");
        log(&unmet, "overridden");
        return Vec::new();
    }
    unmet.iter().map(|condition| problem(condition, config)).collect()
}

fn log(unmet: &[Condition], message: &str) {
    for Condition { step, name, text, .. } in unmet {
        tracing::warn!(target: "gate", step = step.as_str(), condition = name, found = text, "{message}");
    }
}

fn problem(condition: &Condition, config: &Config) -> ConfigProblem {
    let Condition { step, name, text, .. } = condition;
    let message = format!("the step \"{}\" lacks {name}: {text}", step.as_str());
    let problem =
        config.mode_problem(matches!(step, StageStep::FirstCreates | StageStep::AllCreates), message);
    problem.of_condition(format!("{}, {name}", step.as_str()))
}
