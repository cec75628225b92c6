//! What the ledger says that a gate asks about.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::ledger::{
    DriftRow, EvidenceKind, EvidenceRow, LedgerError, Reader, Recent, ReplicaRow, Trip, UsageOnRecord,
    WalkRow, WalkState,
};
use crate::reconcile::{FindingKind, LAG, WalkProgress};
use crate::translate::side::Side;

/// Longer than any cutover.
const EVER: Duration = Duration::from_secs(10_000 * 24 * 60 * 60);
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
    pub(super) reconcile: Option<EvidenceRow>,
    pub(super) replicas: Vec<ReplicaRow>,
    pub(super) first_new_create_at: Option<Timestamp>,
    /// Claims with an open attempt that the newest finished walk left open; `None`: no walk has finished.
    pub(super) left_open: Option<u64>,
    /// When the newest reconcile with findings ended, if one of them is about money; over any window.
    pub(super) money_found_at: Option<Timestamp>,
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

impl Known {
    pub(super) async fn read(reader: &Reader, config: &Config) -> Result<Self, LedgerError> {
        let now = Timestamp::now();
        let tenant = config.ledger.as_ref().map_or("", |ledger| ledger.tenant.as_str());
        let found = reader.identified(None).await?;
        Ok(Self {
            now,
            id: found.id,
            is_open: found.is_open,
            begun: reader.begun().await?,
            report: reader.newest_evidence(tenant, EvidenceKind::Report).await?,
            reconcile: reader.newest_evidence(tenant, EvidenceKind::Reconcile).await?,
            replicas: reader.replicas_since(now - FRESH).await?,
            first_new_create_at: reader.first_new_create_at().await?,
            left_open: left_open(reader, config).await?,
            money_found_at: money_found_at(reader, tenant).await?,
            trip: reader.trip().await?,
            modes: reader.modes_on_record().await?,
            usage: reader.blocking_since(tenant, now - config.gate.retry_window).await?,
            drift: reader.drift(tenant).await?,
            recent_on_legacy: reader.recent(Side::Legacy, now - config.gate.retry_window).await?,
        })
    }
}

async fn left_open(reader: &Reader, config: &Config) -> Result<Option<u64>, LedgerError> {
    let tenant = config.ledger.as_ref().map_or("", |ledger| ledger.tenant.as_str());
    let mut newest = None;
    for state in [WalkState::Clean, WalkState::Findings] {
        let walk = reader.newest_whole_walk(tenant, state, config.reconcile.window, LAG * 2).await?;
        newest = newest.into_iter().chain(walk).max_by_key(|walk| walk.updated_at);
    }
    let Some(walk) = newest else { return Ok(None) };
    let progress = serde_json::from_str::<WalkProgress>(&walk.progress);
    Ok(progress.ok().map(|progress| progress.found(FindingKind::Unresolved)))
}

async fn money_found_at(reader: &Reader, tenant: &str) -> Result<Option<Timestamp>, LedgerError> {
    let walk = reader.newest_whole_walk(tenant, WalkState::Findings, Duration::ZERO, EVER).await?;
    let about_money = |walk: &WalkRow| {
        // What cannot be read may be about money.
        serde_json::from_str::<WalkProgress>(&walk.progress)
            .map_or(true, |progress| progress.is_about_money())
    };
    Ok(walk.filter(about_money).map(|walk| walk.updated_at))
}
