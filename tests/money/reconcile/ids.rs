//! Rows without a reference are joined by id, and every finding about money is read a second time.

use conversion_shim::ledger::WalkKind;
use conversion_shim::reconcile::{
    FindingKind, PageCall, RecordSource, WalkContext, WalkError, WalkLookup, WalkOptions, walk,
};
use conversion_shim::translate::evidence::{WalkPage, WalkedRecord};
use conversion_shim::translate::facts::{Facts, Mirror};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use super::listed::ListedRecords;
use super::over_http::{deployment, reconcile};
use super::{Bed, TENANT, at, everything, found};
use crate::support::test_bed::{new_record, old_record};

const ID: &str = "11111111-1111-4111-8111-111111111111";
const MADE: &str = "2026-03-01T00:00:00Z";

fn without_reference(mut record: Value) -> Value {
    record.as_object_mut().unwrap().remove("ref_id");
    record["id"] = ID.into();
    record
}

#[tokio::test]
async fn rows_without_a_reference_are_joined_by_id() {
    for facts in ["", "facts.mirror = \"same_id\"", "facts.mirror_back = \"same_id\""] {
        for (amount, kind, code) in [("1.50", "mirrored", 0), ("999.00", "mismatch", 6)] {
            let deployment = deployment(facts).await;
            let inspector = deployment.vendor.inspector();
            inspector.seed_conversion(without_reference(old_record("", MADE)));
            let mut new = without_reference(new_record("", MADE));
            new["source_amount"] = amount.into();
            inspector.seed_orchestration(new);
            let ran = reconcile(&deployment, &["--format", "json"]).await;
            let told = ran.json();
            assert_eq!(told["without_ref_id"], 2, "{told}");
            assert_eq!((&told["found"][kind], ran.code), (&json!(1), Some(code)), "{facts}: {told}");
        }
    }
}

/// Lists show a pair of mirrors, and a read by id does not find one of them.
struct Gone(ListedRecords, Side);

impl RecordSource for Gone {
    async fn page(&self, call: &PageCall<'_>) -> Result<WalkPage, WalkError> {
        self.0.page(call).await
    }
    async fn by_ref(&self, side: Side, ref_id: &str) -> Result<WalkLookup, WalkError> {
        self.0.by_ref(side, ref_id).await
    }
    async fn by_id(&self, side: Side, id: &str) -> Result<Option<WalkedRecord>, WalkError> {
        if side == self.1 { Ok(None) } else { self.0.by_id(side, id).await }
    }
}

#[tokio::test]
async fn a_claim_for_a_side_that_only_mirrors_is_read_again_before_it_is_reported() {
    let facts = Facts { mirror: Mirror::OtherId, mirror_back: Mirror::No, ..Facts::default() };
    for gone in [Some(Side::Legacy), Some(Side::New), None] {
        let bed = Bed::sqlite().await;
        bed.known(Side::New, &[("r".into(), "n1".into(), at(1))]).await;
        let mut listed = ListedRecords::default();
        listed.add(Side::Legacy, "r", "l1", at(1));
        listed.add(Side::New, "r", "n1", at(1));
        let listed = listed.close();
        let options = everything(WalkKind::Reconcile);
        match gone {
            Some(side) => {
                let source = Gone(listed, side);
                let walked = walk(WalkContext { facts, ..bed.context(&source) }, options).await;
                assert!(matches!(walked, Err(WalkError::Inconsistent { .. })), "{side}: {walked:?}");
            }
            None => {
                let result = walk(WalkContext { facts, ..bed.context(&listed) }, options).await.unwrap();
                assert!(found(&result)[&FindingKind::WrongSide].contains("r"));
            }
        }
    }
}

/// A walk that was stopped under other facts judged its rows by them.
#[tokio::test]
async fn a_walk_is_not_resumed_under_other_facts() {
    let mirrors = Facts { mirror: Mirror::OtherId, ..Facts::default() };
    for (before, after, by, resumes) in [
        (Facts::default(), Facts::default(), ["a", "a"], true),
        (Facts::default(), mirrors, ["a", "a"], false),
        (mirrors, Facts::default(), ["a", "a"], false),
        (mirrors, mirrors, ["a", "b"], false),
    ] {
        let bed = Bed::sqlite().await;
        let mut listed = ListedRecords { fails_at: 6, ..ListedRecords::default() };
        for number in 0..12 {
            listed.add(Side::Legacy, &format!("r{number}"), &format!("id{number}"), at(number * 900));
        }
        let mut listed = listed.close();
        let options = |judged_by: &str| WalkOptions {
            limit: 3,
            judged_by: judged_by.into(),
            ..everything(WalkKind::Reconcile)
        };
        let context = WalkContext { facts: before, ..bed.context(&listed) };
        walk(context, options(by[0])).await.unwrap_err();
        listed.fails_at = 0;
        let context = WalkContext { facts: after, tenant: TENANT, ..bed.context(&listed) };
        let result = walk(context, options(by[1])).await.unwrap();
        assert_eq!(result.resumed, resumes, "{before:?} {after:?} {by:?}");
    }
}
