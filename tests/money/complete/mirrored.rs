//! A vendor each of whose APIs lists what the other one made: nothing shows which side made a record that is older than the ledger.

use conversion_shim::sandbox::Operation;
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};

use super::Bed;
use crate::support::postgres::Postgres;
use crate::support::test_bed::{new_record, old_record};

const BOTH_KNOWN: &str = "facts.mirror = \"other_id\"\nfacts.mirror_back = \"other_id\"";
const ONE_KNOWN: &str = "facts.mirror_back = \"other_id\"";

async fn beds(facts: &str) -> Vec<Bed> {
    let stage = format!("stage = \"live\"\nfacts.ref_match = \"exact\"\n{facts}");
    let mut beds = vec![Bed::on(None, &stage).await];
    if let Some(postgres) = Postgres::shared() {
        beds.push(Bed::on(Some(postgres.fresh_database()), &stage).await);
    }
    beds
}

impl Bed {
    /// A conversion that both sides list, under an id of each.
    fn seed_on_both(&self, ref_id: &str, minutes_ago: i64) {
        let made = (Timestamp::now() - SignedDuration::from_mins(minutes_ago)).to_string();
        self.vendor.inspector().seed_conversion(old_record(ref_id, &made));
        self.vendor.inspector().seed_orchestration(new_record(ref_id, &made));
    }
}

/// The sandbox knows the reference of a mirror as its own, which a real mirror is not: what counts is that nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_both_sides_list_is_not_converted_once_a_side_is_complete() {
    for facts in [BOTH_KNOWN, ONE_KNOWN] {
        for mut bed in beds(facts).await {
            bed.start().await;
            // A start holds creates for what new shows and the ledger does not know.
            bed.seed_on_both("old", 90);
            bed.complete().await;
            let sent = || {
                [Side::Legacy, Side::New].map(|side| bed.vendor.inspector().arrived(side, Operation::Create))
            };
            let before = sent();
            let answer = bed.caller().create("old").await;
            assert_eq!((answer.status, sent()), (409, before), "{facts}: {:?}", answer.body);
        }
    }
}

/// Before the ledger is open for new no claim may name it, and a claim for the old side could be sent there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_side_whose_rows_could_not_be_claimed_was_not_walked() {
    let mut bed = beds(BOTH_KNOWN).await.remove(0);
    bed.change("DELETE FROM conversion_marks").await;
    bed.named = bed.named.replace("new_in_use = true", "new_in_use = false");
    bed.write(&format!("stage = \"observe\"\n{BOTH_KNOWN}"));
    bed.seed_on_both("old", 90);
    bed.start().await;
    let ran = bed.order(&["ledger", "backfill", "--rate", "50"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.row("left unclaimed").trim(), "1 on legacy, 0 on new", "{ran:?}");
    let found = bed.stands("legacy").await;
    assert!(found["walked_to"].is_null(), "{found}");
}

/// What was walked under another fact was not judged as this one demands.
#[tokio::test(flavor = "multi_thread")]
async fn another_fact_about_mirrors_ends_it_until_a_walk_from_the_first_record_on() {
    for mut bed in beds("").await {
        bed.start().await;
        bed.complete().await;
        bed.write(&format!("stage = \"live\"\nfacts.ref_match = \"exact\"\n{BOTH_KNOWN}"));
        bed.replicas[0].0.logged("config reloaded").await;
        let found = bed.stands("legacy").await;
        assert_eq!((&found["complete"], found["walked_to"].is_null()), (&false.into(), true), "{found}");
        assert!(found["missing"].as_str().unwrap().contains("facts about mirrors"), "{found}");
        assert!(bed.looks(Side::Legacy, "reloaded").await);
        bed.complete().await;
        assert!(!bed.looks(Side::Legacy, "again").await);
        // A start with another one ends it as well, though no reload saw it.
        bed.replicas.clear();
        bed.write("stage = \"live\"\nfacts.ref_match = \"exact\"");
        bed.start().await;
        let found = bed.stands("new").await;
        assert!(found["walked_to"].is_null(), "{found}");
    }
}
