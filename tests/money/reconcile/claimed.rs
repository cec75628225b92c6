//! A side was walked only if every reference that its list shows has a claim: whatever is known about mirrors, whatever is walked, and
//! whatever became of the reference before.

use conversion_shim::ledger::{ClaimState, Fingerprint, Key, OperatorReason, WalkKind};
use conversion_shim::reconcile::{Sides, WalkContext, WalkOptions, walk};
use conversion_shim::translate::facts::{Facts, Mirror};
use conversion_shim::translate::side::Side;

use super::listed::ListedRecords;
use super::{Bed, at, everything};

const MIRRORS: [Mirror; 4] = [Mirror::Unknown, Mirror::SameId, Mirror::OtherId, Mirror::No];
const REFS: [&str; 6] = ["shown twice", "double", "refused twice", "refused double", "native", "only here"];

/// References that both sides list, at one instant or apart, with no claim, a refused one, or a record of a native create.
fn listed() -> ListedRecords {
    let mut listed = ListedRecords::default();
    for (number, ref_id) in (1_i64..).zip(REFS) {
        let apart = if ref_id.ends_with("double") { 5000 } else { 0 };
        listed.add(Side::Legacy, ref_id, &format!("l{number}"), at(number));
        if ref_id != "only here" {
            listed.add(Side::New, ref_id, &format!("n{number}"), at(number + apart));
        }
    }
    listed.close()
}

async fn prepare(bed: &Bed, tenant: &str) {
    for ref_id in REFS.into_iter().filter(|ref_id| ref_id.starts_with("refused")) {
        let key = Key::new(tenant, ref_id).unwrap();
        let claim = bed.ledger.claim(key, Side::Legacy, &Fingerprint([1; 32])).await.unwrap().claim;
        bed.ledger.close(key, claim.generation, Side::Legacy).await.unwrap();
    }
    bed.ledger.record_native(Key::new(tenant, "native").unwrap()).await.unwrap();
}

/// Walks, and returns which references of a side that counts as walked have no claim.
async fn unclaimed(bed: &Bed, tenant: &str, facts: Facts, options: WalkOptions) -> Vec<(Side, &'static str)> {
    let listed = listed();
    let context = WalkContext { tenant, facts, ..bed.context(&listed) };
    let kind = options.kind;
    walk(context, options).await.unwrap();
    let mut missing = Vec::new();
    for stands in bed.ledger.reader().completeness(tenant).await.unwrap() {
        for ref_id in REFS {
            let claim = bed.ledger.reader().claim_by_ref(Key::new(tenant, ref_id).unwrap()).await.unwrap();
            let has_claim = claim.is_some_and(|claim| claim.state != ClaimState::Refused);
            // A native create is on record beside the claims, and a create with its reference looks on new whatever is complete.
            let is_native = ref_id == "native" && stands.side == Side::New && kind == WalkKind::Reconcile;
            let is_there = ref_id != "only here" || stands.side == Side::Legacy;
            if stands.walked_to.is_some() && is_there && !has_claim && !is_native {
                missing.push((stands.side, ref_id));
            }
        }
    }
    missing
}

#[tokio::test]
async fn no_walk_passes_a_reference_that_has_no_claim() {
    for (bed, all) in Bed::each().await.into_iter().zip([true, false]) {
        let mut walks = 0;
        for (mirror, mirror_back) in
            MIRRORS.into_iter().flat_map(|mirror| MIRRORS.map(|mirror_back| (mirror, mirror_back)))
        {
            if !all && mirror != mirror_back {
                continue;
            }
            let facts = Facts { mirror, mirror_back, ..Facts::default() };
            for kind in [WalkKind::Backfill, WalkKind::Reconcile] {
                for sides in [Sides::Both, Sides::Only(Side::Legacy), Sides::Only(Side::New)] {
                    for may_claim_new in [true, false] {
                        walks += 1;
                        let tenant = format!("tenant {walks}");
                        prepare(&bed, &tenant).await;
                        let options = WalkOptions { sides, may_claim_new, limit: 2, ..everything(kind) };
                        let missing = unclaimed(&bed, &tenant, facts, options).await;
                        assert_eq!(missing, [], "{facts:?} {kind:?} {sides:?} {may_claim_new}");
                        // The double holds creates of every tenant.
                        let reason = OperatorReason { operator: "test".into(), why: "planted".into() };
                        bed.ledger.reset_trip(reason).await.unwrap();
                    }
                }
            }
        }
    }
}
