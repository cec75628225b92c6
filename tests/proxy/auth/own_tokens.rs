//! Tokens of the proxy's own: asked for once, replaced early and after a 401, and no write is ever sent twice for one.

use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::support::test_bed::{new_record, one_on};
use crate::support::wire::raw::RawListener;
use conversion_shim::sandbox::{Fault, FaultKind, RefusalBody, TOKEN};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use reqwest::Method;
use serde_json::json;

const UNAUTHORIZED: FaultKind = FaultKind::Status {
    code: StatusCode::UNAUTHORIZED,
    retry_after: None,
    body: RefusalBody::Problem,
    applied: false,
};

#[tokio::test]
async fn each_side_gets_its_own_token_and_the_callers_goes_nowhere() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "live")]).await;
    let id = bed.client.create("r").await.id();
    assert_eq!(bed.client.get(&id).await.id(), id);
    assert_eq!(bed.client.list("limit=5").await.json()["items"][0]["id"], id);
    bed.client.cancel(&id).await.problem(403);
    let passed = bed.client.ask(Method::GET, "/v2/profiles", String::new()).await;
    assert_eq!(passed.status, 200, "{passed:?}");
    assert_eq!(token_calls(&bed), 2, "one a side");
    for seen in bed.sandbox.inspector().requests() {
        let arrived = format!("{:?} {:?} {:?}", seen.headers, seen.path_and_query, seen.body);
        assert!(!arrived.contains(client_credentials::FULL), "{arrived}");
        assert!(
            seen.operation == Operation::Token
                || seen.headers["authorization"].to_str().unwrap().starts_with("Bearer ")
        );
    }
}

#[tokio::test]
async fn a_hundred_requests_at_once_ask_for_one_token() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "sealed")]).await;
    let gate =
        bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(None, Operation::Token));
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = bed.client.clone();
            tokio::spawn(async move { client.list("limit=1").await.status })
        })
        .collect();
    soon(gate.reached(1)).await;
    gate.open();
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), 200);
    }
    assert_eq!(token_calls(&bed), 1);
}

