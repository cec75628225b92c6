//! One token for equal token requests of one client, only where `auth.share_tokens` says so.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

const SCOPE: &str = "conversion:read_conversion_stablecoin";

async fn bed(share: &str, token_lifetime: Duration) -> TestBed {
    let all: &[&str] = &[READ, WRITE, NEW_READ, NEW_WRITE];
    let sandbox =
        vendor_with(&[("a", all), ("b", all)], Options { token_lifetime, ..Options::default() }).await;
    // One token a second: the requests that are made wait for their turn.
    let keys = [
        ("stage", "live"),
        ("auth.share_tokens", share),
        ("budget.wait_max_token", "60s"),
        ("auth.timeout", "60s"),
    ];
    TestBed::before(sandbox, &keys, |_| {}).await
}

fn form(bed: &TestBed, body: &str) -> RequestBuilder {
    let url = format!("http://{}/oauth2/token", bed.client.address());
    let kind = "application/x-www-form-urlencoded";
    bed.client.http.post(url).header("content-type", kind).body(body.to_owned())
}

fn body(client: &str, secret: &str, scope: &str) -> String {
    format!("grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={scope}")
}

fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// The answers to twenty equal requests at one moment.
async fn fleet(bed: &TestBed) -> Vec<Answer> {
    let mut fleet = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request = form(bed, &body("a", "s3cret", SCOPE));
        fleet.spawn(async move { answered(request).await });
    }
    fleet.join_all().await
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_fleet_that_starts_at_one_moment_shares_one_call() {
    let bed = bed("true", HOUR).await;
    let answers = fleet(&bed).await;
    let tokens: BTreeSet<_> = answers.iter().map(token).collect();
    assert_eq!((tokens.len(), token_calls(&bed)), (1, 1));
    for answer in &answers {
        assert_eq!(answer.json()["scope"], SCOPE);
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
        let left = answer.json()["expires_in"].as_u64().unwrap();
        assert!((3000..=3600).contains(&left), "{left}");
    }
    let client = bed.client.with_token(tokens.first().unwrap());
    assert_eq!(client.list("").await.status, 200);
}

#[tokio::test]
async fn without_the_key_every_request_is_made() {
    let bed = bed("false", HOUR).await;
    let first = token(&answered(form(&bed, &body("a", "s3cret", SCOPE))).await);
    let second = token(&answered(form(&bed, &body("a", "s3cret", SCOPE))).await);
    assert_ne!(first, second);
    assert_eq!(token_calls(&bed), 2);
}

/// What decides about the token differs, or cannot be read in one way, or the token could be used once.
#[tokio::test]
async fn nothing_is_shared_between_requests_that_differ() {
    let bed = bed("true", HOUR).await;
    let own = token(&answered(form(&bed, &body("a", "s3cret", SCOPE))).await);
    assert_eq!(answered(form(&bed, &body("a", "wrong", SCOPE))).await.status, 401, "another secret");
    let others = [
        form(&bed, &body("b", "s3cret", SCOPE)),
        form(&bed, &body("a", "s3cret", READ_AND_WRITE)),
        form(&bed, "grant_type=client_credentials&scope=").basic_auth("a", Some("s3cret")),
        form(&bed, "grant_type=client_credentials&scope=").basic_auth("b", Some("s3cret")),
        form(&bed, &body("a", "s3cret", SCOPE)).header("dpop", "a-proof"),
    ];
    let mut tokens = BTreeSet::from([own.clone()]);
    for request in others {
        assert!(tokens.insert(token(&answered(request).await)), "a shared token");
    }
    assert_eq!(token(&answered(form(&bed, &body("a", "s3cret", SCOPE))).await), own);
    let again = "grant_type=refresh_token&refresh_token=x&client_id=a&client_secret=s3cret";
    let before = token_calls(&bed);
    for _ in 0..2 {
        answered(form(&bed, again)).await;
    }
    assert_eq!(token_calls(&bed), before + 2, "another grant is never shared");
}

