//! The rate budget over real sockets: what the vendor counts is paid for before it is sent. The real config, ledger, client and
//! server before the sandbox, whose inspector says what arrived. No test asserts a time: what was let through is held against the
//! time that it really took. The arithmetic itself is tested beside it, with a clock of its own.

mod duplicate_check;
mod limits;
mod throttled;

use std::time::Instant;

use crate::support::test_bed::{Answer, Keys, Proxy};
use conversion_shim::sandbox::{Operation, Sandbox};
use conversion_shim::translate::side::Side;
use conversion_shim::upstream::rate_limit::EndpointSnapshot;

/// One call a second to each endpoint, and nobody waits: a process begins with six.
const TIGHT: [(&str, &str); 3] =
    [("budget.per_second", "1"), ("budget.wait_max", "0s"), ("budget.wait_max_token", "0s")];

/// A proxy without a ledger, with these keys.
async fn plain(vendor: &Sandbox, keys: Keys<'_>) -> Proxy {
    let (url, token_url) = (vendor.base_url(), vendor.token_url());
    let urls = [
        ("upstream.legacy.url", url.as_str()),
        ("upstream.new.url", url.as_str()),
        ("upstream.oauth.url", token_url.as_str()),
    ];
    Proxy::start(&[&urls[..], keys].concat(), None).await
}

/// What the budget says of an endpoint.
fn shown(proxy: &Proxy, name: &str) -> EndpointSnapshot {
    let endpoints = proxy.budget.snapshot().endpoints;
    endpoints.into_iter().find(|endpoint| endpoint.endpoint == name).unwrap()
}

/// Checks that a 429 is the proxy's own, in the old API's shape.
fn over_budget(answer: &Answer) {
    let problem = answer.problem(429);
    assert_eq!((&problem["type"], &problem["title"]), (&"about:blank".into(), &"Too Many Requests".into()));
    assert!(problem["detail"].as_str().unwrap().contains("nothing was changed"), "{problem}");
    let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
}

/// Asks until the answer is a 429 of the proxy's own; says how many others there were before.
async fn until_refused(ask: impl AsyncFn() -> Answer) -> u64 {
    for before in 0..50 {
        let answer = ask().await;
        if answer.status == 429 {
            over_budget(&answer);
            return before;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    panic!("never refused");
}

/// How many calls may have been let through since `start` by processes that began with `began` and flow at `rate` together.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    reason = "small"
)]
fn most(began: u64, rate: f64, start: Instant) -> u64 {
    began + (rate * start.elapsed().as_secs_f64()) as u64 + 1
}

/// What arrived where the vendor counts it.
fn arrived(vendor: &Sandbox) -> Vec<(&'static str, u64)> {
    let count = |side: Option<Side>, operation| vendor.inspector().arrived(side, operation);
    vec![
        ("legacy create", count(Some(Side::Legacy), Operation::Create)),
        ("legacy get", count(Some(Side::Legacy), Operation::Get)),
        ("legacy list", count(Some(Side::Legacy), Operation::List)),
        ("legacy cancel", count(Some(Side::Legacy), Operation::Cancel)),
        ("new create", count(Some(Side::New), Operation::Create)),
        ("new get", count(Some(Side::New), Operation::Get)),
        ("new list", count(Some(Side::New), Operation::List)),
        ("token", count(None, Operation::Token)),
    ]
}
