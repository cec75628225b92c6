//! Nothing is sent while the other side might hold the reference; "could not look" is never "absent".

use std::time::Duration;

use conversion_shim::ledger::ClaimState;
use conversion_shim::sandbox::{CUSTOMER, Fault, FaultKind, HiddenRecords, Operation, RefusalBody, Tally};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use sqlx::{ConnectOptions as _, Executor as _};

use super::outcome::Bare;
use crate::support::soon;
use crate::support::test_bed::{BACK, TestBed, conversion, new_record, old_record, one_on};

const SHORT: &[(&str, &str)] = &[("timeouts.create", "900ms")];

/// A test bed that creates on `target`, and may hold records on both sides.
async fn creating_on(target: Side) -> TestBed {
    let bed = TestBed::with(&[&[("stage", "live")], SHORT].concat()).await;
    assert_eq!(bed.client.create("somebody else's").await.status, 200);
    if target == Side::Legacy {
        bed.go(BACK).await;
    }
    bed
}

fn seed(bed: &TestBed, side: Side, ref_id: &str) -> String {
    match side {
        Side::Legacy => bed.sandbox.inspector().seed_conversion(old_record(ref_id, "2026-01-01T00:00:00Z")),
        Side::New => bed.sandbox.inspector().seed_orchestration(new_record(ref_id, "2026-01-01T00:00:00Z")),
    }
}

#[tokio::test]
async fn a_reference_found_on_the_other_side_is_a_409_that_shows_it_and_nothing_is_sent() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        let id = seed(&bed, target.other(), "r");
        let posts = [bed.posts(Side::Legacy), bed.posts(Side::New)];
        // Whatever the body: it is the reference that is taken.
        let mut other = conversion("r");
        other["amount"] = "2".into();
        for body in [conversion("r"), other] {
            let problem = bed.client.post(&body).await.problem(409);
            assert!(problem["type"].as_str().unwrap().ends_with("/problems/already-exists"), "{problem}");
            let existing = &problem["meta"]["existing"];
            assert_eq!(existing["id"], id, "{problem}");
            assert_eq!((&existing["amount"], &existing["status"]), (&"1.50".into(), &"SETTLED".into()));
            assert!(existing.get("source_amount").is_none() && existing.get("destination_asset").is_none());
            // The second time the claim stands on that side, so the side itself refuses.
            let claim = bed.claim("r").await.unwrap();
            assert_eq!((claim.side, claim.state), (target.other(), ClaimState::Checked));
            assert_eq!(claim.record_id, Some(id.clone()));
            if body == conversion("r") {
                assert_eq!([bed.posts(Side::Legacy), bed.posts(Side::New)], posts, "{target}");
            }
        }
        assert_eq!(bed.posts(target), posts[target as usize], "never to the side that did not hold it");
        assert_eq!(bed.made("r"), one_on(target.other()));
    }
}

#[tokio::test]
async fn an_empty_other_side_is_seen_once_then_the_create_is_sent() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        let looked = bed.sandbox.inspector().arrived(target.other(), Operation::List);
        let first = bed.client.create("r").await.id();
        assert_eq!(
            bed.sandbox.inspector().arrived(target.other(), Operation::List),
            looked + 2,
            "on the reused connection, and once more on a fresh one"
        );
        let claim = bed.claim("r").await.unwrap();
        assert_eq!((claim.side, claim.state), (target, ClaimState::Checked));
        // A retry does not look again: the claim is checked. The side's own uniqueness answers it.
        let again = bed.client.create("r").await.problem(409);
        assert_eq!(again["meta"]["existing"]["id"], first);
        assert_eq!(bed.sandbox.inspector().arrived(target.other(), Operation::List), looked + 2);
        assert_eq!(bed.made("r"), one_on(target));
    }
}

fn status(code: u16) -> FaultKind {
    let code = StatusCode::from_u16(code).unwrap();
    FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false }
}

/// Everything that a look can come to without proving anything, and the status that the client gets.
fn blind() -> Vec<(FaultKind, u16)> {
    let html = FaultKind::Status {
        code: StatusCode::BAD_GATEWAY,
        retry_after: None,
        body: RefusalBody::Html,
        applied: false,
    };
    let mut all = vec![
        (status(401), 401),
        (status(403), 403),
        (html, 503),
        (FaultKind::Reset { applied: false }, 503),
        (FaultKind::Truncate, 503),
        (FaultKind::NotJson, 503),
        (FaultKind::EmptyBody, 503),
        (FaultKind::IgnoreFilters, 503),
        (FaultKind::Gate { applied: false }, 503),
    ];
    all.extend([204, 302, 400, 404, 408, 410, 422, 429, 500, 502, 503, 504].map(|code| (status(code), 503)));
    all
}

