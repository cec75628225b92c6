//! What an operator sees, through the real binary and real HTTP: the admin listener, the commands `status` and `ledger`, and the
//! log lines about modes. The vendor is a sandbox in this process.

mod advisories;
mod audit;
mod commands;
mod full_disk;
mod ledger_file;
mod listener;
pub(crate) mod metrics;
mod page;
mod readiness;
mod refused;
mod refused_heads;
mod status;
mod traces;
mod upstream_failures;
mod usage;

use std::time::Duration;

use conversion_shim::sandbox::{Options, PROFILE, Sandbox, TOKEN};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::process::Shim;

/// A vendor with money in the default profile.
async fn vendor() -> Sandbox {
    // The HTTP client refuses to be built without it; the first of the tests wins, which is all that is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sandbox =
        Sandbox::start(Options { settle_after: Duration::MAX, ..Options::default() }).await.unwrap();
    assert!(sandbox.inspector().credit(PROFILE, "USD", "100000"));
    sandbox
}

async fn call(method: Method, url: String) -> (StatusCode, Value) {
    let answer = reqwest::Client::new().request(method, url).bearer_auth(TOKEN).send().await.unwrap();
    (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}

async fn get(url: String) -> (StatusCode, Value) {
    call(Method::GET, url).await
}

async fn create(shim: &Shim, ref_id: &str) -> StatusCode {
    let body = json!({
        "profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": ref_id,
    });
    let url = shim.public("/v2/conversion/stablecoins");
    reqwest::Client::new().post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap().status()
}

/// Asks again until the answer is as wished; one that never is, is a failure and not a hang.
async fn until<T: std::fmt::Debug, F: Future<Output = T>>(
    ask: impl Fn() -> F,
    wish: impl Fn(&T) -> bool,
) -> T {
    let mut last = None;
    for _ in 0..600 {
        let answer = ask().await;
        if wish(&answer) {
            return answer;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came true; the last answer was {last:?}");
}
