//! Nothing is ever written to the new API, and nothing of the clients' is ever written to the log.

use conversion_shim::sandbox::{Fault, FaultKind, Operation, PROFILE, RefusalBody};
use conversion_shim::shadow::heartbeat_record::HeartbeatRecord;
use conversion_shim::shadow::record::ShadowLine;
use conversion_shim::translate::side::Side;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::comparing::{WHEN, settled};
use super::shadowed::Shadowed;
use crate::support::dice;
use crate::support::test_bed::{LEGACY, conversion, new_record, vendor};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_random_run_only_reads_the_new_api() {
    let vendor = vendor().await;
    let mut dice = dice::from_environment();
    let mut ids = vec![vendor.inspector().seed_conversion(settled("seed", WHEN))];
    vendor.inspector().seed_orchestration(new_record("seed", WHEN));
    for (at, side) in [Side::Legacy, Side::New].into_iter().enumerate() {
        let seed = dice.below(u64::MAX);
        for kind in [
            FaultKind::Reset { applied: at == 0 },
            FaultKind::Truncate,
            FaultKind::NotJson,
            FaultKind::IgnoreFilters,
        ] {
            vendor.faults().arm(Fault::new(kind).on(side, None).sometimes(4, seed));
        }
    }
    let shim = Shadowed::before(&vendor, &[("shadow.cooldown", "0s"), ("budget.cooldown", "0s")]).await;
    let client = shim.client.clone();
    for _ in 0..1500 {
        let id = ids[usize::try_from(dice.below(ids.len() as u64)).unwrap()].clone();
        let (method, path, body) = match dice.below(8) {
            0 | 1 => (Method::POST, LEGACY.to_owned(), conversion(&format!("r{}", dice.below(200)))),
            2 => (Method::POST, LEGACY.to_owned(), json!({ "amount": dice.below(1000), "ref_id": "broken" })),
            3 | 4 => (Method::GET, format!("{LEGACY}/{id}"), json!(null)),
            5 => (Method::GET, format!("{LEGACY}?limit={}", dice.below(20)), json!(null)),
            6 => (Method::DELETE, format!("{LEGACY}/{id}"), json!(null)),
            _ => (Method::GET, "/v2/profiles".to_owned(), json!(null)),
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if let Ok(answer) = client.try_ask(method, &path, body).await
            && let Ok(document) = serde_json::from_slice::<serde_json::Value>(&answer.body)
            && let Some(id) = document["id"].as_str()
        {
            ids.push(id.to_owned());
        }
    }
    let tally = shim.shadow.stats();
    assert!(tally.all_due() > 800, "{}", tally.all_due());
    drop(shim);
    assert_eq!(vendor.inspector().arrived(Side::New, Operation::Create), 0);
    assert_eq!(vendor.inspector().records(Side::New), 1, "the one that was there");
    let seen = vendor.inspector().requests();
    assert!(seen.iter().any(|seen| seen.side == Some(Side::New)), "it was asked");
    assert!(seen.iter().filter(|seen| seen.side == Some(Side::New)).all(|seen| seen.method == Method::GET));
}

const MARK: &str = "s3cr3t";

fn marked(name: &str) -> String {
    format!("{MARK}-{name}")
}

/// A record with marks wherever a client, or a vendor gone wrong, could put something; the sides differ in all of it.
fn marked_records() -> (Value, Value) {
    let mut old = settled(&marked("ref"), WHEN);
    let mut new = new_record(&marked("ref"), WHEN);
    for (at, record) in [&mut old, &mut new].into_iter().enumerate() {
        for name in ["identity_id", "account_id"] {
            record[name] = json!(format!("{}-{at}", marked(name)));
        }
        record["metadata"] = json!({ marked("key"): format!("{}-{at}", marked("value")) });
        record["profile_id"] = json!(PROFILE);
    }
    for (name, at) in
        [("amount", "legacy"), ("source_asset", "legacy"), ("target_asset", "legacy"), ("status", "legacy")]
    {
        old[name] = json!(format!("{}-{at}", marked(name)));
    }
    old[marked("unknown")] = json!({ marked("inner"): marked("unknown") });
    (old, new)
}

#[tokio::test]
async fn nothing_of_a_clients_is_written() {
    let vendor = vendor().await;
    let (old, new) = marked_records();
    let id = vendor.inspector().seed_conversion(old);
    vendor.inspector().seed_orchestration(new);
    let refusal =
        |body| FaultKind::Status { code: StatusCode::FORBIDDEN, retry_after: None, body, applied: false };
    let mut shim = Shadowed::before(&vendor, &[("shadow.heartbeat", "50ms")]).await;
    shim.client.get(&id).await;
    let (record, line) = shim.record_and_line().await;
    assert!(record.diffs.len() >= 8, "the differences are logged: {line}");
    let mut lines = vec![line];
    for path in [
        format!("?ref_id={MARK}&cursor={MARK}&{MARK}={MARK}&page_cursor={MARK}"),
        format!("/{MARK}"),
        String::new(),
    ] {
        shim.client.ask(Method::GET, &format!("{LEGACY}{path}"), String::new()).await;
        lines.push(shim.record_and_line().await.1);
    }
    vendor.faults().arm(Fault::new(refusal(RefusalBody::Html)).on(Side::New, None).times(1));
    let stranger = shim.client.with_token(&marked("token"));
    for client in [shim.client.clone(), stranger] {
        client.get(&id).await;
        lines.push(shim.record_and_line().await.1);
    }
    let mut create = conversion(&marked("create"));
    create["metadata"] = json!({ marked("key"): marked("value") });
    for (name, value) in
        [("profile_id", marked("profile")), ("amount", marked("amount")), ("account_id", marked("account"))]
    {
        shim.client.post(&create).await;
        lines.push(shim.record_and_line().await.1);
        create[name] = json!(value);
    }
    shim.heartbeat().await;
    lines.extend(shim.end().iter().map(|line| serde_json::to_string(line).unwrap()));
    for line in lines {
        assert!(!line.contains(MARK), "{line}");
    }
}

#[tokio::test]
async fn records_are_capped_and_omissions_are_counted() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let keys = [("shadow.cap_per_signature", "3"), ("shadow.heartbeat", "1h")];
    let mut shim = Shadowed::before(&vendor, &keys).await;
    for _ in 0..10 {
        shim.client.get(&id).await.id();
    }
    for _ in 0..3 {
        assert_eq!(shim.record().await.suppressed, 0);
    }
    shim.counted(|tally| tally.all_done() == 10).await;
    let rest = shim.end();
    let [ShadowLine::Heartbeat(beat)] = &rest[..] else { panic!("{rest:?}") };
    let HeartbeatRecord { due, done, suppressed, .. } = &**beat;
    assert_eq!((*due, *done, suppressed.len(), suppressed[0].count), (10, 10, 1, 7), "{rest:?}");
}