#[tokio::test]
async fn a_hundred_requests_at_once_share_one_failure() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "sealed")]).await;
    let gate =
        bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(None, Operation::Token));
    let down = FaultKind::Status {
        code: StatusCode::BAD_GATEWAY,
        retry_after: None,
        body: RefusalBody::Html,
        applied: false,
    };
    let down = bed.sandbox.faults().arm(Fault::new(down).on(None, Operation::Token));
    let first = tokio::spawn({
        let client = bed.client.clone();
        async move { client.create("r").await }
    });
    soon(gate.reached(1)).await;
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let others: Vec<_> = (0..99)
        .map(|_| {
            let client = bed.client.clone();
            tokio::spawn(async move { client.list("limit=1").await })
        })
        .collect();
    // All wait when each has its four tasks: the call, both ends of its connection, and the waiting itself.
    let all_wait = async {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() < alive + 4 * others.len() {
            tokio::task::yield_now().await;
        }
    };
    soon(all_wait).await;
    gate.open();
    let problem = soon(first).await.unwrap().problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
    for other in others {
        soon(other).await.unwrap().problem(503);
    }
    assert_eq!(token_calls(&bed), 1);
    assert_eq!(bed.posts(Side::New), 0);
    bed.sandbox.faults().remove(&down);
    assert_eq!(bed.client.create("r").await.status, 200, "the retry goes through");
    assert_eq!(bed.made("r"), one_on(Side::New));
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends_while_the_old_one_is_used() {
    // Half of its life is over after a second, and the margin is longer than that.
    let options = Options { token_lifetime: Duration::from_secs(2), ..Options::default() };
    let (bed, _dir) = client_credentials::start(options, &[("stage", "sealed")]).await;
    assert_eq!(bed.client.list("limit=1").await.status, 200);
    let gate =
        bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(None, Operation::Token));
    let first = token_of_last_call(&bed);
    let asked_again = async {
        // Nothing tells that half a life is over.
        while gate.hits() == 0 {
            assert_eq!(bed.client.list("limit=1").await.status, 200);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(asked_again).await;
    assert_eq!(bed.client.list("limit=1").await.status, 200, "nobody waits for the new one");
    assert_eq!(token_of_last_call(&bed), first);
    gate.open();
    let replaced = async {
        while token_of_last_call(&bed) == first {
            assert_eq!(bed.client.list("limit=1").await.status, 200);
        }
    };
    soon(replaced).await;
}

/// The token with which the last request came that was no token request.
fn token_of_last_call(bed: &TestBed) -> String {
    let mut all = bed.sandbox.inspector().requests().into_iter();
    let last = all.rfind(|seen| seen.operation != Operation::Token).unwrap();
    last.headers["authorization"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_a_read_goes_once_more() {
    for (stage, path) in [
        ("sealed", test_bed::LEGACY),
        ("live", test_bed::LEGACY),
        ("observe", test_bed::LEGACY),
        ("observe", "/v2/profiles"),
    ] {
        let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", stage)]).await;
        let ask = || bed.client.ask(Method::GET, path, String::new());
        assert_eq!(ask().await.status, 200);
        let before = token_calls(&bed);
        bed.sandbox.revoke_tokens();
        assert_eq!(ask().await.status, 200, "{stage} {path}");
        let sides = if stage == "live" { 2 } else { 1 };
        assert_eq!(token_calls(&bed), before + sides, "{stage} {path}");
        // A side that takes no token at all is no reason to ask for one with every request.
        for side in [Side::Legacy, Side::New] {
            bed.sandbox.faults().arm(Fault::new(UNAUTHORIZED).on(side, None));
        }
        bed.sandbox.faults().arm(Fault::new(UNAUTHORIZED).on(None, Operation::Other));
        for _ in 0..5 {
            let problem = ask().await.problem(503);
            assert!(problem["detail"].as_str().unwrap().contains("nothing was changed"), "{problem}");
        }
        assert_eq!(token_calls(&bed), before + sides, "{stage} {path}");
        // The second time is paid for as well, and so are the tokens.
        let counted = bed.sandbox.inspector().requests();
        let counted = counted.iter().filter(|seen| seen.operation != Operation::Other).count() as u64;
        let paid: u64 = bed.proxy.budget.snapshot().endpoints.iter().map(|endpoint| endpoint.calls).sum();
        assert_eq!(paid, counted, "{stage} {path}");
    }
}

#[tokio::test]
async fn a_create_is_never_sent_twice_for_a_token() {
    for (stage, side) in [("observe", Side::Legacy), ("live", Side::New), ("sealed", Side::New)] {
        let keys = [("stage", stage), ("timeouts.create", "1s")];
        let (bed, _dir) = client_credentials::start(Options::default(), &keys).await;
        bed.client.create("first").await.id();
        let (posts, tokens) = (bed.posts(side), token_calls(&bed));
        // Only the create meets a token that is not taken; the looks before it do not.
        let fault = bed.fault(side, Operation::Create, UNAUTHORIZED);
        // On a connection that carried another answer before, the 401 could be another request's.
        let problem = bed.client.create("r").await.problem(504);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("same ref_id"), "{detail}");
        assert_eq!(bed.posts(side), posts + 1, "{stage}");
        assert_eq!(token_calls(&bed), tokens + 1, "the next request has another token");
        bed.sandbox.faults().remove(&fault);
        assert_eq!(bed.client.create("r").await.status, 200);
        assert_eq!(bed.made("r"), one_on(side));
        assert_eq!(token_calls(&bed), tokens + 1);
    }
}

#[tokio::test]
async fn no_other_write_is_sent_twice_either() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "observe")]).await;
    let id = bed.client.create("r").await.id();
    let fault = bed.fault(Side::Legacy, Operation::Cancel, UNAUTHORIZED);
    bed.client.cancel(&id).await.problem(503);
    assert_eq!(bed.sandbox.inspector().arrived(Side::Legacy, Operation::Cancel), 1);
    bed.sandbox.faults().remove(&fault);
    let others = bed.sandbox.inspector().arrived(None, Operation::Other);
    bed.sandbox.faults().arm(Fault::new(UNAUTHORIZED).on(None, Operation::Other));
    bed.client.ask(Method::POST, "/v2/transfers", "{}".into()).await.problem(503);
    assert_eq!(bed.sandbox.inspector().arrived(None, Operation::Other), others + 1);
    bed.client.ask(Method::GET, "/v2/profiles", "a body on its way".into()).await.problem(503);
    assert_eq!(bed.sandbox.inspector().arrived(None, Operation::Other), others + 2);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    for stage in ["observe", "live", "sealed"] {
        let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", stage)]).await;
        let unreadable =
            bed.sandbox.faults().arm(Fault::new(FaultKind::WrongTypes).on(None, Operation::Token));
        bed.client.create("r").await.problem(503);
        assert_eq!((bed.posts(Side::Legacy), bed.posts(Side::New)), (0, 0), "{stage}");
        bed.client.ask(Method::GET, "/v2/profiles", String::new()).await.problem(503);
        assert_eq!(bed.sandbox.inspector().arrived(None, Operation::Other), 0);
        bed.sandbox.faults().remove(&unreadable);
        assert_eq!(bed.client.create("r").await.status, 200, "{stage}");
    }
}

