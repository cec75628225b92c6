//! Below the budget nothing changes; past it calls wait, then are refused, and nothing was sent.

use std::time::Instant;

use conversion_shim::sandbox::{Operation, Tally};
use conversion_shim::translate::side::Side;
use reqwest::Method;

use super::{TIGHT, arrived, most, over_budget, plain, shown, until_refused};
use crate::support::soon;
use crate::support::test_bed::{FILE, Proxy, TestBed, new_record, old_record, one_on, vendor};

const WHEN: &str = "2026-01-01T00:00:00Z";
const TOKENS: &str = "/oauth2/token";

async fn token(proxy: &Proxy) -> super::Answer {
    proxy
        .client
        .ask(Method::POST, TOKENS, "grant_type=client_credentials&client_id=a&client_secret=b".into())
        .await
}

#[tokio::test]
async fn every_call_that_the_vendor_counts_is_paid_for_and_no_other() {
    for stage in ["observe", "canary", "live", "sealed"] {
        let bed = TestBed::with(&[("stage", stage), ("canary.percent", "50"), ("canary.salt", "s")]).await;
        let old = bed.sandbox.inspector().seed_conversion(old_record("old", WHEN));
        let new = bed.sandbox.inspector().seed_orchestration(new_record("new", WHEN));
        for at in 0..10 {
            bed.client.create(&format!("r{at}")).await.id();
            bed.client.list("limit=2").await;
            for id in [&old, &new] {
                bed.client.get(id).await;
                bed.client.cancel(id).await;
            }
            token(&bed.proxy).await;
            assert_eq!(bed.client.ask(Method::GET, "/v2/profiles", String::new()).await.status, 200);
        }
        for (endpoint, arrived) in arrived(&bed.sandbox) {
            let shown = shown(&bed.proxy, endpoint);
            assert_eq!((shown.calls, shown.refused), (arrived, 0), "{endpoint} in {stage}");
        }
    }
}

#[tokio::test]
async fn past_the_budget_a_call_waits_for_its_turn() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(old_record("r", WHEN));
    let start = Instant::now();
    let proxy = plain(&vendor, &[("budget.per_second", "4"), ("budget.wait_max", "60s")]).await;
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let (client, id) = (proxy.client.clone(), id.clone());
            tokio::spawn(async move { client.get(&id).await.id() })
        })
        .collect();
    let waiting = async {
        while shown(&proxy, "legacy get").waiting == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(waiting).await;
    for call in calls {
        soon(call).await.unwrap();
    }
    assert_eq!(vendor.inspector().arrived(Side::Legacy, Operation::Get), 30);
    assert!(most(24, 3.6, start) >= 30, "none came before its turn");
    let shown = shown(&proxy, "legacy get");
    assert_eq!((shown.calls, shown.waiting, shown.refused), (30, 0, 0));
}

#[tokio::test]
async fn past_the_wait_a_call_is_refused_in_the_old_shape_and_nothing_is_sent() {
    for stage in ["observe", "live"] {
        let bed = TestBed::with(&[&[("stage", stage)], &TIGHT[..]].concat()).await;
        let id = bed.sandbox.inspector().seed_conversion(old_record("r", WHEN));
        let client = &bed.client;
        let gets = until_refused(async || client.get(&id).await).await;
        until_refused(async || client.list("limit=5").await).await;
        until_refused(async || {
            let answer = client.cancel(&id).await;
            // Not each of them can be cancelled; that is the vendor's word.
            if answer.status == 429 { answer } else { super::Answer { status: 200, ..answer } }
        })
        .await;
        until_refused(async || token(&bed.proxy).await).await;
        assert!(gets >= 6, "{gets}");
        for (endpoint, arrived) in arrived(&bed.sandbox) {
            assert_eq!(shown(&bed.proxy, endpoint).calls, arrived, "{endpoint} in {stage}");
        }
        for endpoint in ["legacy get", "legacy cancel", "token"] {
            assert!(shown(&bed.proxy, endpoint).refused > 0, "{endpoint} in {stage}");
        }
        for _ in 0..20 {
            let passed = client.ask(Method::GET, "/v2/profiles", String::new()).await;
            assert_eq!(passed.status, 200, "other endpoints are not counted");
        }
    }
}

#[tokio::test]
async fn a_create_that_is_refused_keeps_its_claim_and_the_retry_goes_through_once() {
    let bed = TestBed::with(&[&[("stage", "sealed")], &TIGHT[..]].concat()).await;
    let mut refused = Vec::new();
    for at in 0..20 {
        let ref_id = format!("r{at}");
        let answer = bed.client.create(&ref_id).await;
        if answer.status == 429 {
            over_budget(&answer);
            let claim = bed.claim(&ref_id).await.expect("it is claimed");
            assert_eq!((claim.side, bed.made(&ref_id)), (Side::New, Tally::default()));
            refused.push(ref_id);
        } else {
            answer.id();
        }
    }
    assert!(refused.len() > 3, "{refused:?}");
    assert_eq!(bed.posts(Side::New), 20 - refused.len() as u64);
    bed.go(&[("stage", "sealed"), ("budget.per_second", "10000")]).await;
    for ref_id in refused {
        bed.client.create(&ref_id).await.id();
        bed.client.create(&ref_id).await.problem(409);
        assert_eq!(bed.made(&ref_id), one_on(Side::New));
    }
    assert_eq!(bed.sandbox.inspector().applied(Side::New, Operation::Create), 20);
}

