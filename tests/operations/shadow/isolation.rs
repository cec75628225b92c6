//! The client never feels it: whatever the other side does, the answer is the same, arrives before the comparison ends, and
//! memory stays within its bounds.

use std::io::ErrorKind;

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody};
use conversion_shim::shadow::types::{Recheck, Verdict};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::comparing::{WHEN, settled};
use super::shadowed::{BREAKS, Shadowed};
use crate::support::soon;
use crate::support::test_bed::{LEGACY, conversion, vendor};

/// A server that takes connections and does with each what the test asks for.
async fn odd_server(answer: &'static [u8], filler: usize, linger: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
                let chunk = vec![b' '; 64 * 1024];
                for _ in 0..filler / chunk.len() {
                    if stream.write_all(&chunk).await.is_err() {
                        return;
                    }
                }
                if linger {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    url
}

/// A port that nobody listens on.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    format!("http://{address}/v2")
}

const TEN_MIB: usize = 10 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_the_same_whatever_the_other_side_does() {
    let silent = odd_server(b"", 0, true).await;
    let huge = odd_server(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n{", TEN_MIB, true).await;
    let resetting = odd_server(b"", 0, false).await;
    let throttling =
        odd_server(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", 0, true).await;
    let others = [
        ("dead", nobody().await, Some("no_answer")),
        ("silent", silent, None),
        ("huge", huge, Some("too_big")),
        ("resetting", resetting, Some("no_answer")),
        ("throttling", throttling, Some("429")),
    ];
    for (name, new, reason) in others {
        let vendor = vendor().await;
        let id = vendor.inspector().seed_conversion(settled("r", WHEN));
        let legacy = vendor.base_url();
        let plain = Shadowed::start(&[
            ("stage", "observe"),
            ("upstream.legacy.url", &legacy),
            ("upstream.new.url", &new),
        ])
        .await;
        let mut shim = Shadowed::start(&[
            ("upstream.legacy.url", &legacy),
            ("upstream.new.url", &new),
            ("shadow.timeout", "30s"),
        ])
        .await;
        for path in [format!("/{id}"), "?limit=5".into(), "?limit=0".into(), "/nobody".into()] {
            let ask = |client: crate::support::test_bed::Caller| async move {
                let path = format!("{}{path}", crate::support::test_bed::LEGACY);
                soon(client.ask(reqwest::Method::GET, &path, String::new())).await
            };
            let (expected, answer) =
                (ask.clone()(plain.client.clone()).await, ask(shim.client.clone()).await);
            assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{name}");
            let without_date = |headers: &http::HeaderMap| {
                let mut headers = headers.clone();
                headers.remove("date");
                headers.remove("x-request-id");
                headers
            };
            assert_eq!(without_date(&answer.headers), without_date(&expected.headers), "{name}");
        }
        assert_eq!(shim.client.create("s").await.status, 200, "{name}");
        if let Some(reason) = reason {
            // What asks nothing of the other side, like a bad parameter, is compared all the same.
            shim.until(|record| record.other.skip_reason.as_deref() == Some(reason)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_have_their_answers_before_any_comparison_ends() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let gate =
        vendor.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::List));
    let mut shim = Shadowed::before(&vendor, &[("shadow.timeout", "1h")]).await;
    for _ in 0..20 {
        assert_eq!(soon(shim.client.get(&id)).await.id(), id);
    }
    assert_eq!(shim.shadow.stats().all_done(), 0, "none could end");
    gate.open();
    for _ in 0..20 {
        assert_eq!(shim.record().await.verdict, Verdict::NoCounterpart);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_dropped_and_counted_and_bounded() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let gate =
        vendor.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::List));
    let bounds = [("shadow.jobs_max", "8"), ("shadow.concurrency", "2"), ("shadow.timeout", "1h")];
    let mut shim = Shadowed::before(&vendor, &bounds).await;
    for _ in 0..50 {
        shim.client.get(&id).await.id();
    }
    let dropped = shim.shadow.stats().all_dropped();
    let jobs: u64 =
        dropped.iter().filter(|dropped| dropped.reason == "jobs").map(|dropped| dropped.count).sum();
    assert!((38..=42).contains(&jobs), "2 run, 8 wait, perhaps one or two on their way: {dropped:?}");
    assert!(shim.shadow.jobs_waiting() <= 8);
    gate.open();
    for _ in jobs..50 {
        shim.record().await;
    }
    shim.end();
    assert_eq!(shim.shadow.bytes_held(), 0, "all of it was given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_never_take_more_memory_than_they_may() {
    let vendor = vendor().await;
    for at in 0..1000 {
        vendor.inspector().seed_conversion(settled(&format!("r{at}"), WHEN));
    }
    let gate =
        vendor.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::List));
    let url = vendor.base_url();
    let bounds = [
        ("upstream.legacy.url", url.as_str()),
        ("upstream.new.url", url.as_str()),
        ("shadow.bytes_max", "1MiB"),
        ("shadow.timeout", "1h"),
    ];
    let mut shim = Shadowed::start(&bounds).await;
    for _ in 0..20 {
        let page = shim.client.list("limit=1000").await;
        assert!(page.body.len() > 200_000, "{}", page.body.len());
        assert!(shim.shadow.bytes_held() <= 1 << 20);
    }
    let dropped = shim.shadow.stats().all_dropped();
    assert!(dropped.iter().any(|dropped| dropped.reason == "bytes" && dropped.count >= 15), "{dropped:?}");
    gate.open();
    shim.record().await;
    shim.current.store(super::shadowed::config(&[&bounds[..], &[("shadow.body_max", "1KiB")]].concat()));
    shim.client.list("limit=1000").await;
    shim.until(|record| record.served.skip_reason.as_deref() == Some("too_big")).await;
}

/// As many requests as one machine makes in a moment, all of them compared with nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_side_under_load_costs_no_memory() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let dead = nobody().await;
    let mut shim = Shadowed::start(&[
        ("upstream.legacy.url", &vendor.base_url()),
        ("upstream.new.url", &dead),
        ("shadow.bytes_max", "1MiB"),
    ])
    .await;
    let mut most = 0;
    for _ in 0..40 {
        let asking = (0..50).map(|_| shim.client.get(&id));
        for answer in futures_util::future::join_all(asking).await {
            assert_eq!(answer.status, 200);
        }
        most = most.max(shim.shadow.bytes_held());
    }
    assert!(most <= 1 << 20);
    let tally = shim.shadow.stats();
    assert_eq!(tally.all_due(), 2000);
    let rest = shim.end();
    assert!(!rest.is_empty());
    let tally = shim.shadow.stats();
    let dropped: u64 = tally.all_dropped().iter().map(|dropped| dropped.count).sum();
    assert_eq!(tally.all_done() + dropped, 2000, "every one is accounted for");
}

#[tokio::test]
async fn any_429_pauses_comparisons_and_is_recorded() {
    for side in [Side::Legacy, Side::New] {
        let vendor = vendor().await;
        let id = vendor.inspector().seed_conversion(settled("r", WHEN));
        vendor.faults().arm(Fault::new(THROTTLED).on(side, None).times(1));
        let mut shim = Shadowed::before(&vendor, &[("shadow.heartbeat", "20ms")]).await;
        shim.client.get(&id).await;
        let config = shim.current.load_full();
        soon(async {
            while shim.shadow.idle_reason(&config) != Some("cooldown") {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let asked = vendor.inspector().arrived(Side::New, Operation::List);
        for _ in 0..10 {
            shim.client.get(&id).await.id();
        }
        assert_eq!(vendor.inspector().arrived(Side::New, Operation::List), asked, "{side:?}");
        let mut is_reported = false;
        for _ in 0..1000 {
            let beat = shim.heartbeat().await;
            let dropped = beat["dropped"].as_array().unwrap();
            is_reported |= dropped.iter().any(|dropped| dropped["reason"] == "cooldown");
            if is_reported
                && beat["idle_reason"] == "cooldown"
                && beat["idle_seconds"].as_f64().unwrap() > 0.0
            {
                break;
            }
        }
        assert!(is_reported, "{side:?}");
    }
}

const THROTTLED: FaultKind = FaultKind::Status {
    code: StatusCode::TOO_MANY_REQUESTS,
    retry_after: None,
    body: RefusalBody::Problem,
    applied: false,
};

#[tokio::test]
async fn comparisons_queued_at_the_start_of_a_back_off_are_dropped() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let gate =
        vendor.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::List));
    let mut shim = Shadowed::before(&vendor, &[("shadow.concurrency", "1"), ("shadow.timeout", "1h")]).await;
    for _ in 0..5 {
        shim.client.get(&id).await.id();
    }
    soon(gate.reached(1)).await;
    vendor.faults().arm(Fault::new(THROTTLED).on(Side::Legacy, Operation::Get).times(1));
    shim.client.get(&id).await;
    gate.open();
    shim.record().await;
    shim.counted(|tally| tally.all_dropped().iter().any(|it| it.reason == "cooldown" && it.count >= 4)).await;
    assert_eq!(vendor.inspector().arrived(Side::New, Operation::List), 1, "the one that was on its way");
}

#[tokio::test]
async fn a_429_to_the_second_lookup_stops_comparisons_too() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    vendor
        .inspector()
        .seed_orchestration(crate::support::test_bed::new_record("r", "2026-04-20T12:00:00.123456Z"));
    let gate = vendor
        .faults()
        .arm(Fault::new(FaultKind::Gate { applied: true }).on(Side::New, Operation::List).times(1));
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.get(&id).await.id();
    soon(gate.reached(1)).await;
    vendor.faults().arm(Fault::new(THROTTLED).on(Side::Legacy, Operation::Get).times(1));
    gate.open();
    let record = shim.record().await;
    assert_eq!((record.verdict, record.recheck), (Verdict::Mismatch, Some(Recheck::Failed)));
    assert_eq!(shim.shadow.idle_reason(&shim.current.load_full()), Some("cooldown"));
}

