//! The whole way: the real program in stage `shadow` before a vendor with planted differences, its records in a file of their
//! own, and what `report` says of them.

use conversion_shim::sandbox::{PROFILE, Sandbox, TOKEN};
use serde_json::{Value, json};

use super::comparing::{WHEN, settled};
use crate::support::process::{Config, Shim, run, run_with};
use crate::support::test_bed::{LEGACY, conversion, new_record, vendor};

/// Low enough for a handful of requests; everything else as it comes.
const SMALL: &str = "stage = \"shadow\"\nadmin.listen = \"127.0.0.1:0\"\nshadow.match_sample = 1.0\n\
                     shadow.heartbeat = \"100ms\"\nbudget.per_second = 10000\nshadow.go.judged_min = 1\nshadow.go.counterparts_min = 1\n";

/// Asks for these, tells the program to end, and reports on what it wrote.
async fn reported(
    vendor: &Sandbox,
    ids: &[String],
    query: &str,
    page: Option<&str>,
) -> (Option<i32>, Value, String) {
    let config = Config::new(vendor);
    let log = config.sqlite().with_file_name("shadow.jsonl");
    config.write_only(&format!("{SMALL}shadow.log = \"{}\"\n", log.display()));
    let mut shim = Shim::start(&config).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let created = client.post(shim.public(LEGACY)).bearer_auth(TOKEN).json(&conversion("made")).send().await;
    assert_eq!(created.unwrap().status(), 200);
    let list = format!("{LEGACY}?{query}");
    for path in ids.iter().map(|id| format!("{LEGACY}/{id}")).chain([list]) {
        let answer = client.get(shim.public(&path)).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap();
    }
    let due = ids.len() + 2;
    let status = async {
        loop {
            let status: Value = client.get(shim.admin("/status")).send().await.unwrap().json().await.unwrap();
            if status["shadow"]["done"] == due {
                return status;
            }
        }
    };
    let status = crate::support::soon(status).await;
    assert_eq!(status["shadow"]["active"], true, "{status}");
    let reported = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
    assert!(
        reported.row("shadow").starts_with(&format!("comparing; {due} due, {due} compared, 0 dropped")),
        "{reported:?}"
    );
    shim.signal("-TERM");
    assert_eq!(shim.ended().await, Some(0));
    let log = log.to_str().unwrap();
    let json = run_with(&config.path(), &["report", "--format", "json", log]).await;
    let mut arguments = vec!["report", log];
    arguments.extend(page.into_iter().flat_map(|page| ["--html", page]));
    let text = run_with(&config.path(), &arguments).await;
    assert_eq!(text.code, json.code, "{text:?}");
    (json.code, json.json(), text.out)
}

