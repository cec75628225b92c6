//! The sandbox does what the vendor documents, and fails as armed. All through its socket.

mod apis;
mod faults;
mod lists;
mod variants;

use std::collections::BTreeSet;
use std::time::Duration;

use conversion_shim::sandbox::{
    CUSTOMER, EmptyList, Fault, FaultKind, ForeignRecord, GrantedScopes, HiddenRecords, ListOrder, ListShape,
    ListsNothing, Mirror, OAuthClient, Operation, Options, OrchestrationOutcome, PROFILE, ProfileFilter,
    RefMatch, RefusalBody, RepeatedRef, SCOPES, SECOND_PROFILE, Sandbox, StaleCursor, TOKEN, Tally,
    TimeBounds, Variants,
};
use conversion_shim::translate::side::Side;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::soon;

const LEGACY: &str = "/conversion/stablecoins";
const NEW: &str = "/orchestration/orchestrations";

struct Caller {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Caller {
    fn of(sandbox: &Sandbox) -> Self {
        crypto();
        Self { http: reqwest::Client::new(), base: sandbox.base_url(), token: TOKEN.to_owned() }
    }

    fn with_token(mut self, token: String) -> Self {
        self.token = token;
        self
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.ask(Method::GET, path)).await
    }

    async fn delete(&self, path: &str) -> (StatusCode, Value) {
        read(self.ask(Method::DELETE, path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        read(self.ask(Method::POST, path).body(body.to_string())).await
    }

    async fn create(&self, ref_id: &str) -> Value {
        let (status, body) = self.post(LEGACY, &conversion(ref_id)).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

/// The HTTP client refuses to be built without it, plain HTTP or not.
fn crypto() {
    // The first of the tests wins, which is all that is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn read(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn quiet() -> Options {
    Options { settle_after: Duration::MAX, ..Options::default() }
}

/// A sandbox with 1000 USD in the default profile.
async fn funded(options: Options) -> (Sandbox, Caller) {
    let sandbox = Sandbox::start(options).await.unwrap();
    assert!(sandbox.inspector().credit(PROFILE, "USD", "1000"));
    let client = Caller::of(&sandbox);
    (sandbox, client)
}

fn conversion(ref_id: &str) -> Value {
    json!({
        "profile_id": PROFILE, "amount": "100", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": ref_id,
        "metadata": { "zebra": "1", "apple": "2" },
    })
}

fn orchestration(ref_id: &str) -> Value {
    json!({ "ref_id": ref_id, "source_amount": "100", "source_asset": "USD", "destination_asset": "PYUSD" })
}

fn members(object: &Value) -> serde_json::Map<String, Value> {
    object.as_object().unwrap().clone()
}

/// `fields` of `changes` put over `base`; null takes a field away.
fn but(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    base.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    base
}
