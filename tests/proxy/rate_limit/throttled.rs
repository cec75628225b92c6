//! A 429 of the vendor's: everything goes slower for a while, and it shows.

use std::time::Instant;

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody, Sandbox};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use reqwest::Method;

use super::{TIGHT, most, plain, shown};
use crate::support::test_bed::{Proxy, old_record, vendor};

const WHEN: &str = "2026-01-01T00:00:00Z";

fn says_429(vendor: &Sandbox, side: impl Into<Option<Side>>, operation: Operation, retry_after: Option<u64>) {
    let code = StatusCode::TOO_MANY_REQUESTS;
    let kind = FaultKind::Status { code, retry_after, body: RefusalBody::Problem, applied: false };
    vendor.faults().arm(Fault::new(kind).on(side, operation).times(1));
}

fn left(proxy: &Proxy) -> Option<u64> {
    proxy.budget.snapshot().cooldown_seconds_left
}

#[tokio::test]
async fn a_429_slows_every_endpoint_and_is_shown() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(old_record("r", WHEN));
    let start = Instant::now();
    let keys = [("budget.per_second", "20"), ("budget.cooldown_share", "0.1"), ("budget.wait_max", "0s")];
    let proxy = plain(&vendor, &keys).await;
    let before = shown(&proxy, "legacy get");
    assert_eq!((left(&proxy), &before.last_429), (None, &None));
    assert!(before.per_second.is_some_and(|rate| rate > 17.9 && rate <= 18.0), "{before:?}");
    says_429(&vendor, Side::Legacy, Operation::List, None);
    let refusal = proxy.client.list("limit=1").await;
    assert_eq!(refusal.status, 429, "the vendor's own word passes");
    assert!(left(&proxy).is_some_and(|left| (1..=301).contains(&left)), "{:?}", left(&proxy));
    assert!(shown(&proxy, "legacy list").last_429.is_some());
    let slowed = shown(&proxy, "legacy get");
    assert!(slowed.per_second.is_some_and(|rate| rate > 1.7 && rate <= 1.8), "{slowed:?}");
    assert_eq!(slowed.last_429, None);
    for _ in 0..50 {
        proxy.client.get(&id).await;
    }
    // A process begins with 120 otherwise.
    let arrived = vendor.inspector().arrived(Side::Legacy, Operation::Get);
    assert!(arrived >= 1 && arrived <= most(1, 1.8, start), "{arrived}");
}

#[tokio::test]
async fn a_retry_after_makes_it_longer_up_to_a_bound() {
    for (asked, expected) in [(Some(1), 290..=301), (Some(400), 390..=401), (Some(100_000), 590..=601)] {
        let vendor = vendor().await;
        let proxy = plain(&vendor, &[]).await;
        says_429(&vendor, Side::Legacy, Operation::List, asked);
        assert_eq!(proxy.client.list("limit=1").await.status, 429);
        assert!(left(&proxy).is_some_and(|left| expected.contains(&left)), "{asked:?}: {:?}", left(&proxy));
    }
}

#[tokio::test]
async fn any_429_starts_the_back_off() {
    let other = |proxy: Proxy| async move {
        proxy.client.ask(Method::GET, "/v2/profiles", String::new()).await;
        left(&proxy)
    };
    let token = |proxy: Proxy| async move {
        proxy.client.ask(Method::POST, "/oauth2/token", "grant_type=client_credentials".into()).await;
        left(&proxy)
    };
    let translated = |proxy: Proxy| async move {
        proxy.client.list("limit=1").await;
        left(&proxy)
    };
    let vendor = vendor().await;
    says_429(&vendor, None, Operation::Other, None);
    assert!(other(plain(&vendor, &[]).await).await.is_some());
    says_429(&vendor, None, Operation::Token, None);
    assert!(token(plain(&vendor, &[]).await).await.is_some());
    says_429(&vendor, Side::New, Operation::List, None);
    assert!(translated(plain(&vendor, &[("stage", "sealed")]).await).await.is_some());
    says_429(&vendor, Side::Legacy, Operation::List, None);
    let off = plain(&vendor, &[&TIGHT[..], &[("budget.cooldown", "0s")]].concat()).await;
    assert!(translated(off).await.is_none(), "switched off");
}
