//! `/metrics`: every metric that is exported is documented and the other way round, and the figures are those of what happened.

use std::collections::BTreeSet;

use conversion_shim::sandbox::{Fault, FaultKind, Operation, PROFILE, RefusalBody, Sandbox};
use conversion_shim::translate::side::Side;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{call, create, get, until, vendor};
use crate::support::process::{Config, Shim, run};
use crate::support::test_bed::{new_record, old_record};

const TOO_MANY: FaultKind = FaultKind::Status {
    code: StatusCode::TOO_MANY_REQUESTS,
    retry_after: None,
    body: RefusalBody::Problem,
    applied: false,
};

async fn metrics(shim: &Shim) -> String {
    let answer = reqwest::get(shim.admin("/metrics")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    answer.text().await.unwrap()
}

/// The value of one series; `None` when it is not there.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap_or_else(|_| panic!("{series} is {line}")))
}

/// The names by which metrics are asked for, as their types make them.
fn exported(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = types.map(|(name, kind)| match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        "gauge" | "histogram" => name.to_owned(),
        other => panic!("{name} is a {other}"),
    });
    names.collect()
}

fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, _)| name.to_owned()).collect()
}

async fn send(shim: &Shim, body: Value) -> StatusCode {
    let url = shim.public("/v2/conversion/stablecoins");
    let client = reqwest::Client::new().post(url).bearer_auth(conversion_shim::sandbox::TOKEN);
    client.json(&body).send().await.unwrap().status()
}

/// Every kind of thing that is counted, over three configs that exclude each other.
pub(crate) async fn everything() -> String {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"shadow\"\nbudget.shadow_share = 0\nlimits.in_flight.list = 1\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "r-1").await, StatusCode::OK);
    let list = shim.public("/v2/conversion/stablecoins");
    let gate =
        vendor.faults().arm(Fault::new(FaultKind::Gate { applied: true }).on(Side::Legacy, Operation::List));
    let waiting = tokio::spawn(get(list.clone()));
    gate.reached(1).await;
    assert_eq!(get(list).await.0, StatusCode::SERVICE_UNAVAILABLE, "one list at a time");
    gate.open();
    waiting.await.unwrap();
    let shadowed = until(|| metrics(&shim), |text| text.contains("shadow_dropped_total{")).await;
    let shadowed =
        if shadowed.contains("shadow_comparisons_total{") { shadowed } else { compared(&shim).await };

    let config = Config::new(&vendor);
    config.write(
        "stage = \"canary\"\nfacts.found_at = \"2026-11-01T00:00:00Z\"\ncanary.percent = 3\ncanary.salt = \"s\"\ntracing.endpoint = \"http://127.0.0.1:9\"\n\
         reconcile.every = \"1s\"\nauth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"\n",
    );
    let shim = Shim::start(&config).await;
    // Before the 429, after which walks have no turn.
    until(|| metrics(&shim), |text| text.contains("reconcile_last_clean_timestamp")).await;
    vendor.faults().arm(Fault::new(TOO_MANY).on(Side::Legacy, Operation::List).times(1));
    get(shim.public("/v2/conversion/stablecoins")).await;
    shadowed + &metrics(&shim).await
}

async fn compared(shim: &Shim) -> String {
    until(|| metrics(shim), |text| text.contains("shadow_comparisons_total{")).await
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_exported() {
    let text = everything().await;
    assert_eq!(exported(&text), documented());
    for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
        assert!(line.ends_with('.') && !line.ends_with(".."), "{line}");
    }
}

