//! What the ledger says for the status: its state, and the newest rows of its audit.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::documents::{
    AuditDocument, ClientRecordDocument, CompletenessDocument, LedgerDocument, TripDocument,
    UsageRecordDocument,
};
use super::view::View;
use crate::config::{self, Config, LedgerKind};
use crate::ledger::{AuditRow, ClientOnRecord, Health, Ledger, Reader, Trip, TripState, WalkRow, WalkState};
use crate::reconcile::{FindingKind, WalkProgress};

/// Rows of the audit in the status.
const AUDIT_SHOWN: u32 = 20;

impl View {
    pub(super) async fn ledger(&self, settings: &config::LedgerSection, ledger: &Ledger) -> LedgerDocument {
        let first_new_create_at = self.first_new_create_at(ledger).await;
        // After the query, which may itself find the ledger down.
        let (health, down_since, error) = match ledger.health() {
            Health::Ready => ("ready", None, None),
            Health::Down { since, why } => ("down", Some(since.to_string()), Some(why.to_string())),
        };
        let kind = match settings.kind {
            LedgerKind::Sqlite => "sqlite",
            LedgerKind::Postgres => "postgres",
        };
        LedgerDocument {
            kind: kind.into(),
            tenant: settings.tenant.clone(),
            health: health.into(),
            down_since,
            error,
            completeness: self.completeness(settings, ledger).await,
            created_on_new: first_new_create_at.map(|since| since.is_some()),
            first_new_create_at: first_new_create_at.flatten().map(|since| since.to_string()),
        }
    }

    async fn completeness(
        &self,
        settings: &config::LedgerSection,
        ledger: &Ledger,
    ) -> BTreeMap<String, CompletenessDocument> {
        if !ledger.health().is_ready() {
            return BTreeMap::new();
        }
        let sides = ledger.reader().completeness(&settings.tenant).await.unwrap_or_default();
        CompletenessDocument::of(&sides, &self.app().config.load())
    }

    /// When a create first went to the new API; outer `None` if the ledger does not answer.
    async fn first_new_create_at(&self, ledger: &Ledger) -> Option<Option<Timestamp>> {
        let mut known = self.first_new_create_at.lock().await;
        if known.is_none() {
            // A query would only wait for the whole timeout.
            if !ledger.health().is_ready() {
                return None;
            }
            *known = ledger.reader().first_new_create_at().await.ok()?;
        }
        Some(*known)
    }

    /// `None` without a ledger.
    pub(super) async fn trip(&self, config: &Config) -> Option<TripDocument> {
        let ledger = self.app().services.ledger.as_ref()?;
        let state = ledger.trip_state();
        let tenant = config.ledger.as_ref().map_or("", |settings| settings.tenant.as_str());
        let doubles = if ledger.health().is_ready() { doubles(ledger.reader(), tenant).await } else { None };
        let (state, trip) = match state {
            TripState::Unknown => ("unknown", None),
            TripState::Clear => ("clear", None),
            TripState::Set(trip) => ("set", Some(trip)),
        };
        let trips = trip.iter().flat_map(Trip::reasons).map(str::to_owned).collect();
        let total = trip.as_ref().map(|trip| trip.total);
        let (since, why) = trip.map(|trip| (trip.since.to_string(), trip.why)).unzip();
        Some(TripDocument { state: state.into(), since, why, total, trips, doubles })
    }

    /// The clients that the ledger keeps; `None` without a ledger, and while it does not answer.
    pub(super) async fn usage_on_record(&self, config: &Config) -> Option<UsageRecordDocument> {
        let settings = config.ledger.as_ref()?;
        let ledger = self.app().services.ledger.as_ref().filter(|ledger| ledger.health().is_ready())?;
        let (since, clients) = ledger.reader().usage(&settings.tenant).await.ok().flatten()?;
        Some(UsageRecordDocument {
            since: since.to_string(),
            clients: clients.into_iter().map(client_document).collect(),
        })
    }

    /// The newest rows of the audit; none while the ledger does not answer.
    pub(super) async fn audit(&self) -> Vec<AuditDocument> {
        let Some(ledger) = self.app().services.ledger.as_ref().filter(|ledger| ledger.health().is_ready())
        else {
            return Vec::new();
        };
        let rows = ledger.reader().newest_decisions(AUDIT_SHOWN).await.unwrap_or_default();
        rows.into_iter().map(audit_document).collect()
    }
}

/// Confirmed doubles of the newest finished reconcile over both sides, whatever its window and whoever ran it, and of every walk that ended
/// since. Without such a reconcile only doubles are known, never that there are none.
async fn doubles(reader: &Reader, tenant: &str) -> Option<u64> {
    let mut newest: Option<WalkRow> = None;
    for state in [WalkState::Clean, WalkState::Findings] {
        let walk = reader.newest_whole_walk(tenant, state, Duration::ZERO, Duration::MAX).await.ok()?;
        newest = newest.into_iter().chain(walk).max_by_key(|walk| walk.updated_at);
    }
    let Some(newest) = newest else {
        let found = reader.doubles_since(tenant, Timestamp::UNIX_EPOCH).await.ok()?;
        return Some(found).filter(|found| *found > 0);
    };
    let progress: WalkProgress = serde_json::from_str(&newest.progress).ok()?;
    // Findings are kept up to a number, and counted all.
    let found = reader.doubles_since(tenant, newest.updated_at).await.ok()?;
    Some(found.max(progress.found(FindingKind::Double)))
}

fn client_document(row: ClientOnRecord) -> ClientRecordDocument {
    let ClientOnRecord { client, last_seen, blockers } = row;
    let blocked = blockers.first().map(|(_, at)| at.to_string());
    let blocking = blockers.iter().map(|(name, at)| (name.clone(), at.to_string())).collect();
    let blockers = blockers.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    ClientRecordDocument { client, last_seen: last_seen.to_string(), blocked, blockers, blocking }
}

fn audit_document(row: AuditRow) -> AuditDocument {
    let AuditRow { at, process: _, operator, kind, subject, reason, before, after } = row;
    AuditDocument { at: at.to_string(), kind, operator, subject, reason, before, after }
}