#[tokio::test]
async fn a_comparison_that_panics_is_counted_and_ends_alone() {
    let vendor = vendor().await;
    let mut shim = Shadowed::before(&vendor, &[]).await;
    let mut stream = tokio::net::TcpStream::connect(shim.client.address()).await.unwrap();
    let request =
        format!("GET {LEGACY} HTTP/1.1\r\nhost: shim\r\nx-request-id: {BREAKS}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    soon(stream.read_to_end(&mut Vec::new())).await.unwrap();
    shim.counted(|tally| {
        tally.all_dropped().iter().any(|dropped| (dropped.reason.as_str(), dropped.count) == ("panic", 1))
    })
    .await;
    shim.client.list("").await;
    assert_eq!(shim.record().await.verdict, Verdict::Match, "the next one is compared");
}

#[tokio::test]
async fn the_budgets_cool_down_stops_comparisons_though_shadows_own_is_off() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let code = StatusCode::TOO_MANY_REQUESTS;
    let refusal = FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false };
    vendor.faults().arm(Fault::new(refusal).on(Side::Legacy, Operation::List).times(1));
    let shim = Shadowed::before(&vendor, &[("shadow.cooldown", "0s"), ("shadow.sample.list", "0")]).await;
    assert_eq!(shim.client.list("limit=1").await.status, 429);
    for _ in 0..5 {
        shim.client.get(&id).await.id();
    }
    shim.counted(|tally| {
        tally.all_dropped().iter().any(|dropped| (dropped.reason.as_str(), dropped.count) == ("budget", 5))
    })
    .await;
    assert_eq!(vendor.inspector().arrived(Side::New, Operation::List), 0);
}