const READ_AND_WRITE: &str = "conversion:read_conversion_stablecoin%20conversion:write_conversion_stablecoin";

/// A client that is refused fetches another token, and must not be handed the refused one again.
#[tokio::test]
async fn a_refused_token_is_shared_no_longer() {
    let bed = bed("true", HOUR).await;
    let request = || form(&bed, &body("a", "s3cret", SCOPE));
    let first = token(&answered(request()).await);
    bed.sandbox.revoke_tokens();
    assert_eq!(token(&answered(request()).await), first);
    assert_eq!(bed.client.with_token("of another client").list("").await.status, 401);
    assert_eq!(token(&answered(request()).await), first, "another token was refused");
    assert_eq!(bed.client.with_token(&first).list("").await.status, 401);
    let second = token(&answered(request()).await);
    assert_ne!(second, first);
    assert_eq!(bed.client.with_token(&second).list("").await.status, 200);
}

#[tokio::test]
async fn a_refusal_is_not_shared() {
    let bed = bed("true", HOUR).await;
    for calls in 1..=2 {
        assert_eq!(answered(form(&bed, &body("a", "wrong", SCOPE))).await.status, 401);
        assert_eq!(token_calls(&bed), calls);
    }
}

/// Clients renew a token before its end: one in the second half of its life would be asked for again and again.
#[tokio::test]
async fn a_token_is_shared_for_half_of_its_life() {
    let bed = bed("true", Duration::from_secs(2)).await;
    let request = || form(&bed, &body("a", "s3cret", SCOPE));
    let first = token(&answered(request()).await);
    let renewed = async {
        loop {
            let answer = answered(request()).await;
            assert!(answer.json()["expires_in"].as_u64().unwrap() >= 1, "{answer:?}");
            if token(&answer) != first {
                break;
            }
        }
    };
    soon(renewed).await;
    assert_eq!(token_calls(&bed), 2);
}

/// One whose vendor grants the client nothing of the new API.
async fn refusing_bed(share: &str) -> TestBed {
    let sandbox = vendor_with(&[("a", &[READ, WRITE])], Options::default()).await;
    let keys = [
        ("stage", "live"),
        ("auth.share_tokens", share),
        ("budget.wait_max_token", "60s"),
        ("auth.timeout", "60s"),
    ];
    TestBed::before(sandbox, &keys, |_| {}).await
}

#[tokio::test]
async fn a_fleet_shares_a_token_without_the_new_scopes_where_the_vendor_refuses_them() {
    let bed = refusing_bed("true").await;
    let answers = fleet(&bed).await;
    let tokens: BTreeSet<_> = answers.iter().map(token).collect();
    assert_eq!((tokens.len(), token_calls(&bed)), (1, 2));
    assert_eq!(answers[0].json()["scope"], SCOPE);
    // A token that is refused is not shared any more; what the vendor refused is remembered.
    let client = bed.client.with_token(tokens.first().unwrap());
    assert_eq!(client.list("").await.status, 403);
    let other = format!("{}&audience=x", body("a", "s3cret", SCOPE));
    token(&answered(form(&bed, &other)).await);
    assert_eq!(token_calls(&bed), 4, "another request is tried by itself");
}

#[tokio::test]
async fn what_the_vendor_refused_costs_equal_requests_no_second_call() {
    let bed = refusing_bed("false").await;
    for calls in [2, 3, 4] {
        let answer = answered(form(&bed, &body("a", "s3cret", SCOPE))).await;
        assert_eq!((answer.json()["scope"].as_str(), token_calls(&bed)), (Some(SCOPE), calls));
    }
    // It is not the added scopes that are refused here.
    for calls in [6, 8] {
        let answer = answered(form(&bed, &body("a", "s3cret", &format!("{SCOPE}+unheard:of")))).await;
        assert_eq!((answer.status, token_calls(&bed)), (400, calls));
    }
}
