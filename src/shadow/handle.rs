//! The handle to shadow: the job queue, the statistics and the back-off after a 429. The data path and the admin listener hold
//! one; nothing here waits.

use std::sync::Arc;

use tokio::sync::mpsc::{self, error::TrySendError};

use super::clock::today;
use super::heartbeat_record::RuleHits;
use super::job::CompareJob;
use super::stats::{ShadowDropReason, ShadowStats};
use super::types::COMPARED;
use crate::config::{Config, Mode};
use crate::http::capture::{CaptureState, MemoryBudget};
use crate::translate::route::Route;
use crate::upstream::cooldown::Cooldown;

/// A handle to shadow. Clones share all state.
#[derive(Clone, Debug)]
pub struct Shadow(Arc<ShadowState>);

#[derive(Debug)]
struct ShadowState {
    jobs: mpsc::Sender<CompareJob>,
    memory: MemoryBudget,
    stats: ShadowStats,
    cooldown: Cooldown,
}

impl Shadow {
    /// A handle, and the end of its queue that takes the jobs.
    pub(super) fn new(config: &Config) -> (Self, mpsc::Receiver<CompareJob>) {
        let (jobs, queue) = mpsc::channel(config.shadow.jobs_max);
        let memory = MemoryBudget::new(config.shadow.bytes_max);
        let state =
            ShadowState { jobs, memory, stats: ShadowStats::default(), cooldown: Cooldown::default() };
        (Self(Arc::new(state)), queue)
    }

    /// Queues a job, or drops and counts it.
    pub(super) fn enqueue(&self, job: CompareJob) {
        let route = job.route;
        if job.served.body.state() == CaptureState::OverBudget {
            self.0.stats.dropped(route, ShadowDropReason::Bytes);
        // Never waits: this runs on the data path, where the client's connection would be held up.
        } else if let Err(error) = self.0.jobs.try_send(job) {
            let reason = match error {
                TrySendError::Full(_) => ShadowDropReason::Jobs,
                TrySendError::Closed(_) => ShadowDropReason::Shutdown,
            };
            self.0.stats.dropped(route, reason);
        }
    }

    /// Starts the back-off after a 429 from either upstream, whoever the call was for.
    pub(crate) fn throttled(&self, config: &Config) {
        if self.0.cooldown.begin(config.shadow.cooldown) && sampled(config).next().is_some() {
            let seconds = config.shadow.cooldown.as_secs();
            tracing::warn!(target: "shadow", seconds, "shadow is paused after a 429 from an upstream");
        }
    }

    /// The counts since the start of the process.
    #[must_use]
    pub fn stats(&self) -> &ShadowStats {
        &self.0.stats
    }

    pub(super) fn memory(&self) -> &MemoryBudget {
        &self.0.memory
    }

    pub(super) fn cooldown(&self) -> &Cooldown {
        &self.0.cooldown
    }

    /// The ignore rules in force with their hits since the start of the process.
    #[must_use]
    pub(crate) fn rules(&self, config: &Config) -> Vec<RuleHits> {
        let today = today();
        let rules = config.shadow.ignore.iter().map(|rule| RuleHits {
            path: rule.path.as_str().into(),
            reason: rule.reason.clone(),
            owner: rule.owner.clone(),
            expires: rule.expires.to_string(),
            expired: rule.expires < today,
            hits: self.0.stats.hits(rule.path.as_str()),
        });
        rules.collect()
    }

    /// Bytes held by the bodies of queued and running jobs.
    #[must_use]
    pub fn bytes_held(&self) -> usize {
        self.0.memory.used()
    }

    /// Jobs in the queue; those that a worker has taken are not counted.
    #[must_use]
    pub fn jobs_waiting(&self) -> usize {
        self.0.jobs.max_capacity() - self.0.jobs.capacity()
    }

    /// Why nothing is compared although a route is in mode `shadow`. `None` when comparisons run, or when no route is in that
    /// mode.
    #[must_use]
    pub fn idle_reason(&self, config: &Config) -> Option<&'static str> {
        if shadowed(config).next().is_none() {
            None
        } else if self.0.jobs.is_closed() {
            Some("stopped")
        } else if self.0.cooldown.left().is_some() {
            Some("cooldown")
        } else if sampled(config).next().is_none() {
            Some("sample_0")
        } else if config.budget.shadow_share <= 0.0 && config.modes.create != Mode::Shadow {
            Some("budget_0")
        } else {
            None
        }
    }
}

/// The routes of which a share above 0 is compared.
fn sampled(config: &Config) -> impl Iterator<Item = (Route, f64)> {
    shadowed(config).filter(|(_, share)| *share > 0.0)
}

/// The routes in mode `shadow`, each with the share of its requests that is compared.
pub(super) fn shadowed(config: &Config) -> impl Iterator<Item = (Route, f64)> {
    let in_shadow = COMPARED.into_iter().filter(|route| config.modes.of(*route) == Mode::Shadow);
    in_shadow.map(|route| (route, config.shadow.sample.of(route)))
}