#[tokio::test]
async fn what_the_clients_own_calls_were_refused_is_not_compared() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let budget = [("budget.per_second", "1"), ("budget.wait_max", "0s")];
    let shim = Shadowed::before(&vendor, &budget).await;
    let mut refused = 0;
    for _ in 0..50 {
        refused += u64::from(shim.client.get(&id).await.status == 429);
    }
    assert!(refused > 30, "{refused}");
    shim.counted(|tally| tally.all_due() == 50 && tally.all_done() + dropped(tally) == 50).await;
    let verdicts = shim.shadow.stats().verdicts();
    assert!(verdicts.iter().all(|counted| counted.verdict == Verdict::NoCounterpart), "{verdicts:?}");
}

fn dropped(tally: &conversion_shim::shadow::stats::ShadowStats) -> u64 {
    tally.all_dropped().iter().map(|dropped| dropped.count).sum()
}

#[tokio::test]
async fn a_spent_budget_drops_and_counts() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let budget = [("budget.per_second", "1"), ("budget.shadow_share", "0.01")];
    let mut shim = Shadowed::before(&vendor, &budget).await;
    for _ in 0..5 {
        shim.client.get(&id).await.id();
    }
    assert_eq!(shim.record().await.verdict, Verdict::NoCounterpart, "one call is within the share");
    shim.counted(|tally| {
        tally.all_dropped().iter().any(|dropped| (dropped.reason.as_str(), dropped.count) == ("budget", 4))
    })
    .await;
    assert_eq!(vendor.inspector().arrived(Side::New, Operation::List), 1);
}

