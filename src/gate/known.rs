//! What the ledger says that a gate asks about.

use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::ledger::{
    DriftRow, EvidenceKind, EvidenceRow, LedgerError, Reader, Recent, ReplicaRow, Trip, UsageOnRecord,
};
use crate::reconcile::{FindingKind, LAG, WalkProgress};
use crate::translate::side::Side;

/// A replica without a heartbeat for so long does not report.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

pub(super) struct Known {
    pub(super) now: Timestamp,
    /// The id of the ledger, if it has one.
    pub(super) id: Option<String>,
    /// Whether `ledger open-new` ran.
    pub(super) is_open: bool,
    /// When its tables were made.
    pub(super) begun: Option<Timestamp>,
    pub(super) report: Option<EvidenceRow>,
    /// The newest clean walk, whatever its window.
    pub(super) reconcile: Option<EvidenceRow>,
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
    /// The modes on record, and since when.
    pub(super) modes: Option<(String, Timestamp)>,
    /// Claims on the old API within the retry window.
    pub(super) recent_on_legacy: Recent,
    /// Clients that used what blocks the end of the old API within the retry window.
    pub(super) usage: UsageOnRecord,
    /// What any replica read in the vendor's answers and did not know.
    pub(super) drift: Vec<DriftRow>,
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
        let tenant = config.ledger.as_ref().map_or("", |ledger| ledger.tenant.as_str());
        let found = reader.identified(None).await?;
        let first_new_create_at = reader.first_new_create_at().await?;
        let from_first_create = match first_new_create_at {
            Some(first) => reader.clean_from(tenant, first).await?,
            None => Vec::new(),
        };
        // As long as a create may take to become a record that a list shows.
        let unresolved_before = now - config.timeouts.create - LAG;
        Ok(Self {
            now,
            id: found.id,
            is_open: found.is_open,
            begun: reader.begun().await?,
            report: reader.newest_evidence(tenant, EvidenceKind::Report).await?,
            reconcile: reader.newest_evidence(tenant, EvidenceKind::Reconcile).await?,
            from_first_create,
            over_retry_window: reader.clean_from(tenant, now - config.gate.retry_window).await?,
            replicas: reader.replicas_since(now - FRESH).await?,
            first_new_create_at,
            unresolved: reader.unresolved(tenant, unresolved_before).await?,
            unresolved_before,
            money_found: MoneyFound::read(reader, tenant).await?,
            trip: reader.trip().await?,
            modes: reader.modes_on_record().await?,
            usage: reader.blocking_since(tenant, now - config.gate.retry_window).await?,
            drift: reader.drift(tenant).await?,
            recent_on_legacy: reader.recent(Side::Legacy, now - config.gate.retry_window).await?,
        })
    }
}
