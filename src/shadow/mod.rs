//! Evidence before every step: what the new API would have answered, compared with what the old one did.
//!
//! The client never feels it. On the data path a chosen request is only copied as it passes ([`watch`]), within bounds of jobs and
//! bytes; past them the comparison is dropped and counted. Everything else happens on a thread of its own (`runner`), with a
//! client of its own that can only read (`look`): a create is never sent, it is rehearsed. What comes out is judged (pure:
//! `compare`, `verdict`, `rehearsal`), redacted, written (`journal`), and counted ([`tally`]). `report` reads it again.

pub mod answer;
pub mod compare;
pub mod coverage;
pub mod heartbeat;
pub mod json;
pub mod record;
pub mod redact;
pub mod rehearsal;
pub mod report;
pub mod tally;
pub mod terms;
pub mod verdict;
pub mod watch;

mod examine;
mod journal;
mod look;
mod pulse;
mod runner;

use std::io::Write;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Request;
use tokio::sync::mpsc;

use self::heartbeat::RuleHits;
pub use self::runner::{Running, StartError};
use self::tally::Tally;
use self::terms::Route;
use self::watch::{Job, Watch};
use crate::config::{Config, Mode, RouteName};
use crate::copy::Room;
use crate::upstream::budget::Budget;
use crate::upstream::cooldown::Cooldown;

/// The data path's end of shadow. Clones share everything.
#[derive(Clone, Debug)]
pub struct Shadow(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    jobs: mpsc::Sender<Job>,
    room: Room,
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
        let room = Room::new(config.shadow.bytes_max);
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
        route: RouteName,
        request: &Request<B>,
        request_id: &str,
    ) -> Option<Watch> {
        let route = Route::ALL.into_iter().find(|known| known.name() == route)?;
        if config.modes.of(route.name()) != Mode::Shadow {
            return None;
        }
        Watch::choose(self, config, route, request, request_id)
    }

    /// An upstream said 429 to anybody: nothing is compared for a while.
    pub fn throttled(&self, config: &Config) {
        if self.0.cooldown.begin(config.shadow.cooldown) && !sampled(config).is_empty() {
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
        pulse::rules(&self.0.tally, config)
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
        let configured = Route::ALL.into_iter().any(|route| config.modes.of(route.name()) == Mode::Shadow);
        if !configured {
            None
        } else if self.0.jobs.is_closed() {
            Some("stopped")
        } else if self.0.cooldown.left().is_some() {
            Some("cooldown")
        } else if sampled(config).is_empty() {
            Some("sample_0")
        } else if config.budget.shadow_share <= 0.0 && config.modes.create != Mode::Shadow {
            Some("budget_0")
        } else {
            None
        }
    }
}

/// The routes that are compared, with their shares.
fn sampled(config: &Config) -> Vec<(Route, f64)> {
    let share = |route: Route| (route, config.shadow.sample.of(route.name()));
    let shadowed = Route::ALL.into_iter().filter(|route| config.modes.of(route.name()) == Mode::Shadow);
    shadowed.map(share).filter(|(_, share)| *share > 0.0).collect()
}
