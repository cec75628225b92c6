//! Worlds in which one side lists what the other one made: no walk gives a mirror the claim that its original should have.

use conversion_shim::ledger::{Claim, ClaimState, Fingerprint, Key, Ledger, Settings, WalkKind};
use conversion_shim::reconcile::{FindingKind, Sides, WalkContext, WalkOptions, WalkResult, walk};
use conversion_shim::sandbox::Operation;
use conversion_shim::translate::facts::{Facts, Mirror};
use conversion_shim::translate::side::Side;
use http::Method;

use super::listed::ListedRecords;
use super::over_http::LOOKUP;
use super::{Bed, TENANT, at, everything, found};
use crate::identity::Deployment;
use crate::support::process::run;
use crate::support::test_bed::{new_record, old_record};
use crate::what_broke::ORCHESTRATIONS;

const MADE: &str = "2026-03-01T00:00:00Z";

async fn walk_with(bed: &Bed, listed: &ListedRecords, facts: Facts, options: WalkOptions) -> WalkResult {
    walk(WalkContext { facts, ..bed.context(listed) }, options).await.unwrap()
}

async fn claim(bed: &Bed, ref_id: &str) -> Option<Claim> {
    bed.ledger.reader().claim_by_ref(Key::new(TENANT, ref_id).unwrap()).await.unwrap()
}

fn mirrors_back(mirror_back: Mirror) -> Facts {
    Facts { mirror_back, ..Facts::default() }
}

fn each_kind() -> [WalkOptions; 3] {
    let only = Sides::Only(Side::Legacy);
    [
        WalkOptions { sides: only, ..everything(WalkKind::Backfill) },
        everything(WalkKind::Backfill),
        everything(WalkKind::Reconcile),
    ]
}

/// A checked legacy claim would let the next legacy create of that reference go out unchecked.
#[tokio::test]
async fn a_row_of_legacy_that_mirrors_a_native_record_gets_no_legacy_claim() {
    for (mirror_back, options) in [Mirror::Unknown, Mirror::SameId, Mirror::OtherId]
        .into_iter()
        .flat_map(|fact| each_kind().map(|options| (fact, options)))
    {
        let bed = Bed::sqlite().await;
        for ref_id in ["native", "crashed", "only legacy"] {
            bed.ledger.record_native(Key::new(TENANT, ref_id).unwrap()).await.unwrap();
        }
        // Its process was killed before it looked on new.
        let crashed = Key::new(TENANT, "crashed").unwrap();
        bed.ledger.claim(crashed, Side::Legacy, &Fingerprint([1; 32])).await.unwrap();
        let mut listed = ListedRecords::default();
        for (number, ref_id) in [(1, "native"), (2, "crashed")] {
            listed.add(Side::New, ref_id, &format!("n{number}"), at(number));
            listed.add(Side::Legacy, ref_id, &format!("l{number}"), at(number));
        }
        listed.add(Side::Legacy, "only legacy", "l3", at(3));
        listed.add(Side::Legacy, "ordinary", "l4", at(4));
        let listed = listed.close();
        walk_with(&bed, &listed, mirrors_back(mirror_back), options.clone()).await;
        let legacy = async |ref_id| claim(&bed, ref_id).await.filter(|claim| claim.side == Side::Legacy);
        assert_eq!(legacy("native").await, None, "{mirror_back:?} {options:?}");
        let crashed = legacy("crashed").await.unwrap();
        assert_eq!(
            (crashed.state, crashed.record_id),
            (ClaimState::Claimed, None),
            "{mirror_back:?} {options:?}"
        );
        for (ref_id, id) in [("only legacy", "l3"), ("ordinary", "l4")] {
            let known = legacy(ref_id).await.unwrap();
            assert_eq!(
                (known.state, known.record_id.as_deref()),
                (ClaimState::Checked, Some(id)),
                "{ref_id}"
            );
        }
    }
}

/// A record that was made past this proxy.
#[tokio::test]
async fn where_legacy_is_known_to_mirror_every_unclaimed_row_is_looked_up_on_new() {
    for options in each_kind() {
        let bed = Bed::sqlite().await;
        let mut listed = ListedRecords::default();
        listed.add(Side::New, "r", "n1", at(1));
        listed.add(Side::Legacy, "r", "l1", at(1));
        let listed = listed.close();
        walk_with(&bed, &listed, mirrors_back(Mirror::OtherId), options).await;
        assert_ne!(claim(&bed, "r").await.map(|claim| claim.side), Some(Side::Legacy));
    }
}

