//! The config section of `/status`: the config in force and the reloads before it.

use super::documents::{ConfigDocument, Refused, ReloadDocument};
use crate::config::{Config, ConfigChange, PastReload, ReloadHistory, ReloadRefusal, ReloadResult};

/// Maximum number of problems shown of a refused config; a broken file may have thousands.
const PROBLEMS_SHOWN: usize = 20;

pub(super) fn section(config: &Config, reloads: &ReloadHistory) -> ConfigDocument {
    ConfigDocument {
        hash: config.hash.clone(),
        loaded_at: reloads.loaded_at.to_string(),
        reload_accepted_at: reloads.accepted_at.as_ref().map(ToString::to_string),
        reload_refused: reloads.refused.as_ref().map(refused),
        reloads: reloads.reloads.iter().map(past).collect(),
    }
}

fn refused(refused: &ReloadRefusal) -> Refused {
    Refused {
        at: refused.at.to_string(),
        active: refused.active,
        problems: refused.problems.iter().take(PROBLEMS_SHOWN).map(ToString::to_string).collect(),
        problems_total: refused.problems.len(),
    }
}

fn past(reload: &PastReload) -> ReloadDocument {
    let reload_base = ReloadDocument {
        at: reload.at.to_string(),
        result: String::new(),
        hash: reload.hash.clone(),
        stage: reload.stage.to_string(),
        changes: Vec::new(),
        other_keys: Vec::new(),
        problems: Vec::new(),
        problems_total: 0,
        ended_at: None,
    };
    match &reload.result {
        ReloadResult::Accepted(change) => ReloadDocument {
            result: "accepted".into(),
            changes: changes(change),
            other_keys: change.keys.iter().map(|key| (*key).to_owned()).collect(),
            ..reload_base
        },
        ReloadResult::Refused { problems, problems_total, ended_at } => ReloadDocument {
            result: "refused".into(),
            problems: problems.clone(),
            problems_total: *problems_total,
            ended_at: ended_at.as_ref().map(ToString::to_string),
            ..reload_base
        },
    }
}

fn changes(change: &ConfigChange) -> Vec<String> {
    let stage = change.stage.iter().map(|(from, to)| format!("stage: {from} → {to}"));
    let modes = change.modes.iter().map(|(route, from, to)| format!("{}: {from} → {to}", route.as_str()));
    stage.chain(modes).collect()
}
