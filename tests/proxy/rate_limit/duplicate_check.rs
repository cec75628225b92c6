//! Duplicate checks and the rate limit: they have a share of their own, and when even that is spent nothing is sent.

use conversion_shim::translate::side::Side;

use super::{shown, until_refused};
use crate::support::test_bed::{TestBed, one_on};

#[tokio::test]
async fn the_duplicate_check_keeps_its_share_during_a_storm_of_lists() {
    for share in ["0.5", "0"] {
        let keys = [
            ("stage", "live"),
            ("budget.per_second", "2"),
            ("budget.wait_max", "0s"),
            ("budget.lookup_share", share),
        ];
        let bed = TestBed::with(&keys).await;
        until_refused(async || bed.client.list("limit=5").await).await;
        let creates = [bed.client.create("r1").await, bed.client.create("r2").await];
        for (answer, ref_id) in creates.iter().zip(["r1", "r2"]) {
            if share == "0" {
                // Nothing is kept, so the lists took all. (A call that has flowed in since is no wonder.)
                assert!([503, 200].contains(&answer.status), "{answer:?}");
            } else {
                answer.id();
                assert_eq!(bed.made(ref_id), one_on(Side::New));
            }
        }
        assert_eq!(creates.iter().all(|answer| answer.status == 200), share != "0");
    }
}

#[tokio::test]
async fn a_duplicate_check_without_budget_fails_and_nothing_is_sent() {
    let keys = [("stage", "live"), ("budget.per_second", "1"), ("budget.wait_max", "0s")];
    let bed = TestBed::with(&keys).await;
    let mut blind = Vec::new();
    for at in 0..20 {
        let ref_id = format!("r{at}");
        let answer = bed.client.create(&ref_id).await;
        if answer.status == 200 {
            continue;
        }
        // The looks are spent before the creates are: five at the beginning, against six.
        let problem = answer.problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        blind.push(ref_id);
    }
    assert!(blind.len() > 3, "{blind:?}");
    assert_eq!(bed.posts(Side::New), 20 - blind.len() as u64);
    assert!(shown(&bed.proxy, "legacy list").refused >= blind.len() as u64);
    bed.go(&[("stage", "live"), ("budget.per_second", "10000")]).await;
    for ref_id in blind {
        bed.client.create(&ref_id).await.id();
        assert_eq!(bed.made(&ref_id), one_on(Side::New));
    }
}