#[tokio::test]
async fn replicas_share_the_limit() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(old_record("r", WHEN));
    let start = Instant::now();
    let keys = [("replicas", "2"), ("budget.per_second", "10"), ("budget.wait_max", "0s")];
    let replicas = [plain(&vendor, &keys).await, plain(&vendor, &keys).await];
    for replica in &replicas {
        for _ in 0..100 {
            replica.client.get(&id).await;
        }
    }
    let arrived = vendor.inspector().arrived(Side::Legacy, Operation::Get);
    assert!(arrived >= 60 && arrived <= most(60, 9.0, start), "{arrived}");
}

#[tokio::test]
async fn a_reload_changes_the_numbers_at_once_and_is_no_new_burst() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(old_record("r", WHEN));
    let start = Instant::now();
    let proxy = plain(&vendor, &TIGHT).await;
    for at in 0..30 {
        proxy
            .go(&[("budget.per_second", if at % 2 == 0 { "2" } else { "1" }), ("budget.wait_max", "0s")])
            .await;
        for _ in 0..3 {
            proxy.client.get(&id).await;
        }
    }
    let arrived = vendor.inspector().arrived(Side::Legacy, Operation::Get);
    assert!(arrived >= 6 && arrived <= most(6, 1.8, start), "{arrived}");
    proxy.go(&[("budget.per_second", "50000"), ("budget.wait_max", "10s")]).await;
    for _ in 0..100 {
        proxy.client.get(&id).await.id();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_a_thousand_stays_within_the_vendors_limit() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(old_record("r", WHEN));
    let start = Instant::now();
    let proxy = plain(
        &vendor,
        &[
            ("budget.wait_max", "500ms"),
            ("limits.in_flight.client", "1000"),
            ("limits.in_flight.get", "1000"),
        ],
    )
    .await;
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (client, id) = (proxy.client.clone(), id.clone());
            tokio::spawn(async move { client.get(&id).await })
        })
        .collect();
    let (mut served, mut refused) = (0, 0);
    for call in calls {
        let answer = soon(call).await.unwrap();
        if answer.status == 429 {
            over_budget(&answer);
            refused += 1;
        } else {
            answer.id();
            served += 1;
        }
    }
    let arrived = vendor.inspector().arrived(Side::Legacy, Operation::Get);
    assert_eq!((arrived, shown(&proxy, "legacy get").refused), (served, refused));
    assert!(served >= 300 && served <= most(300, 45.0, start), "{served}");
}

#[tokio::test]
async fn a_fleet_that_asks_for_tokens_at_once_stays_within_one_a_second() {
    let vendor = vendor().await;
    let start = Instant::now();
    let proxy = plain(&vendor, &[("budget.wait_max_token", "0s")]).await;
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(token(&proxy).await);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(refused.len() > 20, "{} of 40", refused.len());
    for answer in refused {
        over_budget(answer);
        assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    }
    let arrived = vendor.inspector().arrived(None, Operation::Token);
    assert!(most(6, 0.9, start) >= arrived, "{arrived} arrived");
    assert_eq!(shown(&proxy, "token").calls, arrived);
}

#[tokio::test]
async fn a_path_that_passes_through_has_the_limit_of_its_row() {
    let vendor = vendor().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shim.toml");
    let row =
        |path: &str, limit: u32| format!("[[budget.endpoints]]\npath = \"{path}\"\nper_second = {limit}\n");
    let rows = row("/v2/profiles/*/slow", 1) + &row("/v2/conversion/*", 10);
    std::fs::write(&file, rows).unwrap();
    let start = Instant::now();
    let proxy = plain(&vendor, &[(FILE, file.to_str().unwrap()), ("budget.wait_max", "0s")]).await;
    let ask = async |path: &str| proxy.client.ask(Method::GET, path, String::new()).await;
    let mut passed = 0;
    for number in 0..40 {
        // Servers read most spellings of a path as the same one.
        let spellings =
            ["/v2/profiles/p/slow", "/v2//profiles/p/slow", "/v2/%70rofiles/p/slow", "/v2/profiles/p/slow/"];
        let answer = ask(spellings[number % spellings.len()]).await;
        if answer.status == 429 {
            over_budget(&answer);
        } else {
            passed += 1;
        }
        assert_ne!(ask("/v2/profiles").await.status, 429, "another path has no row");
    }
    assert!((6..=most(6, 0.9, start)).contains(&passed), "{passed}");
    assert_eq!(shown(&proxy, "/v2/profiles/*/slow").calls, passed);
    // A route may have a row as well.
    let per_second = |endpoint| shown(&proxy, endpoint).per_second.unwrap();
    assert!((8.0..10.0).contains(&per_second("legacy get")) && per_second("new get") > 44.0);
    // Without a row for it, a token has the limit of all.
    assert!(per_second("token") > 44.0);
}
