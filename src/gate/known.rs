//! What the ledger says that a gate asks about.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::{Config, Mode};
use crate::ledger::effective_modes::tenant_of;
use crate::ledger::{
    DriftRow, EvidenceKind, EvidenceRow, LedgerError, Reader, Recent, ReplicaRow, Trip, UsageOnRecord,
    modes_of,
};
use crate::reconcile::{FINDINGS_KEPT, FindingKind, LAG, WalkFinding, WalkProgress};
use crate::translate::side::Side;

/// A replica without a heartbeat for so long does not report.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// A shorter retry window could be younger than what a list shows for certain, so that a walk over nothing of it would do.
const WINDOW_MIN: Duration = Duration::from_secs(60 * 60);

/// The window that has to be walked before the old API is left: the retry window, and at least an hour.
pub(super) fn walked_window(config: &Config) -> Duration {
    config.gate.retry_window.max(WINDOW_MIN)
}

pub(super) struct Known {
    pub(super) now: Timestamp,
    /// The id of the ledger, if it has one.
    pub(super) id: Option<String>,
    /// Whether `ledger open-new` ran.
    pub(super) is_open: bool,
    /// When its tables were made.
    pub(super) begun: Option<Timestamp>,
    pub(super) report: Option<EvidenceRow>,
    /// The newest clean walks, whatever their windows, newest first.
    pub(super) clean: Vec<EvidenceRow>,
    /// Clean walks from the first create on new, newest first.
    pub(super) from_first_create: Vec<EvidenceRow>,
    /// Clean walks from the begin of the retry window, newest first.
    pub(super) over_retry_window: Vec<EvidenceRow>,
    pub(super) replicas: Vec<ReplicaRow>,
    pub(super) first_new_create_at: Option<Timestamp>,
    /// Claims whose record is not known and whose create is not under way any more.
    pub(super) unresolved: u64,
    /// When they must have been made for that.
    pub(super) unresolved_before: Timestamp,
    pub(super) money_found: MoneyFound,
    pub(super) trip: Option<Trip>,
    /// Why creates are on hold.
    pub(super) hold: Option<String>,
    /// When a hold was last lifted, or the ledger accepted as it is. What was compared with it before may have been with claims that are
    /// lost.
    pub(super) accepted_at: Option<Timestamp>,
    /// The same of `ledger accept` alone. A timeline that is accepted by itself has every commit.
    pub(super) accepted_by_operator_at: Option<Timestamp>,
    /// When the vendor's hosts on record were last written.
    pub(super) hosts_at: Option<Timestamp>,
    /// When the newest claim was made that was not refused.
    pub(super) newest_claim_at: Option<Timestamp>,
    /// The newest reconcile of everything that reaches the time from which on all creates went to new.
    pub(super) full_walk: Option<FullWalk>,
    /// Records of the old API that this walk, or one since, found not final.
    pub(super) open_on_legacy: Vec<String>,
    /// The modes on record, and since when.
    pub(super) modes: Option<(String, Timestamp)>,
    /// Claims on the old API within the retry window.
    pub(super) recent_on_legacy: Recent,
    /// Clients that used what blocks the end of the old API within the retry window.
    pub(super) usage: UsageOnRecord,
    /// What any replica read in the vendor's answers and did not know.
    pub(super) drift: Vec<DriftRow>,
}

/// A finished reconcile of both sides from the vendor's first record on.
#[derive(Clone, Copy)]
pub(super) struct FullWalk {
    pub(super) started_at: Timestamp,
    /// From which age on it looked whether a record is final; not known of older versions.
    pub(super) stuck_after: Option<Duration>,
}

impl FullWalk {
    /// With the records of the old API that it, or a walk since, found not final.
    async fn read(
        reader: &Reader,
        tenant: &str,
        until: Timestamp,
    ) -> Result<(Option<Self>, Vec<String>), LedgerError> {
        let Some((progress, started_at)) = reader.newest_full_walk(tenant, until).await? else {
            return Ok((None, Vec::new()));
        };
        let progress: Option<WalkProgress> = serde_json::from_str(&progress).ok();
        let stuck_after =
            progress.as_ref().and_then(|progress| progress.stuck_after_s).map(Duration::from_secs);
        let (found, may_be_cut) = reader.stuck_since(tenant, started_at).await?;
        let mut open: Vec<_> = found.iter().filter_map(|finding| open_on_legacy(finding)).collect();
        // Of so many, of both sides, not all are kept or read.
        if may_be_cut
            || progress.is_none_or(|progress| progress.found(FindingKind::Stuck) > FINDINGS_KEPT as u64)
        {
            open.push("(more findings than are kept)".into());
        }
        open.sort_unstable();
        open.dedup();
        Ok((Some(Self { started_at, stuck_after }), open))
    }
}

