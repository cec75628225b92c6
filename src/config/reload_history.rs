//! What reloading came to so far: when the config in force was read, what was refused last, and the last reloads one by one. For
//! operators; decides nothing. Keys are named and never their values, but for stage and modes: a value may be a secret.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::modes::{Mode, Stage};
use super::{Config, Problem};
use crate::translate::route::Route;

/// Reloads that are remembered.
pub const RELOADS_KEPT: usize = 20;
/// Problems that are remembered of each refused one; the last one's are kept whole beside.
const PROBLEMS_KEPT: usize = 3;
/// How much is remembered of one problem, in characters.
const PROBLEM_LENGTH: usize = 300;

/// What a process's reloads came to so far.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// When the config in force was read: at the start, or by the last reload that was accepted.
    pub loaded_at: Timestamp,
    /// How many reloads were accepted since the start.
    pub accepted: u64,
    /// How many were refused; one that stands is one.
    pub refusals: u64,
    /// When a reload was last accepted; `None`: never since the start.
    pub accepted_at: Option<Timestamp>,
    /// The last refusal, also when it is over.
    pub refused: Option<Refused>,
    /// The last reloads, the newest first; at most [`RELOADS_KEPT`].
    pub history: VecDeque<PastReload>,
}

/// A config that was refused while another one was, and stayed, in force.
#[derive(Clone, Debug)]
pub struct Refused {
    /// When it was refused first.
    pub at: Timestamp,
    /// Why.
    pub problems: Vec<Problem>,
    /// Whether it still stands: what is configured is not what is running.
    pub standing: bool,
}

/// One reload: a config that was read anew, and was another one than that in force.
#[derive(Clone, Debug)]
pub struct PastReload {
    /// When.
    pub at: Timestamp,
    /// The [`Config::hash`] in force after it.
    pub hash: String,
    /// The stage in force after it.
    pub stage: Stage,
    /// What came of it.
    pub result: Reloaded,
}

/// What came of a reload.
#[derive(Clone, Debug)]
pub enum Reloaded {
    /// It is in force, or was until the next one.
    Accepted(Change),
    /// Nothing was changed.
    Refused {
        /// Why, in short: the first few.
        problems: Vec<String>,
        /// How many there were.
        problems_total: usize,
        /// When it was over: mended, taken back, or refused for other reasons. `None` = it stands.
        ended_at: Option<Timestamp>,
    },
}

/// What an accepted reload changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The stage before and after, when it is another one.
    pub stage: Option<(Stage, Stage)>,
    /// The routes whose mode is another one, before and after.
    pub modes: Vec<(Route, Mode, Mode)>,
    /// The other keys whose value is another one.
    pub keys: Vec<&'static str>,
}

impl Change {
    /// What is different in `after`; `keys` are all keys that differ.
    pub(super) fn between(before: &Config, after: &Config, keys: &[&'static str]) -> Self {
        let modes = Route::ALL.map(|route| (route, before.modes.of(route), after.modes.of(route)));
        let modes: Vec<_> = modes.into_iter().filter(|(_, from, to)| from != to).collect();
        let told = |key: &str| {
            key == "stage"
                || modes.iter().any(|(route, ..)| key.strip_prefix("routes.") == Some(route.as_str()))
        };
        Self {
            stage: (before.stage != after.stage).then_some((before.stage, after.stage)),
            keys: keys.iter().copied().filter(|key| !told(key)).collect(),
            modes,
        }
    }
}

impl Reloads {
    pub(super) fn new() -> Self {
        let (accepted_at, refused, history) = (None, None, VecDeque::new());
        Self { loaded_at: Timestamp::now(), accepted: 0, refusals: 0, accepted_at, refused, history }
    }

    /// What is configured is in force already: whatever was refused is over.
    pub(super) fn settled(&mut self) {
        self.refusal_ends(Timestamp::now());
    }

    /// Another config is in force.
    pub(super) fn accepted(&mut self, config: &Config, change: Change) {
        let now = Timestamp::now();
        self.refusal_ends(now);
        self.accepted += 1;
        self.loaded_at = now;
        self.accepted_at = Some(now);
        self.remember(now, config, Reloaded::Accepted(change));
    }

    /// What is configured was refused, and `config` stays in force; the same refusal again keeps its time.
    pub(super) fn refused(&mut self, config: &Config, problems: Vec<Problem>) {
        let again = |refused: &Refused| refused.standing && refused.problems == problems;
        if self.refused.as_ref().is_some_and(again) {
            return;
        }
        let now = Timestamp::now();
        self.refusal_ends(now);
        self.refusals += 1;
        let shown = problems.iter().take(PROBLEMS_KEPT).map(in_short).collect();
        let total = problems.len();
        self.remember(
            now,
            config,
            Reloaded::Refused { problems: shown, problems_total: total, ended_at: None },
        );
        self.refused = Some(Refused { at: now, problems, standing: true });
    }

    /// No refusal stands any more.
    fn refusal_ends(&mut self, now: Timestamp) {
        if let Some(refused) = &mut self.refused {
            refused.standing = false;
        }
        // One that stands is always the last: whatever follows ends it.
        if let Some(PastReload { result: Reloaded::Refused { ended_at, .. }, .. }) = self.history.front_mut()
        {
            ended_at.get_or_insert(now);
        }
    }

    fn remember(&mut self, at: Timestamp, config: &Config, result: Reloaded) {
        self.history.truncate(RELOADS_KEPT - 1);
        self.history.push_front(PastReload { at, hash: config.hash.clone(), stage: config.stage, result });
    }
}

fn in_short(problem: &Problem) -> String {
    let whole = problem.to_string();
    match whole.char_indices().nth(PROBLEM_LENGTH) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}
