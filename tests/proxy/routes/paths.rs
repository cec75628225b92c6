//! A write that some server might take for a create or a cancel is a route or nothing.

use conversion_shim::sandbox::{FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use reqwest::Method;

use crate::support::test_bed::{BACK, TestBed, conversion, old_record, one_on};

/// Methods that are not safe by definition; `post` is another one than `POST`.
const WRITES: [&str; 5] = ["POST", "DELETE", "PUT", "PATCH", "post"];

const UNROUTED: [&str; 14] = [
    "/v2/conversion/stablecoins/x/y",
    "/v2/conversion/stablecoin",
    "/v2/conversion/STABLECOINS",
    "/v2/Conversion/stablecoins",
    "/V2/conversion/stablecoins",
    "/v2/conversion/stablecoins;v=1",
    "/v2/conversion/",
    "/v2/conversion",
    "/v2%2fconversion/stablecoins%3Bx",
    "/v2/conversion%252fstablecoins",
    "/v2/x/../conversion/stablecoins%00",
    "/v2/%63onversion/stablecoins/.%2e/other",
    "/v2\\conversion\\stablecoins",
    "/v2/conversion/batch",
];

/// Other spellings of the one path, which are the route.
const SPELLINGS: [&str; 6] = [
    "/v2/conversion/stablecoins/",
    "/v2//conversion/stablecoins",
    "/v2/conversion/./stablecoins",
    "/v2/conversion/x/../stablecoins",
    "/v2%2Fconversion%2fstablecoins",
    "/v2/conversion/stable%63oins",
];

/// Sends the path as written; an ordinary client would tidy it first.
async fn raw(bed: &TestBed, method: &str, path: &str, body: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(bed.client.address()).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    crate::support::soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Some servers take a safe method for the one that a header names.
#[tokio::test]
async fn a_write_in_the_clothes_of_a_read_is_a_write() {
    for stage in [&[("stage", "live")], BACK] {
        let bed = TestBed::with(stage).await;
        for path in UNROUTED.iter().chain(&SPELLINGS).chain(&["/v2/conversion/stablecoins?page_cursor=x"]) {
            for name in ["x-http-method-override", "X-HTTP-Method", "x-method-override"] {
                let overriding = format!("{path} HTTP/1.1\r\n{name}: POST\r\nx: ");
                let status = raw(&bed, "GET", &overriding, &conversion("r").to_string()).await;
                assert!([400, 404].contains(&status), "{name} {path}: {status}");
            }
        }
        assert!(bed.sandbox.inspector().requests().is_empty());
    }
}

/// A create in such clothes is a create, and the looks that keep it safe stay looks.
#[tokio::test]
async fn no_client_renames_the_proxys_own_calls() {
    let bed = TestBed::at("live").await;
    let overriding = "/v2/conversion/stablecoins HTTP/1.1\r\nx-http-method-override: POST\r\nx: ";
    assert_eq!(raw(&bed, "POST", overriding, &conversion("r").to_string()).await, 200);
    assert_eq!(bed.made("r"), one_on(Side::New));
    let requests = bed.sandbox.inspector().requests();
    assert!(requests.len() > 1);
    assert!(requests.iter().all(|seen| !seen.headers.contains_key("x-http-method-override")));
}

#[tokio::test]
async fn unrouted_writes_are_refused_and_nothing_reaches_the_vendor() {
    for stage in [&[("stage", "live")], BACK] {
        let bed = TestBed::with(stage).await;
        for path in UNROUTED {
            for method in WRITES {
                let status = raw(&bed, method, path, &conversion("r").to_string()).await;
                assert!([400, 404].contains(&status), "{method} {path}: {status}");
            }
        }
        assert_eq!(bed.sandbox.inspector().requests().len(), 0);
    }
}

#[tokio::test]
async fn every_spelling_of_the_route_is_claimed_and_checked() {
    let bed = TestBed::at("live").await;
    bed.made_on(Side::Legacy, "old").await;
    for (at, path) in SPELLINGS.into_iter().enumerate() {
        // Claimed for the old API, which gets the path as it was written and may not know it.
        let status = raw(&bed, "POST", path, &conversion("old").to_string()).await;
        assert!([404, 409].contains(&status), "{path}: {status}");
        let ref_id = format!("r{at}");
        assert_eq!(raw(&bed, "POST", path, &conversion(&ref_id).to_string()).await, 200, "{path}");
        assert_eq!(bed.made(&ref_id), one_on(Side::New), "{path}");
    }
    assert_eq!(bed.made("old"), one_on(Side::Legacy));
}

#[tokio::test]
async fn everything_else_passes() {
    let bed = TestBed::at("live").await;
    let others = bed.sandbox.inspector().arrived(None, Operation::Other);
    bed.client.ask(Method::POST, "/v2/transfer/conversion", "{}".to_owned()).await;
    bed.client.ask(Method::POST, "/v2/conversions", "{}".to_owned()).await;
    assert_eq!(bed.sandbox.inspector().arrived(None, Operation::Other), others + 2);
}

/// What counts is where a request arrives: a path outside the base path goes on as it is, and may be the vendor's own.
#[tokio::test]
async fn a_path_that_is_a_create_only_at_the_vendor_is_refused() {
    for stage in [&[("stage", "live")], BACK] {
        let bed = TestBed::with(&[stage, &[("base_path", "/pay")]].concat()).await;
        let requests = || bed.sandbox.inspector().requests();
        for path in [
            "/v2/conversion/stablecoins",
            "/pay/../v2/conversion/stablecoins",
            "/v2/conversion/stablecoins/one",
            "/v2%2Fconversion/stablecoins",
        ] {
            for method in WRITES {
                let status = raw(&bed, method, path, &conversion("r").to_string()).await;
                assert_eq!(status, 404, "{method} {path}");
            }
        }
        assert_eq!(requests().len(), 0);
        for (at, method) in ["GET", "HEAD"].into_iter().enumerate() {
            raw(&bed, method, "/v2/conversion/stablecoins?limit=1", "").await;
            let arrived = requests();
            assert_eq!((arrived.len(), arrived[at].method.as_str()), (at + 1, method));
            assert_eq!(arrived[at].path_and_query, "/v2/conversion/stablecoins?limit=1");
        }
        assert_eq!(raw(&bed, "POST", "/pay/conversion/stablecoins", &conversion("r").to_string()).await, 200);
        assert_eq!(bed.made("r").legacy + bed.made("r").new, 1);
    }
}

/// Spellings of a record's path that the old API denies.
const RESPELLED: [&str; 5] = [
    "/v2/conversion/stablecoins/{id}/",
    "/v2/conversion/stablecoins//{id}",
    "/v2/conversion/stablecoins%2F{id}",
    "/v2/%63onversion/stablecoins/{id}",
    "/v2/x/../conversion/stablecoins/{id}",
];

#[tokio::test]
async fn a_spelling_that_the_old_api_denies_is_denied_and_a_record_that_lags_is_not() {
    let bed = TestBed::at("live").await;
    let id = bed.made_on(Side::Legacy, "old").await;
    let seen = bed.sandbox.inspector().seed_conversion(old_record("seen", "2026-01-01T00:00:00Z"));
    for known in [false, true] {
        for (id, path) in RESPELLED.into_iter().flat_map(|path| [(&id, path), (&seen, path)]) {
            let path = path.replace("{id}", id);
            for method in ["GET", "HEAD", "DELETE"] {
                assert_eq!(raw(&bed, method, &path, "").await, 404, "known {known}: {method} {path}");
            }
        }
        for id in [&id, &seen] {
            assert_eq!(bed.client.get(id).await.id(), *id);
        }
    }
    assert_eq!(bed.sandbox.inspector().record(Side::Legacy, &id).unwrap()["status"], "CREATED");
    // The side denies the record itself for a while: no spelling of it is a 404.
    let lagging = bed.fault(Side::Legacy, Operation::Get, missing());
    for path in RESPELLED.map(|path| path.replace("{id}", &id)) {
        assert_eq!(raw(&bed, "GET", &path, "").await, 503, "{path}");
        assert_eq!(raw(&bed, "DELETE", &path, "").await, 503, "{path}");
    }
    let problem = bed.client.get(&id).await.problem(503);
    assert!(!problem["detail"].as_str().unwrap().contains("nothing was created"), "{problem}");
    bed.sandbox.faults().remove(&lagging);
    assert_eq!(bed.client.cancel(&id).await.json()["status"], "CANCELLED");
}

/// The vendor's own 404.
fn missing() -> FaultKind {
    FaultKind::Status {
        code: StatusCode::NOT_FOUND,
        retry_after: None,
        body: RefusalBody::Problem,
        applied: false,
    }
}
