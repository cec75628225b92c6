//! Who may come in while the proxy holds the credentials, and to do what. Every path and spelling; pass-through too.

use super::*;
use crate::support::test_bed::LEGACY;
use client_credentials::{FULL, READER, WRITER};
use conversion_shim::translate::side::Side;
use reqwest::Method;

/// Everything that reached the vendor but token requests.
fn calls(bed: &TestBed) -> usize {
    bed.sandbox.inspector().requests().iter().filter(|seen| seen.operation != Operation::Token).count()
}

const PATHS: [&str; 8] = [
    LEGACY,
    "/v2/conversion/stablecoins/some-id",
    "/v2//conversion/stablecoins",
    "/v2/conversion%2Fstablecoins/",
    "/v2/CONVERSION/stablecoins;a",
    "/v2/orchestration/orchestrations",
    "/v2/profiles",
    "/",
];

#[tokio::test]
async fn callers_without_credentials_are_refused() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "observe")]).await;
    let http = &bed.client.http;
    let vendors = bed.sandbox.issue_token(CUSTOMER, &SCOPES);
    for stage in ["observe", "live", "sealed"] {
        bed.go(&[("stage", stage)]).await;
        for path in PATHS {
            let url = format!("http://{}{path}", bed.client.address());
            for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT, Method::HEAD] {
                let ask = || http.request(method.clone(), &url);
                let twice = ask().header("authorization", format!("Bearer {FULL}"));
                let strangers = [
                    ask(),
                    ask().bearer_auth("unknown"),
                    ask().bearer_auth(&vendors),
                    ask().bearer_auth(sha256(FULL)),
                    ask().bearer_auth(&FULL[..FULL.len() - 1]),
                    ask().basic_auth(FULL, Some(FULL)),
                    ask().header("x-authorization", format!("Bearer {FULL}")),
                    twice.header("authorization", "Bearer unknown"),
                ];
                for stranger in strangers {
                    let answer = answered(stranger).await;
                    assert_eq!(answer.status, 401, "{stage} {method} {path}");
                    assert_eq!(answer.headers["www-authenticate"], "Bearer");
                    if method != Method::HEAD {
                        answer.problem(401);
                    }
                }
            }
        }
    }
    assert_eq!((calls(&bed), token_calls(&bed)), (0, 0));
}

#[tokio::test]
async fn a_reader_reads_and_cannot_write_in_any_spelling() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "observe")]).await;
    let reader = bed.client.with_token(READER);
    let body = test_bed::conversion("r").to_string();
    for stage in ["observe", "hold", "live", "sealed"] {
        bed.go(&[("stage", stage)]).await;
        let before = calls(&bed);
        for path in PATHS {
            for method in [
                Method::POST,
                Method::DELETE,
                Method::PUT,
                Method::PATCH,
                Method::from_bytes(b"MOVE").unwrap(),
            ] {
                let problem = reader.ask(method.clone(), path, body.clone()).await.problem(403);
                let detail = problem["detail"].as_str().unwrap();
                assert_eq!(
                    detail,
                    format!("insufficient scopes: found '{READ}', required one of '[{WRITE}]'"),
                    "{method} {path}"
                );
            }
            for name in ["x-http-method-override", "X-HTTP-Method", "x-method-override"] {
                let url = format!("http://{}{path}", bed.client.address());
                let overriding = bed.client.http.get(url).bearer_auth(READER).header(name, "POST");
                answered(overriding).await.problem(403);
            }
        }
        assert_eq!(calls(&bed), before, "{stage}");
        assert_eq!(reader.list("limit=1").await.status, 200, "{stage}");
        assert_eq!(reader.ask(Method::GET, "/v2/profiles", String::new()).await.status, 200);
    }
    assert_eq!((bed.posts(Side::Legacy), bed.posts(Side::New)), (0, 0));
}

#[tokio::test]
async fn a_writer_writes_and_cannot_read() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "live")]).await;
    let writer = bed.client.with_token(WRITER);
    let id = writer.create("r").await.id();
    for path in [LEGACY, &format!("{LEGACY}/{id}"), "/v2/profiles"] {
        let problem = writer.ask(Method::GET, path, String::new()).await.problem(403);
        assert!(
            problem["detail"].as_str().unwrap().contains(&format!("required one of '[{READ}]'")),
            "{problem}"
        );
    }
    assert_eq!(bed.client.get(&id).await.id(), id, "the full one can");
}

#[tokio::test]
async fn one_callers_token_opens_nothing_for_another() {
    let (bed, dir) = client_credentials::start(Options::default(), &[("stage", "live")]).await;
    assert_eq!(bed.client.with_token(READER).list("limit=1").await.status, 200);
    // The reader's entry is gone; the token that worked is worth nothing, whatever connection it comes by.
    let config = std::fs::read_to_string(dir.path().join("shim.toml")).unwrap();
    std::fs::write(dir.path().join("shim.toml"), config.replace(&sha256(READER), &sha256("another")))
        .unwrap();
    bed.go(&[("stage", "live")]).await;
    bed.client.with_token(READER).list("limit=1").await.problem(401);
    assert_eq!(bed.client.with_token("another").list("limit=1").await.status, 200);
    bed.client.with_token("another").create("r").await.problem(403);
}

#[tokio::test]
async fn a_refused_caller_is_counted_before_anything_is_answered() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "hold")]).await;
    bed.client.create("r").await.problem(503);
    bed.client.with_token("unknown").create("r").await.problem(401);
    bed.client.with_token(READER).create("r").await.problem(403);
}

/// The answer to a TRACE repeats the request; the proxy's token would be in it.
#[tokio::test]
async fn the_proxys_token_is_never_disclosed() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "observe")]).await;
    for path in PATHS {
        bed.client.ask(Method::TRACE, path, String::new()).await.problem(405);
    }
    // A header that is named to be removed on the way is the caller's; ours is put there after that.
    let url = format!("http://{}{LEGACY}", bed.client.address());
    for path in [url.clone(), format!("{url}/nobody-knows-it"), url.replace(LEGACY, "/v2/profiles")] {
        let request = bed.client.http.get(&path).bearer_auth(FULL).header("connection", "authorization");
        let answer = answered(request).await;
        assert!(![401, 503].contains(&answer.status), "{path}: {answer:?}");
    }
    assert_eq!(calls(&bed), 3);
}

#[tokio::test]
async fn tokens_are_not_handed_out() {
    let (bed, _dir) = client_credentials::start(Options::default(), &[("stage", "live")]).await;
    for path in ["/oauth2/token", "/oauth2/token/", "/x/../oauth2/token"] {
        let form = "grant_type=client_credentials&client_id=legacy&client_secret=s3cret".to_owned();
        bed.client.ask(Method::POST, path, form).await.problem(404);
    }
    assert_eq!(token_calls(&bed), 0);
}