#[tokio::test]
async fn what_happens_to_creates_is_counted() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "r-1").await, StatusCode::OK);
    assert_eq!(create(&shim, "r-1").await, StatusCode::CONFLICT);
    let bare = json!({"profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD"});
    assert_eq!(send(&shim, bare).await, StatusCode::OK);
    vendor
        .faults()
        .arm(Fault::new(FaultKind::Reset { applied: true }).on(Side::New, Operation::Create).times(1));
    assert_eq!(create(&shim, "r-2").await, StatusCode::OK, "it had taken effect");
    let text = metrics(&shim).await;
    for (series, expected) in [
        ("creates_total{side=\"new\",outcome=\"accepted\"}", 2.0),
        ("creates_total{side=\"new\",outcome=\"refused\"}", 0.0),
        ("creates_total{side=\"new\",outcome=\"unknown\"}", 1.0),
        ("creates_total{side=\"legacy\",outcome=\"accepted\"}", 0.0),
        ("creates_without_ref_id_total{side=\"new\"}", 1.0),
        ("duplicate_checks_total{side=\"legacy\",result=\"absent\"}", 2.0),
        ("duplicate_check_seconds_count{side=\"legacy\"}", 2.0),
        ("unknown_outcomes_total{side=\"new\"}", 1.0),
        ("unknown_outcome_resolutions_total{side=\"new\",resolution=\"found\"}", 1.0),
        ("requests_total{route=\"create\",mode=\"new\",side=\"new\",status_class=\"2xx\"}", 3.0),
        ("requests_total{route=\"create\",mode=\"new\",side=\"new\",status_class=\"4xx\"}", 1.0),
        ("request_seconds_count{route=\"create\"}", 4.0),
        ("upstream_calls_total{side=\"new\",outcome=\"broken\"}", 1.0),
        ("upstream_reachable{side=\"new\",lane=\"create\"}", 1.0),
        ("ledger_up", 1.0),
    ] {
        let series = format!("conversion_shim_{series}");
        assert_eq!(value(&text, &series), Some(expected), "{series}\n{text}");
    }
    assert!(value(&text, "conversion_shim_ledger_commits_total").unwrap() >= 3.0);
    assert!(
        !text.contains("shadow_active") && !text.contains("canary_percent"),
        "means nothing here: {text}"
    );
}

#[tokio::test]
async fn lists_throttling_and_pass_through_are_counted() {
    let vendor = vendor().await;
    // An empty list on a reused connection would be asked for once more.
    vendor.inspector().seed_conversion(old_record("old", "2026-01-01T00:00:00Z"));
    vendor.inspector().seed_orchestration(new_record("new", "2026-01-01T00:00:00Z"));
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let list = shim.public("/v2/conversion/stablecoins");
    assert_eq!(get(list.clone()).await.0, StatusCode::OK);
    vendor.faults().arm(Fault::new(TOO_MANY).on(Side::New, Operation::List).times(1));
    assert_eq!(get(list).await.0, StatusCode::TOO_MANY_REQUESTS);
    get(shim.public("/v2/profiles")).await;
    let text = metrics(&shim).await;
    for (series, expected) in [
        ("list_pages_total{result=\"complete\"}", 1.0),
        ("list_pages_total{result=\"failed\"}", 1.0),
        ("list_page_upstream_calls_count", 2.0),
        ("list_page_upstream_calls_sum", 4.0),
        ("upstream_throttled_total{side=\"new\"}", 1.0),
        ("upstream_throttled_total{side=\"legacy\"}", 0.0),
        ("requests_in_flight{route=\"list\"}", 0.0),
        ("request_seconds_count{route=\"pass_through\"}", 1.0),
    ] {
        let series = format!("conversion_shim_{series}");
        assert_eq!(value(&text, &series), Some(expected), "{series}\n{text}");
    }
    assert!(value(&text, "process_open_fds").unwrap() > 3.0);
    assert!(value(&text, "process_resident_memory_bytes").unwrap() > 1e6);
}

#[tokio::test]
async fn rate_limit_metrics_have_endpoint_and_class_and_unknown_values_are_absent() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"sealed\"\nbudget = { per_second = 1, wait_max = \"0s\", cooldown = \"1h\", cooldown_max = \"1h\" }\n");
    let shim = Shim::start(&config).await;
    let (record, text) = (shim.public("/v2/conversion/stablecoins/none"), metrics(&shim).await);
    let of = |text: &str, series: &str| value(text, &format!("conversion_shim_budget_{series}"));
    let new_get = "{side=\"new\",endpoint=\"get\"}";
    let by = |class: &str| format!("{{side=\"new\",endpoint=\"get\",class=\"{class}\"}}");
    for (series, expected) in [
        ("calls_per_second".to_owned(), Some(1.0)),
        ("cooldown_left_seconds".into(), Some(0.0)),
        (format!("allowed_calls_per_second{new_get}"), Some(0.9)),
        (format!("waiting{}", by("client")), Some(0.0)),
        (format!("calls_total{}", by("shadow")), Some(0.0)),
        (format!("refused_total{}", by("lookup")), Some(0.0)),
        ("calls_total{side=\"none\",endpoint=\"token\",class=\"client\"}".into(), Some(0.0)),
        (format!("last_429_timestamp_seconds{new_get}"), None),
        (format!("refused_total{}", by("shadow")), None),
        (format!("waiting{}", by("shadow")), None),
    ] {
        let reported = of(&text, &series).map(|reported| (reported * 100.0).round() / 100.0);
        assert_eq!(reported, expected, "{series}\n{text}");
    }

    let (mut served, mut refused) = (0.0, 0.0);
    for _ in 0..50 {
        match get(record.clone()).await.0 {
            StatusCode::NOT_FOUND => served += 1.0,
            StatusCode::TOO_MANY_REQUESTS => refused += 1.0,
            other => panic!("{other}"),
        }
    }
    let text = metrics(&shim).await;
    assert!(refused > 0.0);
    // A 404 on a connection that was used before is asked for once more, on another one.
    let calls = of(&text, &format!("calls_total{}", by("client"))).unwrap();
    assert!(served < calls && calls <= 2.0 * (served + refused), "{text}");
    assert_eq!(of(&text, &format!("refused_total{}", by("client"))), Some(refused), "{text}");

    vendor.faults().arm(Fault::new(TOO_MANY).on(Side::New, Operation::List).times(1));
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, StatusCode::TOO_MANY_REQUESTS);
    let text = metrics(&shim).await;
    assert!(of(&text, "cooldown_left_seconds").unwrap() > 3000.0, "{text}");
    let last = of(&text, "last_429_timestamp_seconds{side=\"new\",endpoint=\"list\"}").unwrap();
    assert!(last >= value(&text, "process_start_time_seconds").unwrap(), "{text}");
    assert!(of(&text, &format!("allowed_calls_per_second{new_get}")).unwrap() < 0.9, "slowed: {text}");
}

