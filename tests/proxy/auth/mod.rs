//! Credentials over real sockets: clients' token requests, the proxy's own tokens, who may come in, and looking with lookup
//! credentials. The real config, ledger, client and server before the sandbox. Waiting is for signals, each with a deadline.

mod callers;
mod client_credentials;
mod lookup;
mod own_tokens;
mod refused_configs;
mod secrets;
mod shared_tokens;
mod token_connections;
mod token_route;
mod token_route_bytes;
mod unauthorized;

use crate::support::soon;
use crate::support::test_bed;
use crate::support::test_bed::{Answer, TestBed};
use conversion_shim::sandbox::{
    CUSTOMER, OAuthClient, Operation, Options, PROFILE, ReceivedRequest, SCOPES, Sandbox,
};
use reqwest::RequestBuilder;
use sha2::{Digest as _, Sha256};

pub(crate) const READ: &str = SCOPES[0];
pub(crate) const WRITE: &str = SCOPES[1];
pub(crate) const NEW_READ: &str = SCOPES[2];
pub(crate) const NEW_WRITE: &str = SCOPES[3];

/// A vendor that knows these clients only; their secret is `s3cret`.
pub(crate) async fn vendor_with(clients: &[(&str, &[&str])], options: Options) -> Sandbox {
    let client = |(id, scopes): &(&str, &[&str])| OAuthClient {
        id: (*id).to_owned(),
        secret: "s3cret".to_owned(),
        customer: CUSTOMER.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    let clients = clients.iter().map(client).collect();
    let settle_after = std::time::Duration::MAX;
    let sandbox = Sandbox::start(Options { settle_after, clients, ..options }).await.unwrap();
    assert!(sandbox.inspector().credit(PROFILE, "USD", "1000000"));
    sandbox
}

/// Sends a request as it is, and reads the answer whole.
pub(crate) async fn answered(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

/// How many token requests reached the vendor.
pub(crate) fn token_calls(bed: &TestBed) -> u64 {
    bed.sandbox.inspector().arrived(None, Operation::Token)
}

/// The last token request that reached the vendor.
pub(crate) fn last_token_call(bed: &TestBed) -> ReceivedRequest {
    let mut all = bed.sandbox.inspector().requests().into_iter();
    all.rfind(|seen| seen.operation == Operation::Token).unwrap()
}

pub(crate) fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