#[tokio::test]
async fn a_sample_rate_of_zero_is_reported() {
    let vendor = vendor().await;
    let none = [("shadow.sample.create", "0"), ("shadow.sample.get", "0.0"), ("shadow.sample.list", "0.0")];
    let mut shim = Shadowed::before(&vendor, &[&none[..], &[("shadow.heartbeat", "20ms")]].concat()).await;
    let beat = shim.heartbeat().await;
    assert_eq!((&beat["idle_reason"], &beat["idle_seconds"]), (&"sample_0".into(), &beat["seconds"]));
}

#[tokio::test]
async fn the_config_is_read_live() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let url = vendor.base_url();
    let urls = [("upstream.legacy.url", url.as_str()), ("upstream.new.url", url.as_str())];
    let with = |key, value| super::shadowed::config(&[&urls[..], &[(key, value)]].concat());
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.get(&id).await;
    let first = shim.record().await.config_hash;
    shim.current.store(with("shadow.sample.get", "0.0"));
    shim.client.get(&id).await;
    shim.current.store(with("stage", "observe"));
    shim.client.get(&id).await;
    shim.current.store(with("shadow.sample.get", "1.0"));
    shim.client.get(&id).await;
    assert_eq!(shim.record().await.config_hash, first, "the two in between were not compared");
    assert_eq!(shim.shadow.stats().all_due(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_early_is_no_comparison() {
    let vendor = vendor().await;
    for at in 0..1000 {
        vendor.inspector().seed_conversion(settled(&format!("r{at}"), WHEN));
    }
    let mut shim = Shadowed::before(&vendor, &[]).await;
    let mut stream = tokio::net::TcpStream::connect(shim.client.address()).await.unwrap();
    let request = "GET /v2/conversion/stablecoins?limit=1000 HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 100]).await.unwrap();
    drop(stream);
    let record = shim.record().await;
    // Small enough to have left the proxy whole, or cut: either is reported, neither is a difference.
    let cut = record.served.skip_reason.as_deref() == Some("incomplete");
    assert!(cut || record.verdict == Verdict::NoCounterpart, "{record:?}");
}

#[tokio::test]
async fn creates_with_and_without_a_length_are_compared_in_a_dry_run() {
    let vendor = vendor().await;
    let mut shim = Shadowed::before(&vendor, &[]).await;
    let body = conversion("chunked").to_string();
    let mut stream = tokio::net::TcpStream::connect(shim.client.address()).await.unwrap();
    let head = "POST /v2/conversion/stablecoins HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\ntransfer-encoding: chunked\r\n\r\n";
    let (one, two) = body.split_at(body.len() / 2);
    let chunks = format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(chunks.as_bytes()).await.unwrap();
    let record = shim.record().await;
    assert_eq!(record.verdict, Verdict::Match, "{record:?}");
    shim.client.over_http2().create("framed").await.id();
    assert_eq!(shim.record().await.verdict, Verdict::Match);
}
