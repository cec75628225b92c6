//! The history of reloads, for operators: the effective config's load time, the last refusal, and the last reloads. Names
//! keys and never their values, except stage and modes: a value may be a secret.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::problem::{ConfigProblem, are_same};
use super::sections::general::STAGE;
use super::sections::modes::{Mode, Stage};
use super::sections::routes;
use super::snapshot::Config;
use crate::translate::route::Route;

/// Maximum number of reloads in the history.
pub const RELOADS_KEPT: usize = 20;
/// Maximum number of problems per refused reload in the history; the last refusal has all of its problems.
const PROBLEMS_KEPT: usize = 3;
/// Maximum length of such a problem, in characters.
const PROBLEM_LENGTH: usize = 300;

/// All reloads of this process.
#[derive(Clone, Debug)]
pub struct ReloadHistory {
    /// When the effective config was loaded: at start, or by the last accepted reload.
    pub(crate) loaded_at: Timestamp,
    /// Number of accepted reloads since the start.
    pub(crate) accepted: u64,
    /// Number of refused reloads since the start; the same refusal again counts once.
    pub(crate) refusals: u64,
    /// When a reload was last accepted; `None` = never since the start.
    pub(crate) accepted_at: Option<Timestamp>,
    /// The last refusal, active or not.
    pub(crate) refused: Option<ReloadRefusal>,
    /// The last reloads, newest first; at most [`RELOADS_KEPT`].
    pub reloads: VecDeque<PastReload>,
}

/// A config that a reload refused; the one before it stays in force.
#[derive(Clone, Debug)]
pub struct ReloadRefusal {
    /// When it was first refused.
    pub(crate) at: Timestamp,
    pub(crate) problems: Vec<ConfigProblem>,
    /// Whether the configured config is still this one.
    pub(crate) active: bool,
}

/// One reload that loaded a changed config.
#[derive(Clone, Debug)]
pub struct PastReload {
    /// When the reload read it.
    pub at: Timestamp,
    /// The effective [`Config::hash`] after it.
    pub hash: String,
    /// The effective stage after it.
    pub stage: Stage,
    /// What became of the config that was read.
    pub result: ReloadResult,
}

/// The result of a reload.
#[derive(Clone, Debug)]
pub enum ReloadResult {
    /// In force since, with what it changed.
    Accepted(ConfigChange),
    /// The old config stayed in effect.
    Refused {
        /// The first problems, truncated.
        problems: Vec<String>,
        /// The number of all problems.
        problems_total: usize,
        /// When the refusal ended: the config was corrected, reverted, or refused for other reasons. `None` = it is active.
        ended_at: Option<Timestamp>,
    },
}

/// What an accepted reload changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The stage before and after, if it changed.
    pub stage: Option<(Stage, Stage)>,
    /// The routes whose mode changed, with the mode before and after.
    pub modes: Vec<(Route, Mode, Mode)>,
    /// The other keys that changed.
    pub keys: Vec<&'static str>,
}

impl ConfigChange {
    /// The change from `before` to `after`; `keys` are all changed keys.
    pub(super) fn between(before: &Config, after: &Config, keys: &[&'static str]) -> Self {
        let modes = Route::ALL.map(|route| (route, before.modes.of(route), after.modes.of(route)));
        let modes: Vec<_> = modes.into_iter().filter(|(_, from, to)| from != to).collect();
        // These have lines of their own, with their values.
        let reported = |key: &str| key == STAGE || modes.iter().any(|(route, ..)| key == routes::key(*route));
        Self {
            stage: (before.stage != after.stage).then_some((before.stage, after.stage)),
            keys: keys.iter().copied().filter(|key| !reported(key)).collect(),
            modes,
        }
    }
}

impl ReloadHistory {
    pub(super) fn new() -> Self {
        let (accepted_at, refused, reloads) = (None, None, VecDeque::new());
        Self { loaded_at: Timestamp::now(), accepted: 0, refusals: 0, accepted_at, refused, reloads }
    }

    /// The configured config is in effect, so no refusal is active.
    pub(super) fn unchanged(&mut self) {
        self.end_refusal(Timestamp::now());
    }

    pub(super) fn accepted(&mut self, config: &Config, change: ConfigChange) {
        let now = Timestamp::now();
        self.end_refusal(now);
        self.accepted += 1;
        self.loaded_at = now;
        self.accepted_at = Some(now);
        self.push(now, config, ReloadResult::Accepted(change));
    }

    /// The configured config was refused, and `config` stays in effect. The same refusal again keeps its time, and shows the numbers of
    /// now.
    pub(super) fn refused(&mut self, config: &Config, problems: Vec<ConfigProblem>) {
        let same = |refusal: &&mut ReloadRefusal| refusal.active && are_same(&refusal.problems, &problems);
        if let Some(refusal) = self.refused.as_mut().filter(same) {
            // The same problems in newer words; the refusal keeps the time at which it began.
            refusal.problems = problems;
            return;
        }
        let now = Timestamp::now();
        self.end_refusal(now);
        self.refusals += 1;
        let result = ReloadResult::Refused {
            problems: problems.iter().take(PROBLEMS_KEPT).map(truncate).collect(),
            problems_total: problems.len(),
            ended_at: None,
        };
        self.push(now, config, result);
        self.refused = Some(ReloadRefusal { at: now, problems, active: true });
    }

    fn end_refusal(&mut self, now: Timestamp) {
        if let Some(refusal) = &mut self.refused {
            refusal.active = false;
        }
        // An active refusal is always the newest entry, because every later reload ends it.
        if let Some(PastReload { result: ReloadResult::Refused { ended_at, .. }, .. }) =
            self.reloads.front_mut()
        {
            ended_at.get_or_insert(now);
        }
    }

    fn push(&mut self, at: Timestamp, config: &Config, result: ReloadResult) {
        self.reloads.truncate(RELOADS_KEPT - 1);
        self.reloads.push_front(PastReload { at, hash: config.hash.clone(), stage: config.stage, result });
    }
}

fn truncate(problem: &ConfigProblem) -> String {
    let text = problem.to_string();
    match text.char_indices().nth(PROBLEM_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