#[tokio::test]
async fn a_failed_lookup_never_means_absent() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        // What an ignored filter brings instead.
        seed(&bed, target.other(), "unrelated");
        let posts = [bed.posts(Side::Legacy), bed.posts(Side::New)];
        for (at, (kind, expected)) in blind().into_iter().enumerate() {
            let ref_id = format!("r{at}");
            let fault = bed.fault(target.other(), Operation::List, kind.clone());
            let problem = bed.client.create(&ref_id).await.problem(expected);
            let detail = problem["detail"].as_str().unwrap().to_owned();
            match expected {
                503 => assert!(detail.contains("nothing was sent"), "{kind:?}: {detail}"),
                403 => assert!(detail.contains("read_") && detail.contains("nothing was sent"), "{detail}"),
                _ => {}
            }
            let now = [bed.posts(Side::Legacy), bed.posts(Side::New)];
            assert_eq!(now, posts, "{kind:?} on {}", target.other());
            let claim = bed.claim(&ref_id).await.unwrap();
            // Nothing was sent, so the next request may choose the side anew.
            assert_eq!((claim.side, claim.state), (target, ClaimState::Refused), "{kind:?}");
            bed.sandbox.faults().remove(&fault);
        }
        for at in 0..blind().len() {
            let ref_id = format!("r{at}");
            assert_eq!(bed.client.create(&ref_id).await.status, 200, "the retry goes through");
            assert_eq!(bed.made(&ref_id), one_on(target));
        }
    }
}

#[tokio::test]
async fn a_token_without_the_lookup_scope_gets_the_missing_scope_named() {
    let bed = TestBed::at("live").await;
    let scopes = ["conversion:write_conversion_stablecoin", "orchestration:write_orchestration"];
    let blind = bed.client.with_token(&bed.sandbox.issue_token(CUSTOMER, &scopes));
    let problem = blind.create("r").await.problem(403);
    assert!(problem["detail"].as_str().unwrap().contains("conversion:read_conversion_stablecoin"));
    assert_eq!((bed.posts(Side::Legacy), bed.posts(Side::New)), (0, 0));
}

#[tokio::test]
async fn an_expired_token_is_a_401_and_the_retry_with_a_fresh_one_succeeds() {
    let bed = TestBed::at("live").await;
    let expired = bed.client.with_token("expired");
    expired.create("r").await.problem(401);
    assert_eq!((bed.posts(Side::Legacy), bed.posts(Side::New)), (0, 0));
    assert_eq!(bed.client.create("r").await.status, 200);
}

/// Answers that the sandbox never gives, so a bare server does.
#[tokio::test]
async fn an_answer_that_is_no_list_to_its_end_proves_nothing() {
    let bodies = [
        r#"{"items":[],"next_page_cursor":"more"}"#,
        r#"{"items":7}"#,
        r#"{"items":[7]}"#,
        r#"{"items":[{}]}"#,
        r#"{"items":[{"id":7,"ref_id":"r","created_at":"2026-01-01T00:00:00Z"}]}"#,
        r#"{"items":[{"id":"a","created_at":"2026-01-01T00:00:00Z"}]}"#,
        r#"{"items":[{"id":"a","ref_id":"R","created_at":"2026-01-01T00:00:00Z"}]}"#,
        r#"{"items":[],"next_page_cursor":7}"#,
        r#"{"items":[]"#,
        r#"{"items":[]} {}"#,
        r#"{"data":[]}"#,
        r#"{"status":500}"#,
        "[]",
        "null",
        "0",
        "",
    ];
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        let posts = [bed.posts(Side::Legacy), bed.posts(Side::New)];
        for body in bodies {
            let bare = Bare::answering(body, "{}").await;
            let url = bare.url();
            let (stage, key): (&[_], _) = match target {
                Side::Legacy => (BACK, "upstream.new.url"),
                Side::New => (&[("stage", "live")], "upstream.legacy.url"),
            };
            bed.go(&[stage, &[(key, url.as_str())]].concat()).await;
            let answer = bed.client.create("r").await;
            assert_eq!(answer.status, 503, "{body} on {}: {answer:?}", target.other());
            assert_eq!([bed.posts(Side::Legacy), bed.posts(Side::New)], posts, "{body}");
            assert_eq!(bare.posts(), 0, "{body}");
        }
    }
}

