//! Walks over the vendor's lists and their join with the ledger: every planted finding is found, and none is invented.

mod audited;
mod bounded;
mod bulk;
mod claimed;
mod commands;
mod evidence;
mod ids;
mod listed;
mod mirrors;
mod movements;
mod over_http;
mod reported;
mod serving;
mod tripping;
mod walking;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conversion_shim::ledger::{Identity, Ledger, OperatorReason, Settings, VendorRecord, WalkKind};
use conversion_shim::reconcile::{
    FindingKind, RecordSource, WalkAuthor, WalkContext, WalkError, WalkOptions, WalkResult, walk,
};
use conversion_shim::translate::facts::Facts;
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::support::postgres::Postgres;

const TENANT: &str = "tenant";

/// A ledger that is open for creates on new.
struct Bed {
    ledger: Ledger,
    url: String,
    _directory: TempDir,
}

impl Bed {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
        Self::open(url, directory).await
    }

    async fn postgres() -> Option<Self> {
        let url = Postgres::shared()?.fresh_database();
        Some(Self::open(url, tempfile::tempdir().unwrap()).await)
    }

    /// One on each database.
    async fn each() -> Vec<Self> {
        let mut beds = vec![Self::sqlite().await];
        beds.extend(Self::postgres().await);
        beds
    }

    async fn open(url: String, directory: TempDir) -> Self {
        let settings = Settings { timeout: Duration::from_secs(60), ..Settings::new(&url) };
        let ledger = Ledger::open(&settings).await.unwrap();
        let reason = OperatorReason { operator: "test".into(), why: "test".into() };
        ledger.init(reason.clone(), Identity::default()).await.unwrap();
        ledger.open_new(reason).await.unwrap();
        Self { ledger, url, _directory: directory }
    }

    /// Claims that know their records and have no open attempt.
    async fn known(&self, side: Side, records: &[(String, String, Timestamp)]) {
        for batch in records.chunks(1000) {
            let records = batch.iter().map(|(ref_id, record_id, at)| VendorRecord {
                ref_id: ref_id.clone(),
                record_id: record_id.clone(),
                created_at: *at,
            });
            let made = self.ledger.adopt(TENANT, side, records.collect()).await.unwrap();
            assert_eq!(made.len(), batch.len());
        }
    }

    async fn walk<S: RecordSource>(&self, source: &S, options: WalkOptions) -> Result<WalkResult, WalkError> {
        walk(self.context(source), options).await
    }

    fn context<'a, S>(&'a self, source: &'a S) -> WalkContext<'a, S> {
        WalkContext {
            source,
            reader: self.ledger.reader(),
            ledger: Some(&self.ledger),
            lease: None,
            tenant: TENANT,
            author: WalkAuthor { config: "0123456789ab", operator: Some("ops") },
            facts: Facts::default(),
            report: None,
            observer: &|_| {},
        }
    }
}

/// A walk over everything, claims that were made just now included.
fn everything(kind: WalkKind) -> WalkOptions {
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    WalkOptions { may_claim_new: true, ..WalkOptions::new(kind, end) }
}

/// What was found: the subjects of each kind.
fn found(result: &WalkResult) -> BTreeMap<FindingKind, BTreeSet<String>> {
    let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for finding in &result.findings {
        let is_new = all.entry(finding.kind).or_default().insert(finding.subject().to_owned());
        assert!(is_new, "twice: {finding:?}");
    }
    for (kind, subjects) in &all {
        assert_eq!(result.progress.found(*kind), subjects.len() as u64, "{kind:?}");
    }
    all
}

/// A time some seconds after a fixed one.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + seconds).unwrap()
}
