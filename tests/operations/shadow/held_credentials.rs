//! Shadow while the proxy holds the credentials: its reads bear the proxy's own tokens, and what a caller showed at the door goes
//! nowhere.

use conversion_shim::sandbox::{
    CUSTOMER, OAuthClient, Operation, Options, PROFILE, ReceivedRequest, SCOPES, Sandbox,
};
use conversion_shim::shadow::types::{Recheck, Verdict};
use conversion_shim::translate::side::Side;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::comparing::{WHEN, settled};
use super::shadowed::Shadowed;
use crate::support::test_bed::{Caller, FILE, new_record};

const TOKEN: &str = "caller-7f3a";

/// A vendor that gives each of the proxy's clients the scopes of its own side only.
async fn vendor() -> Sandbox {
    let client = |id: &str, scopes: &[&str]| OAuthClient {
        id: id.to_owned(),
        secret: "s3cret".to_owned(),
        customer: CUSTOMER.to_owned(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let clients = vec![client("legacy", &SCOPES[..2]), client("new", &SCOPES[2..4])];
    Sandbox::start(Options { clients, settle_after: std::time::Duration::MAX, ..Options::default() })
        .await
        .unwrap()
}

async fn shadowed(vendor: &Sandbox) -> (Shadowed, Caller, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let digest: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let config = format!(
        "[auth]
mode = \"client_credentials\"
legacy = {{ client_id = \"legacy\", client_secret = \"s3cret\" }}
new = {{ client_id = \"new\", client_secret = \"s3cret\" }}
[[auth.callers]]
name = \"caller\"
token_sha256 = \"{digest}\"
scopes = [\"read\", \"write\"]
"
    );
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, config).unwrap();
    let token_url = vendor.token_url();
    let keys = [(FILE, file.to_str().unwrap()), ("upstream.oauth.url", token_url.as_str())];
    let shim = Shadowed::before(vendor, &keys).await;
    let caller = shim.client.with_token(TOKEN);
    (shim, caller, dir)
}

/// The credentials of every request to a side.
fn shown(vendor: &Sandbox, side: Side) -> Vec<String> {
    let at = |seen: &ReceivedRequest| seen.side == Some(side);
    let seen = vendor.inspector().requests().into_iter().filter(at);
    seen.map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn shadow_reads_with_the_proxys_own_tokens() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let mut other = new_record("r", WHEN);
    other["source_amount"] = json!("1.51");
    vendor.inspector().seed_orchestration(other);
    let (mut shim, caller, _dir) = shadowed(&vendor).await;
    assert_eq!(caller.get(&id).await.id(), id);
    // It differs, so both sides were read again: the vendor took every token for the side to which it came.
    let record = shim.record().await;
    assert_eq!((record.verdict, record.recheck), (Verdict::Mismatch, Some(Recheck::Stays)), "{record:?}");
    assert_eq!(caller.list(&format!("profile_id={PROFILE}")).await.status, 200);
    assert_eq!(shim.record().await.verdict, Verdict::Mismatch);
    let (legacy, new) = (shown(&vendor, Side::Legacy), shown(&vendor, Side::New));
    assert!(legacy.len() >= 4 && new.len() >= 4, "{} {}", legacy.len(), new.len());
    assert!(legacy.iter().all(|shown| !new.contains(shown)), "each side has its own");
    for seen in vendor.inspector().requests() {
        let arrived = format!("{:?} {} {:?}", seen.headers, seen.path_and_query, seen.body);
        assert!(!arrived.contains(TOKEN), "{arrived}");
    }
}

#[tokio::test]
async fn shadow_reads_nothing_for_an_unauthenticated_caller() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let (mut shim, caller, _dir) = shadowed(&vendor).await;
    let stranger = caller.with_token(&vendor.issue_token(CUSTOMER, &SCOPES));
    stranger.get(&id).await.problem(401);
    stranger.list("").await.problem(401);
    stranger.create("another").await.problem(401);
    assert_eq!(caller.get(&id).await.id(), id);
    assert_eq!(shim.record().await.verdict, Verdict::NoCounterpart, "the first comparison is the caller's");
    assert_eq!(shim.shadow.stats().all_due().to_string(), "1");
    assert_eq!(vendor.inspector().arrived(Side::Legacy, Operation::Get), 1);
    assert!(shim.end().iter().all(|line| !format!("{line:?}").contains(TOKEN)));
}
