//! Evidence before every step: what the new API would have answered, compared with what the old one did.
//!
//! The client never feels it. One comparison, in order:
//!
//! 1. On the request's own path, [`watch`] chooses it, copies it as it passes, and offers the copies as a job once the answer has
//!    gone. Too many jobs or bytes, a rest after a 429 (`cooldown`): dropped, and counted in [`tally`].
//! 2. All the rest is on a thread of its own: `runner` takes the job, so many at once, and contains what breaks. [`Running`] keeps
//!    that thread; dropping it ends it in order.
//! 3. `examine` tells the story: what was served, what the other side says, what that comes to. A create is never sent, it is
//!    rehearsed ([`rehearsal`]); a read is asked of the new API by a client that can only read (`look`).
//! 4. Pure: [`compare`] finds what differs, [`verdict`] judges it, [`redact`] makes it fit to be written.
//! 5. `journal` writes the [`record`], or counts it as left out; `pulse` tells now and then how shadow itself is doing
//!    ([`heartbeat`]). [`report`] reads both again.

pub mod answer;
pub mod capture;
pub mod compare;
pub mod coverage;
pub mod dry_run;
pub mod heartbeat_record;
pub mod json;
pub mod record;
pub mod redact;
pub mod stats;
pub mod types;
pub mod verdict;

mod compare_job;
mod heartbeat;
mod record_writer;
mod runner;
mod shadow_client;

use std::io::Write;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Request;
use tokio::sync::mpsc;

use self::capture::{Job, ShadowCapture};
use self::heartbeat_record::RuleHits;
pub use self::runner::{Running, StartError};
use self::stats::Tally;
use self::types::COMPARED;
use crate::config::{Config, Mode};
use crate::http::capture::MemoryBudget;
use crate::translate::route::Route;
use crate::upstream::cooldown::Cooldown;
use crate::upstream::rate_limit::Budget;

/// The data path's end of shadow. Clones share everything.
#[derive(Clone, Debug)]
pub struct Shadow(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    jobs: mpsc::Sender<Job>,
    room: MemoryBudget,
    tally: Tally,
    cooldown: Cooldown,
}

impl Shadow {
    /// Starts the thread that compares. `current` is the config in force, `budget` what its calls are paid from, `out` takes the
    /// records: whole lines, which it must not hold up.
    ///
    /// # Errors
    /// When the reading client or the thread cannot be made.
    pub fn start(
        current: Arc<ArcSwap<Config>>,
        budget: &Budget,
        out: Box<dyn Write + Send>,
    ) -> Result<(Self, Running), StartError> {
        let config = current.load_full();
        let (jobs, due) = mpsc::channel(config.shadow.jobs_max);
        let room = MemoryBudget::new(config.shadow.bytes_max);
        let shared = Shared { jobs, room, tally: Tally::default(), cooldown: Cooldown::default() };
        let shadow = Self(Arc::new(shared));
        let running = runner::start(shadow.clone(), current, budget.clone(), due, out)?;
        Ok((shadow, running))
    }

    /// Chooses a request to compare, if its route is in mode `shadow`.
    #[must_use]
    pub fn watch<B>(
        &self,
        config: &Arc<Config>,
        route: Route,
        request: &Request<B>,
        request_id: &str,
    ) -> Option<ShadowCapture> {
        if config.modes.of(route) != Mode::Shadow || !COMPARED.contains(&route) {
            return None;
        }
        ShadowCapture::choose(self, config, route, request, request_id)
    }

    /// An upstream said 429 to anybody: nothing is compared for a while.
    pub fn throttled(&self, config: &Config) {
        if self.0.cooldown.begin(config.shadow.cooldown) && sampled(config).next().is_some() {
            let seconds = config.shadow.cooldown.as_secs();
            tracing::warn!(target: "shadow", seconds, "an upstream said 429; nothing is compared for a while");
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// The ignore rules in force, and how often each was hit.
    #[must_use]
    pub fn rules(&self, config: &Config) -> Vec<RuleHits> {
        heartbeat::rules(&self.0.tally, config)
    }

    /// Bytes that the bodies of waiting and running jobs take.
    #[must_use]
    pub fn bytes_held(&self) -> usize {
        self.0.room.taken()
    }

    /// Jobs that wait.
    #[must_use]
    pub fn jobs_waiting(&self) -> usize {
        self.0.jobs.max_capacity() - self.0.jobs.capacity()
    }

    /// Why nothing is compared though a route is in mode `shadow`; `None` = it is, or none is.
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

/// The routes that are compared, with their shares.
fn sampled(config: &Config) -> impl Iterator<Item = (Route, f64)> {
    shadowed(config).filter(|(_, share)| *share > 0.0)
}

/// The routes in mode `shadow`, with the shares that are compared.
fn shadowed(config: &Config) -> impl Iterator<Item = (Route, f64)> {
    let in_shadow = COMPARED.into_iter().filter(|route| config.modes.of(*route) == Mode::Shadow);
    in_shadow.map(|route| (route, config.shadow.sample.of(route)))
}