/// The reference, or else the id, of a finding about a record of the old API.
fn open_on_legacy(finding: &str) -> Option<String> {
    // What cannot be read may be about one.
    let Ok(finding) = serde_json::from_str::<WalkFinding>(finding) else {
        return Some("(cannot be read)".into());
    };
    finding.legacy_id.as_ref()?;
    Some(finding.subject().to_owned())
}

/// Walks of any kind, over any window, that found something about money.
pub(super) struct MoneyFound {
    /// When they ended, newest first.
    at: Vec<Timestamp>,
    /// What ended before was not read.
    read_from: Option<Timestamp>,
}

impl MoneyFound {
    async fn read(reader: &Reader, tenant: &str) -> Result<Self, LedgerError> {
        // Only the newest are read. Whether older ones found money is not known, so they count as if they had.
        let (walks, has_older) =
            reader.walks_with_findings(tenant, FindingKind::ABOUT_MONEY.map(FindingKind::as_str)).await?;
        let read_from = walks.last().filter(|_| has_older).map(|(_, at)| *at);
        let about_money = |(progress, _): &&(String, Timestamp)| {
            // What cannot be read may be about money.
            serde_json::from_str::<WalkProgress>(progress).map_or(true, |progress| progress.is_about_money())
        };
        Ok(Self { at: walks.iter().filter(about_money).map(|(_, at)| *at).collect(), read_from })
    }

    /// When the newest after that time was found. Walks that were not read count as found.
    pub(super) fn since(&self, at: Timestamp) -> Option<Timestamp> {
        let newest = self.at.first().copied().filter(|found| *found > at);
        newest.or_else(|| self.read_from.filter(|from| *from > at))
    }
}

impl Known {
    pub(super) async fn read(reader: &Reader, config: &Config) -> Result<Self, LedgerError> {
        let now = Timestamp::now();
        let tenant = tenant_of(config);
        let found = reader.identified(None).await?;
        let first_new_create_at = reader.first_new_create_at().await?;
        let from_first_create = match first_new_create_at {
            Some(first) => reader.clean_from(tenant, first).await?,
            None => Vec::new(),
        };
        let acceptance = reader.acceptance().await?;
        let modes = reader.modes_on_record(tenant).await?;
        let all_on_new = all_on_new_since(modes.as_ref(), acceptance.by_operator);
        let (full_walk, open_on_legacy) =
            FullWalk::read(reader, tenant, all_on_new.unwrap_or(Timestamp::UNIX_EPOCH)).await?;
        // As long as a create may take to become a record that a list shows.
        let unresolved_before = now - config.timeouts.create - LAG;
        Ok(Self {
            now,
            id: found.id,
            is_open: found.is_open,
            begun: reader.begun().await?,
            report: reader.newest_evidence(tenant, EvidenceKind::Report).await?,
            clean: reader.newest_clean(tenant).await?,
            from_first_create,
            over_retry_window: reader.clean_from(tenant, now - walked_window(config)).await?,
            replicas: reader.fresh_replicas(FRESH).await?,
            first_new_create_at,
            unresolved: reader.unresolved(tenant, unresolved_before).await?,
            unresolved_before,
            money_found: MoneyFound::read(reader, tenant).await?,
            trip: reader.trip().await?,
            hold: reader.hold().await?,
            accepted_at: acceptance.last,
            accepted_by_operator_at: acceptance.by_operator,
            hosts_at: acceptance.hosts,
            newest_claim_at: reader.newest_claim_at(tenant).await?,
            full_walk,
            open_on_legacy,
            modes,
            usage: reader.blocking_since(tenant, now - config.gate.retry_window).await?,
            drift: reader.drift(tenant).await?,
            recent_on_legacy: reader.recent(Side::Legacy, now - config.gate.retry_window).await?,
        })
    }

    /// Since when all creates go to the new API, as far as the ledger has kept it.
    pub(super) fn all_on_new_since(&self) -> Option<Timestamp> {
        all_on_new_since(self.modes.as_ref(), self.accepted_by_operator_at)
    }
}

/// A restored ledger says again what it said before, whatever was in force in between.
fn all_on_new_since(modes: Option<&(String, Timestamp)>, accepted: Option<Timestamp>) -> Option<Timestamp> {
    let all_on_new = |text: &str| modes_of(text).is_some_and(|modes| modes.create == Mode::New);
    let (_, since) = modes.filter(|(modes, _)| all_on_new(modes))?;
    Some(accepted.map_or(*since, |accepted| accepted.max(*since)))
}