#[tokio::test]
async fn a_new_window_records_what_the_last_one_omitted() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let url = vendor.base_url();
    let keys = [
        ("upstream.legacy.url", url.as_str()),
        ("upstream.new.url", url.as_str()),
        ("shadow.heartbeat", "1h"),
    ];
    let with = |cap| super::shadowed::config(&[&keys[..], &[("shadow.cap_per_signature", cap)]].concat());
    let mut shim = Shadowed::start(&keys).await;
    shim.current.store(with("1"));
    for _ in 0..3 {
        shim.client.get(&id).await.id();
    }
    shim.record().await;
    shim.counted(|tally| tally.all_done() == 3).await;
    shim.current.store(with("5"));
    shim.client.get(&id).await.id();
    assert_eq!(shim.record().await.suppressed, 2);
}

#[tokio::test]
async fn matches_are_written_by_sample_and_all_are_counted() {
    let vendor = vendor().await;
    let keys = [("shadow.match_sample", "0.0"), ("shadow.heartbeat", "1h")];
    let mut shim = Shadowed::before(&vendor, &keys).await;
    for at in 0..5 {
        shim.client.create(&format!("r{at}")).await.id();
    }
    shim.counted(|tally| tally.all_done() == 5).await;
    let rest = shim.end();
    let [ShadowLine::Heartbeat(beat)] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!(beat.suppressed[0].count, 5);
}