fn seed(vendor: &Sandbox, ref_id: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (mut old, mut new) = (settled(ref_id, WHEN), new_record(ref_id, WHEN));
    change(&mut old, &mut new);
    vendor.inspector().seed_orchestration(new);
    vendor.inspector().seed_conversion(old)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_differences_are_each_named_and_say_no_go() {
    let vendor = vendor().await;
    let ids = [
        seed(&vendor, "value", |_, new| new["source_amount"] = json!("1.51")),
        seed(&vendor, "precision", |_, new| new["source_amount"] = json!("1.5")),
        seed(&vendor, "type", |old, _| old["amount"] = json!(1.5)),
        seed(&vendor, "missing", |old, _| old["account_id"] = json!("0b0f6f5e-1111-4222-8333-944444444444")),
        seed(&vendor, "extra", |_, new| {
            new["destination"]["profile"]["profile_id"] = json!("0b0f6f5e-5555-4222-8333-944444444444");
        }),
    ];
    for (ref_id, old, new) in [("a", "05", "06"), ("b", "06", "05")] {
        seed(&vendor, ref_id, |it, other| {
            it["created_at"] = json!(format!("2026-05-01T00:00:{old}Z"));
            other["created_at"] = json!(format!("2026-05-01T00:00:{new}Z"));
        });
    }
    let (code, report, text) = reported(
        &vendor,
        &ids,
        "created_at.begin=2026-05-01T00:00:00Z&created_at.end=2026-05-01T00:01:00Z",
        None,
    )
    .await;
    assert_eq!(code, Some(6), "{text}");
    let reported = report.to_string();
    for (kind, severity) in [
        ("value", "money"),
        ("precision", "cosmetic"),
        ("type", "money"),
        ("missing", "contract"),
        ("extra", "money"),
        ("order", "contract"),
    ] {
        let named = diffs(&report).any(|diff| diff["kind"] == kind && diff["severity"] == severity);
        assert!(named, "no {kind} of severity {severity} in {reported}");
    }
    assert!(text.contains("NO-GO"), "{text}");
}

/// Every difference in the report, wherever it stands.
fn diffs(report: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match report {
        Value::Object(fields) if fields.contains_key("kind") && fields.contains_key("path") => {
            Box::new(std::iter::once(report))
        }
        Value::Object(fields) => Box::new(fields.values().flat_map(diffs)),
        Value::Array(items) => Box::new(items.iter().flat_map(diffs)),
        _ => Box::new(std::iter::empty()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_differences_it_says_go() {
    let vendor = vendor().await;
    let ids: Vec<_> = (0..3)
        .map(|at| {
            seed(&vendor, &format!("r{at}"), |old, new| {
                // At one instant the order is each side's own.
                old["created_at"] = json!(format!("2026-04-20T10:00:0{at}Z"));
                new["created_at"] = old["created_at"].clone();
            })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let (code, report, text) =
        reported(&vendor, &ids, &format!("profile_id={PROFILE}&created_at.end={WHEN}"), page.to_str()).await;
    assert_eq!(code, Some(0), "{text}\n{report:#}");
    assert!(!text.contains("NO-GO"), "{text}");
    assert!(std::fs::read_to_string(page).unwrap().contains("GO"));
}

/// As many requests as one machine makes in a moment, all of them compared with nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_side_under_load_costs_no_memory() {
    let vendor = vendor().await;
    let id = seed(&vendor, "r", |_, _| {});
    let dead = super::isolation::nobody().await;
    let config = Config::new(&vendor);
    config.write_only(SMALL);
    let shim = Shim::serve(&[
        "--config",
        config.path().to_str().unwrap(),
        "--set",
        &format!("upstream.new.url={dead}"),
    ])
    .await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let storm = async |requests: usize| {
        for _ in 0..requests / 50 {
            let asking =
                (0..50).map(|_| client.get(shim.public(&format!("{LEGACY}/{id}"))).bearer_auth(TOKEN).send());
            for answer in futures_util::future::join_all(asking).await {
                assert_eq!(answer.unwrap().status(), 200);
            }
        }
        shim.resident()
    };
    let before = storm(500).await;
    let after = storm(3000).await;
    assert!(after < before + (32 << 20), "from {before} to {after}");
    let status: Value = client.get(shim.admin("/status")).send().await.unwrap().json().await.unwrap();
    assert_eq!(status["shadow"]["due"], 3500, "{status}");
}

const MARK: &str = "s3cr3t";

/// A record on both sides with marks in all that is the client's own, different on each.
fn seed_marked(vendor: &Sandbox) -> String {
    seed(vendor, &format!("{MARK}-ref"), |old, new| {
        for (at, record) in [old, new].into_iter().enumerate() {
            record["metadata"] = json!({ format!("{MARK}-key"): format!("{MARK}-{at}") });
            record["account_id"] = json!(format!("{MARK}-{at}"));
            record["identity_id"] = json!(format!("{MARK}-{at}"));
        }
    })
}

/// Everything that a client or a vendor could put somewhere is marked, but for what is logged by design: path and request id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_marked_is_in_any_log_or_report() {
    let vendor = vendor().await;
    let id = seed_marked(&vendor);
    let config = Config::new(&vendor);
    // Records go to standard output here, among the other lines, which are all there are.
    config.write_only(&format!("{SMALL}log.filter = \"trace\"\n"));
    let mut shim = Shim::start(&config).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let marked = |request: reqwest::RequestBuilder| {
        let headers = ["cookie", "user-agent", "x-anything", "referer"];
        headers.into_iter().fold(request, |request, name| request.header(name, format!("{MARK}-{name}")))
    };
    let mut body = conversion(&format!("{MARK}-create"));
    body["metadata"] = json!({ format!("{MARK}-key"): format!("{MARK}-value") });
    body["account_id"] = json!(format!("{MARK}-account"));
    let list = format!("{LEGACY}?ref_id={MARK}-ref&{MARK}={MARK}");
    let requests = [
        client.post(shim.public(LEGACY)).bearer_auth(TOKEN).json(&body),
        client.get(shim.public(&format!("{LEGACY}/{id}"))).bearer_auth(TOKEN),
        client.get(shim.public(&list)).bearer_auth(TOKEN),
        client.get(shim.public(&format!("{LEGACY}/{id}"))).bearer_auth(format!("{MARK}-token")),
    ];
    let due = requests.len();
    for request in requests {
        marked(request).send().await.unwrap().bytes().await.unwrap();
    }
    let all_done = async {
        loop {
            let status = client.get(shim.admin("/status")).send().await.unwrap().text().await.unwrap();
            if serde_json::from_str::<Value>(&status).unwrap()["shadow"]["done"] == due {
                return status;
            }
        }
    };
    let status = crate::support::soon(all_done).await;
    shim.signal("-TERM");
    assert_eq!(shim.ended().await, Some(0));
    let lines: Vec<String> = shim.log().iter().map(Value::to_string).collect();
    assert!(lines.iter().any(|line| line.contains("\"line\":\"comparison\"") && line.contains("account_id")));
    let log = config.file("all.log", &lines.join("\n"));
    let page = config.file("page.html", "");
    let (log, page) = (log.to_str().unwrap(), page.to_str().unwrap());
    let json = run_with(&config.path(), &["report", "--format", "json", log]).await;
    let text = run_with(&config.path(), &["report", "--html", page, log]).await;
    assert!(text.out.contains("account_id"), "the differences are reported: {text:?}");
    let page = std::fs::read_to_string(page).unwrap();
    let errors = crate::support::process::read_all(shim.stderr());
    for reported in lines.iter().chain([&status, &json.out, &json.err, &text.out, &text.err, &page, &errors])
    {
        assert!(!reported.contains(MARK), "{reported}");
    }
}
