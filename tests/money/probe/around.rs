//! What a probe sees beside lists: when a record can be read by its id, what a token may, and whether the profile has funds.

use std::time::Duration;

use conversion_shim::sandbox::{
    CUSTOMER, Fault, FaultKind, GrantedScopes, HiddenRecords, Operation, PROFILE, RefusalBody, SCOPES, TOKEN,
    Variants,
};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use serde_json::json;

use super::{CREDENTIALS, fact, how, prepared, probe};
use crate::identity::Deployment;

const JSON: [&str; 6] = ["--profile-id", PROFILE, "--settle", "2s", "--format", "json"];
const READ: [&str; 3] = ["--read-only", "--format", "json"];

fn refusal(code: StatusCode) -> FaultKind {
    FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false }
}

fn milliseconds(value: &serde_json::Value) -> i128 {
    value.as_str().unwrap().parse::<jiff::SignedDuration>().unwrap().as_millis()
}

#[tokio::test]
async fn how_long_a_get_denies_a_record_is_measured_on_each_side() {
    let (deployment, _) = prepared().await;
    let lag = FaultKind::Lag(HiddenRecords::YoungerThan(Duration::from_millis(900)));
    let lag = deployment.vendor.faults().arm(Fault::new(lag).on(Side::New, Operation::Get));
    let ran = probe(&deployment, &JSON).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found = ran.json();
    assert!((900..2100).contains(&milliseconds(fact(&found, "id_lag_new"))), "{found}");
    for name in ["id_lag_legacy", "list_lag_legacy", "list_lag_new"] {
        assert!(milliseconds(fact(&found, name)) < 500, "{name}: {found}");
    }
    deployment.vendor.faults().remove(&lag);

    // It never shows within the time: no number is made up, and the rest is found all the same.
    let never = FaultKind::Lag(HiddenRecords::YoungerThan(Duration::from_secs(60)));
    let never = deployment.vendor.faults().arm(Fault::new(never).on(Side::Legacy, Operation::Get));
    let ran = probe(&deployment, &JSON).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found = ran.json();
    assert_eq!(fact(&found, "id_lag_legacy"), "not known", "{found}");
    assert!(how(&found, "id_lag_legacy").contains("404 for longer than --settle"), "{found}");
    assert_eq!(fact(&found, "ref_match"), "exact", "{found}");
    deployment.vendor.faults().remove(&never);

    // The first get is of an unknown id.
    let down = Fault::new(refusal(StatusCode::SERVICE_UNAVAILABLE)).on(Side::New, Operation::Get).after(1);
    deployment.vendor.faults().arm(down);
    let ran = probe(&deployment, &JSON).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fact(&ran.json(), "id_lag_new"), "not known", "{ran:?}");
    assert!(how(&ran.json(), "id_lag_new").contains("503"), "{ran:?}");
}