/// A duplicate check, a comparison and a client's own call to one endpoint are counted separately.
#[tokio::test]
async fn calls_are_counted_by_class() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "r-1").await, StatusCode::OK);
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, StatusCode::OK);
    let by = |side: &str, class: &str| {
        format!("conversion_shim_budget_calls_total{{side=\"{side}\",endpoint=\"list\",class=\"{class}\"}}")
    };
    let text = metrics(&shim).await;
    for (side, class, expected) in
        [("legacy", "lookup", 1.0), ("legacy", "client", 1.0), ("new", "client", 1.0), ("new", "lookup", 0.0)]
    {
        assert_eq!(value(&text, &by(side, class)), Some(expected), "{side} {class}\n{text}");
    }
    let config = Config::new(&vendor);
    config.write("stage = \"shadow\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, StatusCode::OK);
    let text = until(|| metrics(&shim), |text| value(text, &by("new", "shadow")) > Some(0.0)).await;
    assert_eq!(value(&text, &by("new", "client")), Some(0.0), "{text}");
    assert_eq!(value(&text, &by("legacy", "client")), Some(1.0), "{text}");
    let reported = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
    assert!(reported.out.contains(" by shadow), 0 waiting, 0 refused"), "{reported:?}");
}

#[tokio::test]
async fn reloads_and_the_active_config_are_exported() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(call(Method::POST, shim.admin("/metrics")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    config.write("stage = \"ready\"\n");
    let accepted = "conversion_shim_reloads_total{result=\"accepted\"}";
    let text = until(|| metrics(&shim), |text| value(text, accepted) == Some(1.0)).await;
    let hash = get(shim.admin("/status")).await.1["config"]["hash"].as_str().unwrap().to_owned();
    assert!(
        text.contains(&format!("conversion_shim_config_info{{hash=\"{hash}\",stage=\"ready\"}} 1")),
        "{text}"
    );
    assert!(text.contains("conversion_shim_route_mode_info{route=\"list\",mode=\"both\"} 1"), "{text}");
    config.write("stage = \"nonsense\"\n");
    let successful = "conversion_shim_config_last_reload_successful";
    assert_eq!(value(&text, successful), Some(1.0), "{text}");
    let text = until(|| metrics(&shim), |text| value(text, successful) == Some(0.0)).await;
    assert_eq!(value(&text, "conversion_shim_reloads_total{result=\"refused\"}"), Some(1.0), "{text}");
}

/// A side that nobody can connect to takes the process out of service, and an answer brings it back; one error does neither.
#[tokio::test]
async fn readiness_flips_with_a_side_and_says_why() {
    let vendor = vendor().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let (file, away) = (config.path(), format!("upstream.new.url=http://{nobody}/v2"));
    let shim = Shim::serve(&["--config", file.to_str().unwrap(), "--set", &away]).await;
    let ready = || get(shim.admin("/readyz"));
    for already in 0..5 {
        assert_eq!(ready().await.0, StatusCode::OK, "after {already} failures");
        assert_eq!(create(&shim, &format!("r-{already}")).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    let (code, reported) = ready().await;
    assert_eq!(
        (code, &reported["reasons"][0]["kind"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"new side, create lane".into())
    );
    assert!(reported["reasons"][0]["since"].is_string(), "{reported}");
    assert!(reported["reasons"][0]["detail"].as_str().unwrap().contains("refused"), "{reported}");
    assert_eq!(
        value(&metrics(&shim).await, "conversion_shim_upstream_reachable{side=\"new\",lane=\"create\"}"),
        Some(0.0)
    );

    let back = Sandbox::start(conversion_shim::sandbox::Options { listen: nobody, ..Default::default() })
        .await
        .unwrap();
    back.inspector().credit(PROFILE, "USD", "10");
    assert_eq!(create(&shim, "r-9").await, StatusCode::OK);
    assert_eq!(ready().await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_native_create_that_cannot_be_recorded_is_forwarded_and_counted() {
    use sqlx::{ConnectOptions as _, Executor as _};
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\nledger.timeout = \"300ms\"\n");
    let shim = Shim::start(&config).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(config.sqlite());
    let mut busy = options.connect().await.unwrap();
    busy.execute("BEGIN IMMEDIATE").await.unwrap();
    let body =
        json!({"ref_id": "r-1", "source_amount": "1", "source_asset": "USD", "destination_asset": "PYUSD"});
    let url = shim.public("/v2/orchestration/orchestrations");
    let native = reqwest::Client::new().post(url).bearer_auth(conversion_shim::sandbox::TOKEN).json(&body);
    assert_eq!(native.send().await.unwrap().status(), StatusCode::OK);
    let text = metrics(&shim).await;
    assert_eq!(value(&text, "conversion_shim_native_creates_unrecorded_total"), Some(1.0), "{text}");
    busy.execute("ROLLBACK").await.unwrap();
    // One whose reference the vendor may read in another way than the proxy.
    let url = shim.public("/v2/orchestration/orchestrations");
    let native = reqwest::Client::new().post(url).bearer_auth(conversion_shim::sandbox::TOKEN);
    native.body(r#"{"ref_id":"\q"}"#).send().await.unwrap();
    let text = metrics(&shim).await;
    assert_eq!(value(&text, "conversion_shim_native_creates_unrecorded_total"), Some(2.0), "{text}");
}

/// Whichever way it is found, and with both ids in the log.
#[tokio::test]
async fn a_reference_on_both_sides_is_counted_and_logged() {
    let vendor = vendor().await;
    let at = "2026-01-01T00:00:00Z";
    let old = json!({"profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "status": "SETTLED",
        "ref_id": "r-1", "created_at": at, "updated_at": at, "metadata": {"k": "never in a log"}});
    let new = json!({"profile_id": PROFILE, "source_amount": "1", "source_asset": "USD", "destination_asset": "PYUSD",
        "status": "COMPLETED", "ref_id": "r-1", "created_at": at, "updated_at": at, "metadata": {"k": "never in a log"}});
    let (old, new) = (vendor.inspector().seed_conversion(old), vendor.inspector().seed_orchestration(new));
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let counted = |text: &str| {
        ["list", "duplicate_check"].map(|by| {
            value(text, &format!("conversion_shim_double_suspected_total{{found_by=\"{by}\"}}")).unwrap()
        })
    };
    assert_eq!(counted(&metrics(&shim).await), [0.0, 0.0]);
    let list = shim.public("/v2/conversion/stablecoins");
    assert_eq!(get(list.clone()).await.0, StatusCode::OK);
    let logged = shim.logged("one ref_id on both sides: a suspected double").await;
    assert_eq!((&logged["level"], &logged["target"]), (&"WARN".into(), &"routes".into()), "{logged}");
    assert_eq!(
        (logged["legacy_id"].as_str(), logged["new_id"].as_str()),
        (Some(&*old), Some(&*new)),
        "{logged}"
    );
    // Once, however often clients ask.
    for _ in 0..3 {
        assert_eq!(create(&shim, "r-1").await, StatusCode::CONFLICT);
        assert_eq!(get(list.clone()).await.0, StatusCode::OK);
        assert_eq!(counted(&metrics(&shim).await), [1.0, 1.0]);
    }
    assert!(!format!("{:?}", shim.log()).contains("never in a log"));

    // Where new is known to list such records, they are one.
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\nfacts.mirror = \"other_id\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, StatusCode::OK);
    assert_eq!(create(&shim, "r-1").await, StatusCode::CONFLICT);
    let text = metrics(&shim).await;
    assert_eq!(counted(&text), [0.0, 0.0]);
    assert_eq!(value(&text, "conversion_shim_list_rows_dropped_total{reason=\"mirrored\"}"), Some(1.0));
}