#[tokio::test]
async fn a_backfill_does_not_make_a_native_reference_convert_on_legacy() {
    for facts in ["", "facts.mirror_back = \"other_id\""] {
        let deployment = Deployment::new().await;
        deployment.write(&format!("stage = \"observe\"\n{LOOKUP}\n{facts}"));
        deployment.vendor.inspector().seed_orchestration(new_record("r", MADE));
        deployment.vendor.inspector().seed_conversion(old_record("r", MADE));
        let (replica, caller) = deployment.serve().await;
        // Recorded as a native create before it is forwarded, whatever becomes of it.
        let native = new_record("r", MADE).to_string();
        caller.ask(Method::POST, ORCHESTRATIONS, native).await;
        replica.kill();
        let ran = deployment.order(&["backfill", "--rate", "50", "--json"]).await;
        assert!(matches!(ran.code, Some(0 | 6)), "{ran:?}");
        let (replica, caller) = deployment.serve().await;
        caller.create("r").await.problem(409);
        replica.kill();
        assert_eq!(deployment.vendor.inspector().arrived(Side::Legacy, Operation::Create), 0, "{facts}");
    }
}

/// The claim was refused, and the side that really made the record is the one that must get it.
#[tokio::test]
async fn a_refused_claim_becomes_the_side_that_made_the_record_though_the_other_one_mirrors_it() {
    for (facts, maker) in [
        (Facts { mirror: Mirror::OtherId, ..Facts::default() }, Side::Legacy),
        (Facts { mirror: Mirror::SameId, mirror_back: Mirror::No, ..Facts::default() }, Side::Legacy),
        (mirrors_back(Mirror::OtherId), Side::New),
        // Nobody can tell which side made it, and a record on new is never sent again.
        (Facts { mirror: Mirror::OtherId, mirror_back: Mirror::OtherId, ..Facts::default() }, Side::New),
    ] {
        for kind in [WalkKind::Backfill, WalkKind::Reconcile] {
            let bed = Bed::sqlite().await;
            let key = Key::new(TENANT, "r").unwrap();
            let made = bed.ledger.claim(key, Side::Legacy, &Fingerprint([1; 32])).await.unwrap().claim;
            bed.ledger.close(key, made.generation, Side::Legacy).await.unwrap();
            let mut listed = ListedRecords::default();
            listed.add(Side::Legacy, "r", "l1", at(1));
            listed.add(Side::New, "r", "n1", at(1));
            let listed = listed.close();
            let result = walk_with(&bed, &listed, facts, everything(kind)).await;
            let stands = claim(&bed, "r").await.unwrap();
            assert_eq!((stands.side, stands.state), (maker, ClaimState::Checked), "{facts:?}");
            let id = if maker == Side::Legacy { "l1" } else { "n1" };
            assert_eq!(stands.record_id.as_deref(), Some(id));
            if kind == WalkKind::Reconcile {
                assert!(found(&result).contains_key(&FindingKind::Unclaimed), "{:?}", result.findings);
            }
        }
    }
}

#[tokio::test]
async fn a_refused_reference_that_new_mirrors_is_not_converted_again_once_sealed() {
    for command in [&["ledger", "backfill"][..], &["reconcile"]] {
        let deployment = Deployment::new().await;
        let named = deployment.open_for_new().await;
        let facts = "facts.mirror = \"other_id\"";
        let stage = |stage| deployment.write(&format!("{named}\nstage = \"{stage}\"\n{LOOKUP}\n{facts}"));
        stage("ready");
        let url = format!("sqlite:{}", deployment.ledger().display());
        let ledger = Ledger::open_beside(&Settings::new(&url)).await.unwrap();
        let key = Key::new("default", "r").unwrap();
        let made = ledger.claim(key, Side::Legacy, &Fingerprint([1; 32])).await.unwrap().claim;
        ledger.close(key, made.generation, Side::Legacy).await.unwrap();
        ledger.shutdown().await;
        deployment.vendor.inspector().seed_conversion(old_record("r", MADE));
        deployment.vendor.inspector().seed_orchestration(new_record("r", MADE));
        let config = deployment.config();
        let all = [command, &["--rate", "50", "--config", config.to_str().unwrap()]].concat();
        let ran = run(&all).await;
        assert!(matches!(ran.code, Some(0 | 6)), "{ran:?}");
        stage("sealed");
        let (replica, caller) = deployment.serve().await;
        let answer = caller.create("r").await;
        assert_eq!(answer.status, 409, "{answer:?}");
        replica.kill();
        assert_eq!(deployment.vendor.inspector().arrived(Side::New, Operation::Create), 0);
    }
}
