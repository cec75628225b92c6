//! Reconcile inside `serve`: one replica at a time walks a window that slides, and every replica reports what was found last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::LAG;
use super::lease::Lease;
use super::options::WalkOptions;
use super::progress::WalkProgress;
use super::run::{ROUNDED, WalkAuthor, WalkContext, walk};
use super::source::WalkError;
use super::vendor::VendorSource;
use crate::config::Config;
use crate::failure::error_chain::error_chain;
use crate::ledger::{Completeness, Ledger, WalkKind, WalkRow, WalkState};
use crate::upstream::UpstreamClient;

/// How often the config is read while there are no walks, and the ledger while another replica may walk.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked whether the ledger was compared with the new API.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What walks found last, as the ledger has it: the same on all replicas.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReconcileStatus {
    /// Between two walks; `None`: there are none.
    pub(crate) every: Option<Duration>,
    pub(crate) last: Option<FinishedWalk>,
    pub(crate) last_clean_at: Option<Timestamp>,
    /// Why the last walk of this process could not finish; `None` if it did.
    pub(crate) failed: Option<String>,
    /// How the sides stand; empty if the ledger does not answer.
    pub(crate) completeness: Vec<Completeness>,
}

#[derive(Clone, Debug)]
pub(crate) struct FinishedWalk {
    pub(crate) at: Timestamp,
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) progress: WalkProgress,
}

impl FinishedWalk {
    fn of(row: WalkRow) -> Option<Self> {
        let progress = serde_json::from_str(&row.progress).ok()?;
        Some(Self { at: row.updated_at, begin: row.begin, end: row.end, progress })
    }
}

/// The walks of this process. Clones share the status.
#[derive(Clone, Default)]
pub(crate) struct Reconciler(Arc<Mutex<ReconcileStatus>>);

impl Reconciler {
    #[must_use]
    pub(crate) fn status(&self) -> ReconcileStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Walks whenever a walk is due. Never ends.
    pub(crate) async fn run(self, config: Arc<ArcSwap<Config>>, ledger: Ledger, upstream: UpstreamClient) {
        let mut retry_at = Instant::now();
        loop {
            if ledger.is_suspended() {
                // A start that looks for what the ledger lost comes first.
                sleep(LOOK_AGAIN).await;
                continue;
            }
            let current = config.load_full();
            let every = current.reconcile.interval();
            let completeness = ledger.reader().completeness(tenant(&current)).await.unwrap_or_default();
            self.change(|status| (status.every, status.completeness) = (every, completeness));
            if let Some(every) = every.filter(|_| Instant::now() >= retry_at) {
                self.walk_if_due(&current, &ledger, (&upstream, every)).await;
                if self.status().failed.is_some() {
                    // A side that fails is not asked more often than one that does not.
                    retry_at = Instant::now() + every;
                }
            }
            sleep(every.map_or(LOOK_EVERY, |every| every.min(LOOK_EVERY))).await;
        }
    }

    async fn walk_if_due(
        &self,
        config: &Arc<Config>,
        ledger: &Ledger,
        (upstream, every): (&UpstreamClient, Duration),
    ) {
        let tenant = tenant(config);
        // By the ledger's clock, as the times of walks are: one that is ahead would walk all the time, or let no other replica walk.
        let Ok(now) = ledger.reader().clock().await else { return };
        let due = |last: &Option<FinishedWalk>| {
            let age = last.as_ref().map(|last| now.duration_since(last.at));
            age.is_none_or(|age| age >= SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX))
        };
        // The age of the last walk is read from the ledger: replicas and restarts share one schedule.
        if self.read_finished(config, ledger).await.is_err() || !due(&self.status().last) {
            return;
        }
        let Ok(Some(lease)) = Lease::take(ledger, tenant).await else { return };
        // Another replica may have finished one before it gave the lease back.
        if self.read_finished(config, ledger).await.is_ok() && due(&self.status().last) {
            let last = self.status().last.map(|last| last.end);
            let outcome = walk_window(config, ledger, (upstream, &lease), last).await;
            let failed = outcome.err().map(|error| error_chain(&error));
            if let Some(error) = &failed {
                tracing::error!(target: "reconcile", error, "the walk could not finish");
            }
            self.change(|status| status.failed = failed);
            let _ = self.read_finished(config, ledger).await;
        }
        lease.give_back().await;
    }

    /// A walk of an operator over less than the window says nothing about the rest of it.
    async fn read_finished(&self, config: &Config, ledger: &Ledger) -> Result<(), WalkError> {
        let window = config.reconcile.window.saturating_sub(ROUNDED);
        let newest = |state| ledger.reader().newest_whole_walk(tenant(config), state, window, LAG * 2);
        let clean = newest(WalkState::Clean).await?.and_then(FinishedWalk::of);
        let with_findings = newest(WalkState::Findings).await?.and_then(FinishedWalk::of);
        self.change(|status| {
            status.last_clean_at = clean.as_ref().map(|clean| clean.at);
            status.last = [clean, with_findings].into_iter().flatten().max_by_key(|walk| walk.at);
        });
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut ReconcileStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The window slides, and begins where the last walk ended if that is earlier: nothing is left out after an outage that was longer than the
/// window.
async fn begin_of_window(
    config: &Config,
    ledger: &Ledger,
    end: Timestamp,
    last: Option<Timestamp>,
) -> Result<Timestamp, WalkError> {
    let walked = ledger.reader().completeness(tenant(config)).await?;
    let walked = walked.into_iter().filter_map(|side| side.walked_to);
    // From the earliest of them: no gap may be left between two walks.
    Ok(walked.chain(last).chain([end - config.reconcile.window]).min().unwrap_or(end))
}

fn tenant(config: &Config) -> &str {
    config.ledger.as_ref().map_or("", |ledger| ledger.tenant.as_str())
}

async fn walk_window(
    config: &Arc<Config>,
    ledger: &Ledger,
    (upstream, lease): (&UpstreamClient, &Lease),
    last: Option<Timestamp>,
) -> Result<(), WalkError> {
    let budget = upstream.budget();
    budget.adopt(config);
    let source = VendorSource::new(config.clone(), upstream, budget.clone(), None)
        .map_err(|error| WalkError::Setup(error.to_string()))?;
    // Lists may lag; a walk to this moment would report records as missing that are not listed yet.
    let end = ledger.reader().clock().await? - LAG;
    let options = WalkOptions {
        begin: Some(begin_of_window(config, ledger, end, last).await?),
        stuck_after: config.reconcile.stuck_after,
        may_claim_new: ledger.reader().identified(None).await?.is_open,
        ..WalkOptions::new(WalkKind::Reconcile, end).under(config)
    };
    let context = WalkContext {
        source: &source,
        reader: ledger.reader(),
        ledger: Some(ledger),
        lease: Some(lease),
        tenant: tenant(config),
        author: WalkAuthor { config: &config.hash, operator: None },
        facts: config.facts,
        report: None,
        observer: &|_| {},
    };
    let result = walk(context, options).await?;
    let verdict = result.verdict();
    tracing::info!(target: "reconcile", walk = result.walk, begin = %result.begin, end = %result.end, verdict, "walked");
    Ok(())
}