#[tokio::test]
async fn the_scopes_of_each_token_are_those_of_its_answer() {
    let (deployment, keys) = prepared().await;
    let asked = format!("auth.new.scopes = [\"{}\", \"{}\"]", SCOPES[2], SCOPES[3]);
    deployment.write(&format!("{keys}\n{asked}"));
    let ran = probe(&deployment, &READ).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fact(&ran.json(), "scopes_legacy"), &json!(SCOPES.join(" ")), "{ran:?}");
    assert_eq!(fact(&ran.json(), "scopes_new"), &json!(format!("{} {}", SCOPES[2], SCOPES[3])), "{ran:?}");
    assert!(fact(&ran.json(), "scopes_lookup").is_null(), "there are no such credentials: {ran:?}");

    let grant = |granted_scopes| {
        deployment.vendor.inspector().set_variants(Variants { granted_scopes, ..Variants::default() });
    };
    grant(GrantedScopes::Reading);
    let ran = probe(&deployment, &READ).await;
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let findings = ran.json()["findings"].to_string();
    assert!(findings.contains("scopes_new") && findings.contains(SCOPES[3]), "{findings}");
    assert!(!findings.contains("scopes_legacy"), "nothing was asked for: {findings}");

    grant(GrantedScopes::Unnamed);
    let ran = probe(&deployment, &READ).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fact(&ran.json(), "scopes_new"), "not known", "{ran:?}");

    let token = deployment.path("token");
    std::fs::write(&token, TOKEN).unwrap();
    let ran = probe(&deployment, &[&READ[..], &["--token-file", token.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fact(&ran.json(), "scopes"), "not known", "{ran:?}");
    assert!(how(&ran.json(), "scopes").contains("--token-file"), "{ran:?}");
    assert!(CREDENTIALS.contains("auth.new"));
}

/// Deposits that arrived.
fn deposits(deployment: &Deployment) -> Vec<String> {
    let requests = deployment.vendor.inspector().requests();
    let deposits = requests.iter().filter(|request| request.path_and_query.ends_with("/deposit"));
    deposits.map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
}

#[tokio::test]
async fn a_profile_without_funds_gets_what_the_conversions_need() {
    let (deployment, _) = prepared().await;
    let inspector = deployment.vendor.inspector();
    inspector.open_profile(CUSTOMER, "empty");
    let poor = ["--profile-id", "empty", "--settle", "1s", "--format", "json", "--amount", "0.50"];
    let ran = probe(&deployment, &poor).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fact(&ran.json(), "funded"), "3 USD", "{ran:?}");
    assert_eq!(inspector.balance("empty", "USD"), "0", "no more than they need");
    assert_eq!(deposits(&deployment), [r#"{"asset":"USD","amount":"3"}"#]);

    let log = deployment.path("pairs.jsonl");
    let pairs =
        ["--profile-id", "empty", "--settle", "1s", "--pairs", "2", "--pairs-log", log.to_str().unwrap()];
    let ran = probe(&deployment, &pairs).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(deposits(&deployment).len(), 2);
    // Reading alone moves nothing.
    assert_eq!(probe(&deployment, &READ).await.code, Some(0));
    assert_eq!(deposits(&deployment).len(), 2);
}

#[tokio::test]
async fn real_money_is_converted_in_the_smallest_amount() {
    let (deployment, _) = prepared().await;
    let inspector = deployment.vendor.inspector();
    inspector.open_profile(CUSTOMER, "small");
    let write = ["--write", "--i-understand-this-converts-money", "--profile-id", "small", "--settle", "1s"];
    for (more, deposited) in
        [(&["--format", "json"][..], "0.06 USD"), (&["--format", "json", "--amount", "2"], "12 USD")]
    {
        let ran = probe(&deployment, &[&write[..], more].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(fact(&ran.json(), "funded"), deposited, "{ran:?}");
        assert_eq!(inspector.balance("small", "USD"), "0", "what was deposited was converted");
    }
}

#[tokio::test]
async fn a_deposit_is_sent_once_whatever_comes_of_it() {
    let (deployment, _) = prepared().await;
    for (fault, word) in [
        (refusal(StatusCode::FORBIDDEN), "403"),
        (refusal(StatusCode::UNAUTHORIZED), "token was refused"),
        (FaultKind::Reset { applied: true }, "could not be asked"),
    ] {
        let before = deposits(&deployment).len();
        let fault = Fault::new(fault).on(None, Operation::Other);
        let fault = deployment.vendor.faults().arm(fault);
        let ran = probe(&deployment, &JSON).await;
        deployment.vendor.faults().remove(&fault);
        assert_eq!(ran.code, Some(0), "the profile has funds of its own: {ran:?}");
        assert_eq!(fact(&ran.json(), "funded"), "no", "{ran:?}");
        assert!(how(&ran.json(), "funded").contains(word), "{word}: {ran:?}");
        assert_eq!(deposits(&deployment).len(), before + 1, "{word}");
    }
}
