//! Compares two configs: which keys changed, and which of the changes need a restart.

use super::load::Loaded;
use super::problem::ConfigProblem;
use super::read::{ConfigEntry, TakesEffect};
use super::sections::keys;

/// The keys whose effective value differs.
pub(super) fn changed(before: &Loaded, after: &Loaded) -> Vec<&'static str> {
    changes(before, after).map(|(_, new)| new.row.key).collect()
}

/// Why `after` cannot replace `before` without a restart; empty = it can.
pub(super) fn problems(before: &Loaded, after: &Loaded) -> Vec<ConfigProblem> {
    let restart = changes(before, after).filter(|(_, new)| new.takes_effect == TakesEffect::OnRestart);
    let restart =
        // The same database under another user or password: a rotation of credentials needs no restart.
        restart.filter(|(_, new)| new.row.key != keys::LEDGER_URL || !is_same_database(before, after));
    let mut problems: Vec<_> = restart.map(|(old, new)| needs_restart(old, new)).collect();
    if let Some((key, message)) = before.config.canary.refuse_change(&after.config.canary) {
        let source = after.entries.iter().find(|entry| entry.row.key == key).map(|entry| &entry.row.source);
        problems.push(ConfigProblem::new(key, message, source.cloned().unwrap_or_default()));
    }
    problems
}

/// Whether the ledger's url changes its user or password only: a rotated secret must not block every reload.
fn is_same_database(before: &Loaded, after: &Loaded) -> bool {
    let ledgers = before.config.ledger.as_ref().zip(after.config.ledger.as_ref());
    ledgers.is_some_and(|(before, after)| before.is_same_database(after))
}

/// Both configs have the same keys in the same order.
fn changes<'a>(
    before: &'a Loaded,
    after: &'a Loaded,
) -> impl Iterator<Item = (&'a ConfigEntry, &'a ConfigEntry)> {
    // Every config reads the same keys in the same order.
    before.entries.iter().zip(&after.entries).filter(|(old, new)| old.differs(new))
}

fn needs_restart(old: &ConfigEntry, new: &ConfigEntry) -> ConfigProblem {
    let is_secret = old.secret.is_some() || new.secret.is_some();
    let message = match is_secret {
        true => "changed, and that needs a restart".into(),
        false => format!("changed from {} to {}, and that needs a restart", old.row.value, new.row.value),
    };
    ConfigProblem::new(new.row.key, message, &new.row.source)
}