#[tokio::test]
async fn waiting_for_a_token_has_an_end() {
    let (bed, _dir) =
        client_credentials::start(Options::default(), &[("stage", "sealed"), ("auth.timeout", "300ms")])
            .await;
    bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(None, Operation::Token));
    bed.client.create("r").await.problem(503);
    bed.client.list("limit=1").await.problem(503);
    assert_eq!(bed.posts(Side::New), 0);
}

#[tokio::test]
async fn another_secret_takes_effect_with_the_reload() {
    let (bed, dir) = client_credentials::start(Options::default(), &[("stage", "sealed")]).await;
    assert_eq!(bed.client.list("limit=1").await.status, 200);
    std::fs::write(dir.path().join("secret"), "wrong").unwrap();
    bed.go(&[("stage", "sealed")]).await;
    bed.client.list("limit=1").await.problem(503);
    std::fs::write(dir.path().join("secret"), "s3cret").unwrap();
    bed.go(&[("stage", "sealed")]).await;
    assert_eq!(bed.client.list("limit=1").await.status, 200);
}

/// The vendor counts requests for tokens like any other: a secret that it does not take must not become one with every request.
#[tokio::test]
async fn a_token_endpoint_that_always_refuses_is_not_asked_with_every_request() {
    const REQUESTS: u64 = 50;
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "sealed")]).await;
    let refusing = bed.sandbox.faults().arm(Fault::new(UNAUTHORIZED).on(None, Operation::Token));
    let start = std::time::Instant::now();
    for _ in 0..REQUESTS {
        bed.client.list("limit=1").await.problem(503);
    }
    let most = 3 + start.elapsed().as_secs() + 1;
    assert!(token_calls(&bed) <= most, "{} for {REQUESTS} requests", token_calls(&bed));
    bed.sandbox.faults().remove(&refusing);
    crate::support::soon(async { while bed.client.list("limit=1").await.status != 200 {} }).await;
}

