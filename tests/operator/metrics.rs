//! `/metrics`: every metric that is exported is documented and the other way round, and the figures are those of what happened.

use std::collections::BTreeSet;

use conversion_shim::sandbox::{Fault, Kind, Operation, PROFILE, RefusalBody, Sandbox};
use conversion_shim::side::Side;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{Config, Shim};
use crate::{call, create, get, until, vendor};

const TOO_MANY: Kind = Kind::Status {
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
async fn everything() -> String {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"shadow\"\nbudget.shadow_share = 0\nlimits.in_flight.list = 1\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "r-1").await, StatusCode::OK);
    let list = shim.public("/v2/conversion/stablecoins");
    let gate =
        vendor.faults().plant(Fault::new(Kind::Gate { applied: true }).on(Side::Legacy, Operation::List));
    let waiting = tokio::spawn(get(list.clone()));
    gate.reached(1).await;
    assert_eq!(get(list).await.0, StatusCode::SERVICE_UNAVAILABLE, "one list at a time");
    gate.open();
    waiting.await.unwrap();
    let shadowed = until(|| metrics(&shim), |text| text.contains("shadow_dropped_total{")).await;
    let shadowed =
        if shadowed.contains("shadow_comparisons_total{") { shadowed } else { compared(&shim).await };

    let config = Config::new(&vendor);
    config.write("stage = \"canary\"\ncanary.percent = 3\ncanary.salt = \"s\"\ntracing.endpoint = \"http://127.0.0.1:9\"\n");
    shadowed + &metrics(&Shim::start(&config).await).await
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
        .plant(Fault::new(Kind::Reset { applied: true }).on(Side::New, Operation::Create).times(1));
    assert_eq!(create(&shim, "r-2").await, StatusCode::OK, "it had taken effect");
    let text = metrics(&shim).await;
    for (series, expected) in [
        ("creates_total{side=\"new\",outcome=\"accepted\"}", 2.0),
        ("creates_total{side=\"new\",outcome=\"refused\"}", 1.0),
        ("creates_total{side=\"new\",outcome=\"unknown\"}", 1.0),
        ("creates_total{side=\"legacy\",outcome=\"accepted\"}", 0.0),
        ("creates_without_ref_id_total{side=\"new\"}", 1.0),
        ("fences_total{side=\"legacy\",result=\"absent\"}", 2.0),
        ("fence_seconds_count{side=\"legacy\"}", 2.0),
        ("unknown_outcomes_total{side=\"new\"}", 1.0),
        ("unknown_outcome_resolutions_total{side=\"new\",resolution=\"found\"}", 1.0),
        ("requests_total{route=\"create\",mode=\"new\",side=\"new\",status_class=\"2xx\"}", 3.0),
        ("requests_total{route=\"create\",mode=\"new\",side=\"new\",status_class=\"4xx\"}", 1.0),
        ("request_seconds_count{route=\"create\"}", 4.0),
        ("upstream_calls_total{side=\"new\",outcome=\"broken\"}", 1.0),
        ("upstream_reachable{side=\"new\"}", 1.0),
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
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let list = shim.public("/v2/conversion/stablecoins");
    assert_eq!(get(list.clone()).await.0, StatusCode::OK);
    vendor.faults().plant(Fault::new(TOO_MANY).on(Side::New, Operation::List).times(1));
    assert_eq!(get(list).await.0, StatusCode::TOO_MANY_REQUESTS);
    get(shim.public("/v2/profiles")).await;
    let text = metrics(&shim).await;
    for (series, expected) in [
        ("list_pages_total{result=\"whole\"}", 1.0),
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
async fn reloads_and_the_config_in_force_are_told() {
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
    let standing = "conversion_shim_reload_refusal_standing";
    let text = until(|| metrics(&shim), |text| value(text, standing) == Some(1.0)).await;
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
    let (code, told) = ready().await;
    assert_eq!((code, &told["reasons"][0]["what"]), (StatusCode::SERVICE_UNAVAILABLE, &"new side".into()));
    assert!(told["reasons"][0]["since"].is_string(), "{told}");
    assert!(told["reasons"][0]["why"].as_str().unwrap().contains("refused"), "{told}");
    assert_eq!(value(&metrics(&shim).await, "conversion_shim_upstream_reachable{side=\"new\"}"), Some(0.0));

    let back = Sandbox::start(conversion_shim::sandbox::Options { listen: nobody, ..Default::default() })
        .await
        .unwrap();
    back.books().credit(PROFILE, "USD", "10");
    assert_eq!(create(&shim, "r-9").await, StatusCode::OK);
    assert_eq!(ready().await.0, StatusCode::OK);
}