/// The heads and bodies of empty lists, of which none is plain, whole and fresh.
const DOUBTFUL: [(&str, &str); 34] = [
    ("", r#"{"items":[],"total":"1"}"#),
    ("", r#"{"items":[],"total_count":"1"}"#),
    ("", r#"{"items":[],"count":"1"}"#),
    ("", r#"{"items":[],"remaining":"1"}"#),
    ("", r#"{"items":[],"incomplete":"true"}"#),
    ("", r#"{"items":[],"complete":false}"#),
    ("", r#"{"items":[],"total":-1}"#),
    ("", r#"{"items":[],"message":"shard 3 timed out"}"#),
    ("", r#"{"items":[],"detail":"deadline exceeded"}"#),
    ("", r#"{"items":[],"type":"about:blank","title":"Service Unavailable"}"#),
    ("", r#"{"items":[],"code":"UNAVAILABLE"}"#),
    ("", r#"{"items":[],"status":"PARTIAL"}"#),
    ("", r#"{"items":[],"failure":"x"}"#),
    ("", r#"{"items":[],"items":[]}"#),
    ("", r#"{"items":null,"items":[]}"#),
    ("", r#"{"items":[],"next_page_cursor":"c","next_page_cursor":""}"#),
    ("", r#"{"items":[],"next_page_cursor":0}"#),
    ("", r#"{"items":[],"next_page_cursor":{}}"#),
    ("", r#"{"items":[],"next_page_cursor":false}"#),
    ("content-type: application/problem+json\r\n", EMPTY),
    ("content-type: application/json-seq\r\n", EMPTY),
    ("content-type: application/x-ndjson\r\n", EMPTY),
    ("content-type: text/html; note=json\r\n", EMPTY),
    ("content-type: application/json\r\ncontent-type: text/html\r\n", EMPTY),
    ("link: <https://vendor.test/v2/x?page=2>; rel=\"next\"\r\n", EMPTY),
    ("x-total-count: 1\r\n", EMPTY),
    ("x-next-page-cursor: abc\r\n", EMPTY),
    ("age: 3600\r\n", EMPTY),
    ("x-cache: HIT\r\n", EMPTY),
    ("cf-cache-status: STALE\r\n", EMPTY),
    ("warning: 110 - \"Response is Stale\"\r\n", EMPTY),
    ("warning: 111 - \"Revalidation Failed\"\r\n", EMPTY),
    ("grpc-status: 14\r\n", EMPTY),
    ("content-range: items 0-0/1\r\n", EMPTY),
];
const EMPTY: &str = r#"{"items":[]}"#;
const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn only_a_plain_whole_and_fresh_list_proves_absence() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        let at = async |fields: &'static str, body: &'static str| {
            let fields =
                if fields.contains("content-type") { fields.into() } else { format!("{JSON}{fields}") };
            let bare = Bare::with_fields(fields.leak(), body, "{}").await;
            let url = bare.url();
            let (stage, key): (&[_], _) = match target {
                Side::Legacy => (BACK, "upstream.new.url"),
                Side::New => (&[("stage", "live")], "upstream.legacy.url"),
            };
            bed.go(&[stage, &[(key, url.as_str())]].concat()).await;
            bare
        };
        let posts = bed.posts(target);
        for (fields, body) in DOUBTFUL {
            let _bare = at(fields, body).await;
            let answer = bed.client.create("r").await;
            let what = format!("{fields} {body} on {}", target.other());
            assert!(answer.problem(503)["detail"].as_str().unwrap().contains("nothing was sent"), "{what}");
            assert_eq!(bed.posts(target), posts, "{what}");
        }
        for (number, (fields, body)) in [
            ("", r#"{"items":[],"request_id":"12345","api_version":"2","has_more":false,"total":"0"}"#),
            ("", r#"{"items":[],"next_page_cursor":null,"status":"ok","errors":[]}"#),
            ("age: 0\r\nx-cache: Miss from edge\r\nx-total-count: 0\r\ngrpc-status: 0\r\n", EMPTY),
            ("link: </docs>; rel=\"deprecation\"\r\nwarning: 299 - \"Deprecated\"\r\n", EMPTY),
            ("content-type: Application/JSON; charset=utf-8\r\n", EMPTY),
        ]
        .into_iter()
        .enumerate()
        {
            let _bare = at(fields, body).await;
            let answer = bed.client.create(&format!("harmless {number}")).await;
            assert_eq!(answer.status, 200, "{fields} {body}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn concurrent_requests_wait_for_the_first_duplicate_check() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        bed.go(&[
            if target == Side::New { &[("stage", "live")] } else { BACK },
            &[("timeouts.create", "20s")],
        ]
        .concat())
            .await;
        let gate = bed.fault(target.other(), Operation::List, FaultKind::Gate { applied: false });
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let client = bed.client.clone();
                tokio::spawn(async move { client.create("r").await })
            })
            .collect();
        soon(gate.reached(1)).await;
        let claim = bed.claim("r").await.unwrap();
        assert_eq!((claim.side, claim.state), (target, ClaimState::Claimed));
        assert_eq!(bed.made("r"), Tally::default());
        gate.open();
        let mut ids = Vec::new();
        for call in calls {
            let answer = soon(call).await.unwrap();
            ids.push(match answer.status {
                200 => answer.id(),
                _ => answer.problem(409)["meta"]["existing"]["id"].as_str().unwrap().to_owned(),
            });
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(bed.made("r"), one_on(target));
    }
}

/// Two replicas that stand in different stages while they handle the same reference at the same moment.
#[tokio::test]
async fn replicas_in_different_stages_agree_on_the_side() {
    let bed = TestBed::at("live").await;
    assert_eq!(bed.client.create("somebody else's").await.status, 200);
    let back = bed.replica(BACK).await;
    let gates = [Side::Legacy, Side::New]
        .map(|side| bed.fault(side, Operation::List, FaultKind::Gate { applied: false }));
    let calls = [&bed.proxy, &back].map(|proxy| {
        let client = proxy.client.clone();
        tokio::spawn(async move { client.create("r").await })
    });
    // Both look on the same side, the one that the claim is not on.
    let claimed = async {
        loop {
            if let Some(claim) = bed.claim("r").await {
                return claim.side;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let side = soon(claimed).await;
    soon(gates[side.other() as usize].reached(2)).await;
    gates.iter().for_each(|gate| gate.open());
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(soon(call).await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(bed.made("r"), one_on(side));
}

/// The look gets a third of the time: what is left must be enough to send, and to find out what became of it.
#[tokio::test]
async fn a_lookup_that_uses_half_of_the_timeout_is_too_slow() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        let posts = [bed.posts(Side::Legacy), bed.posts(Side::New)];
        let slow = FaultKind::Delay { pause: Duration::from_millis(450), applied: false };
        let fault = bed.fault(target.other(), Operation::List, slow);
        let problem = bed.client.create("r").await.problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
        assert_eq!([bed.posts(Side::Legacy), bed.posts(Side::New)], posts);
        bed.sandbox.faults().remove(&fault);
        assert_eq!(bed.client.create("r").await.status, 200, "the retry goes through");
        assert_eq!(bed.made("r"), one_on(target));
    }
}

/// The claim is checked, so there is nothing to look for; all the time goes by before the ledger has answered.
#[tokio::test]
async fn a_create_for_which_no_time_is_left_is_not_sent() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        let fault = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
        bed.client.create("r").await.problem(504);
        bed.sandbox.faults().remove(&fault);
        let posts = bed.posts(target);
        let file = sqlx::sqlite::SqliteConnectOptions::new().filename(bed.dir.path().join("ledger.db"));
        let mut busy = file.connect().await.unwrap();
        busy.execute("BEGIN IMMEDIATE").await.unwrap();
        let client = bed.client.clone();
        let call = tokio::spawn(async move { client.create("r").await });
        // Nothing tells that the time is over; the ledger waits for much longer.
        tokio::time::sleep(3 * Duration::from_millis(900)).await;
        busy.execute("ROLLBACK").await.unwrap();
        let problem = soon(call).await.unwrap().problem(503);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("too little time") && detail.contains("nothing was sent"), "{detail}");
        assert_eq!(bed.posts(target), posts);
        assert_eq!(bed.client.create("r").await.status, 200, "the retry goes through");
        assert_eq!(bed.made("r"), one_on(target));
    }
}

/// The ledger cannot keep every id; that is no reason to forget that the record exists.
#[tokio::test]
async fn a_found_record_with_an_id_that_cannot_be_kept_is_a_409_all_the_same() {
    for target in [Side::Legacy, Side::New] {
        let bed = creating_on(target).await;
        let at = "2026-01-01T00:00:00Z";
        let posts = [bed.posts(Side::Legacy), bed.posts(Side::New)];
        let mut record = if target == Side::New { old_record("r", at) } else { new_record("r", at) };
        let id = "x".repeat(300);
        record["id"] = id.as_str().into();
        match target.other() {
            Side::Legacy => bed.sandbox.inspector().seed_conversion(record),
            Side::New => bed.sandbox.inspector().seed_orchestration(record),
        };
        let problem = bed.client.create("r").await.problem(409);
        assert_eq!(problem["meta"]["existing"]["id"], id);
        assert_eq!([bed.posts(Side::Legacy), bed.posts(Side::New)], posts);
        let claim = bed.claim("r").await.unwrap();
        assert_eq!((claim.side, claim.state, claim.record_id), (target.other(), ClaimState::Checked, None));
        bed.client.create("r").await.problem(409);
        assert_eq!(bed.posts(target), posts[target as usize], "never to the side that did not hold it");
    }
}

/// A test bed that creates on new, with records on legacy that the ledger knows for longer than lists lag, and a proxy that has made no
/// lookup yet.
async fn with_known_records() -> (TestBed, crate::support::test_bed::Proxy) {
    let bed = creating_on(Side::Legacy).await;
    for ref_id in ["older", "newest"] {
        bed.client.create(ref_id).await.id();
    }
    let file = bed.dir.path().join("ledger.db");
    let mut ledger = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let hour = "UPDATE ref_claims SET created_at_us = created_at_us - 3700000000, updated_at_us = updated_at_us - 3700000000";
    ledger.execute(hour).await.unwrap();
    let proxy = bed.replica(&[&[("stage", "live")], SHORT].concat()).await;
    (bed, proxy)
}

#[tokio::test]
async fn creates_at_the_same_time_share_one_positive_control() {
    let (bed, proxy) = with_known_records().await;
    let controls = || {
        let requests = bed.sandbox.inspector().requests();
        requests.iter().filter(|request| request.path_and_query.contains("ref_id=newest")).count()
    };
    let before = controls();
    let creates = (0..10).map(|number| {
        let client = proxy.client.clone();
        async move { client.create(&format!("r{number}")).await.id() }
    });
    futures_util::future::join_all(creates).await;
    assert_eq!(controls(), before + 1);
}

#[tokio::test]
async fn a_side_that_does_not_show_its_newest_known_record_proves_no_absence() {
    let (bed, proxy) = with_known_records().await;
    // The older one is still found.
    let lag = bed.fault(Side::Legacy, Operation::List, FaultKind::Lag(HiddenRecords::Newest(1)));
    let posts = bed.posts(Side::New);
    proxy.client.create("r").await.problem(503);
    assert_eq!((bed.posts(Side::New), bed.made("r")), (posts, Tally::default()));
    bed.sandbox.faults().remove(&lag);
    assert_eq!(proxy.client.create("r").await.status, 200);
    assert_eq!(bed.made("r"), one_on(Side::New));
}

/// Its index is empty for a moment: the lookup meets the moment, the positive control after it does not.
#[tokio::test]
async fn a_list_that_was_empty_for_a_moment_before_the_positive_control_proves_no_absence() {
    let (bed, proxy) = with_known_records().await;
    let id = seed(&bed, Side::Legacy, "r");
    let empty = FaultKind::Lag(HiddenRecords::Newest(usize::MAX));
    let moment = Fault::new(empty).on(Side::Legacy, Operation::List).times(1);
    let _moment = bed.sandbox.faults().arm(moment);
    let posts = bed.posts(Side::New);
    let problem = proxy.client.create("r").await.problem(409);
    assert_eq!(problem["meta"]["existing"]["id"], id);
    assert_eq!((bed.posts(Side::New), bed.made("r")), (posts, one_on(Side::Legacy)));
}