#[tokio::test]
async fn a_token_without_a_lifetime_is_used_once_and_a_201_is_a_success() {
    let door = crate::support::wire::raw::RawListener::open().await;
    let url = door.url("/oauth2/token");
    let (bed, _dir) =
        client_credentials::start(Options::default(), &[("stage", "sealed"), ("upstream.oauth.url", &url)])
            .await;
    // An empty list on a reused connection would be asked for once more, with a third token.
    bed.sandbox.inspector().seed_orchestration(new_record("r", "2026-01-01T00:00:00Z"));
    for _ in 0..2 {
        let granting = async {
            let mut connection = door.next().await;
            connection.message().await;
            let body = format!(
                "\u{feff}{{\"access_token\":\"{}\",\"expires_in\":\"0\"}}",
                conversion_shim::sandbox::TOKEN
            );
            let head = format!(
                "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            connection.say(head + &body).await;
        };
        let (listed, ()) = tokio::join!(bed.client.list("limit=1"), granting);
        assert_eq!(listed.status, 200, "{listed:?}");
    }
}

#[tokio::test]
async fn a_401_that_is_not_the_vendors_leaves_the_outcome_of_a_create_unknown() {
    // It is the first call, so its connection carried no other answer.
    let keys = [("stage", "sealed"), ("timeouts.create", "1s")];
    let (bed, _dir) = client_credentials::start(Options::default(), &keys).await;
    let gateways = FaultKind::Status {
        code: StatusCode::UNAUTHORIZED,
        retry_after: None,
        body: RefusalBody::Html,
        applied: true,
    };
    bed.fault(Side::New, Operation::Create, gateways);
    let busy = FaultKind::Status {
        code: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: None,
        body: RefusalBody::Problem,
        applied: false,
    };
    bed.fault(Side::New, Operation::List, busy);
    bed.client.create("r").await.problem(504);
    bed.sandbox.faults().clear();
    bed.client.create("r").await.problem(409);
    assert_eq!(bed.made("r"), one_on(Side::New));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// An answer that says that it is compressed.
fn compressed(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_compressed_token_answer_is_read() {
    let token = json!({ "access_token": TOKEN, "expires_in": 3600 }).to_string();
    // The second one is not what its head says, and the third names a member twice.
    let twice = token.replacen('{', r#"{"access_token":"old","#, 1);
    for body in [gzip(&token), token.into_bytes(), gzip(&twice)] {
        let door = RawListener::open().await;
        let url = door.url("/oauth2/token");
        let keys = [("stage", "observe"), ("upstream.oauth.url", url.as_str())];
        let (bed, _dir) = client_credentials::start(Options::default(), &keys).await;
        let serving = async {
            let mut line = door.next().await;
            let request = line.message().await;
            assert_eq!(request.header("accept-encoding").as_deref(), Some("identity"));
            line.say(compressed("200 OK", &body)).await;
            line
        };
        let (made, _line) = tokio::join!(bed.client.create("r"), serving);
        assert_eq!(made.status, 200, "{:?}", made.body);
    }
}

#[tokio::test]
async fn a_compressed_401_to_a_create_proves_as_much_as_a_plain_one() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let keys = [("stage", "observe"), ("upstream.legacy.url", url.as_str())];
    let (bed, _dir) = client_credentials::start(Options::default(), &keys).await;
    let serving = async {
        let mut line = door.next().await;
        assert!(line.message().await.start().starts_with("POST "));
        let problem =
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"invalid token"}"#;
        line.say(compressed("401 Unauthorized", &gzip(problem))).await;
        line
    };
    let (made, _line) = tokio::join!(bed.client.create("r"), serving);
    // Nothing was done, and nothing is looked up.
    made.problem(503);
}

#[tokio::test]
async fn interim_answers_do_not_extend_the_time_for_a_token() {
    let door = crate::support::wire::raw::RawListener::open().await;
    let url = door.url("/oauth2/token");
    let keys = [("stage", "sealed"), ("upstream.oauth.url", url.as_str()), ("auth.timeout", "1s")];
    let (bed, _dir) = client_credentials::start(Options::default(), &keys).await;
    let never_final = async {
        let mut connections = Vec::new();
        loop {
            let mut connection = door.next().await;
            connections.push(tokio::spawn(async move {
                connection.message().await;
                let interim = b"HTTP/1.1 102 Processing\r\n\r\n";
                while tokio::io::AsyncWriteExt::write_all(&mut connection.stream, interim).await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }));
        }
    };
    tokio::select! {
        listed = bed.client.list("limit=1") => assert_eq!(listed.status, 503, "{listed:?}"),
        () = never_final => {}
    }
}
