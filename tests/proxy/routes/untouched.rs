//! Creates in mode `legacy` with a ledger: claimed, and on the wire what they always were.

use conversion_shim::ledger::ClaimState;
use conversion_shim::translate::side::Side;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::soon;
use crate::support::test_bed::{TestBed, conversion};

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

/// Answers whatever comes with a 403.
async fn forbid_all(upstream: &TcpListener) {
    while let Ok((mut stream, _)) = upstream.accept().await {
        message(&mut stream, 0).await;
        let answer = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn message(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    loop {
        if let Some(at) = heard.windows(4).position(|end| end == b"\r\n\r\n")
            && heard.len() >= at + 4 + length
        {
            return heard;
        }
        assert!(
            soon(stream.read_buf(&mut heard)).await.unwrap() > 0,
            "{:?}",
            String::from_utf8_lossy(&heard)
        );
    }
}

#[tokio::test]
async fn body_and_headers_go_through_as_they_came_both_ways() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bed = TestBed::at("observe").await;
    let url = format!("http://{}/v2", upstream.local_addr().unwrap());
    bed.go(&[("stage", "observe"), ("upstream.legacy.url", &url)]).await;
    let body = "{ \"ref_id\" : \"r\\u0031\",\n\t\"amount\":\"1.50\", \"profile_id\":\"p\",\"source_asset\":\"USD\",\
                \"target_asset\":\"PYUSD\", \"unknown\":[1e400], \"metadata\":{\"b\":\"\\u00e9\",\"a\":\"é\"} }\n";
    let mut client = TcpStream::connect(bed.client.address()).await.unwrap();
    let head = format!(
        "POST /v2/conversion/stablecoins?trace=1 HTTP/1.1\r\nHost: shim\r\nauthorization: Bearer t\r\nX-Odd-CASE: a\r\n\
         x-odd-case: b\r\nContent-Type: application/x-www-form-urlencoded\r\nUser-Agent: old/1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let (mut stream, _) = soon(upstream.accept()).await.unwrap();
    let heard = message(&mut stream, body.len()).await;
    assert!(heard.ends_with(format!("\r\n\r\n{body}").as_bytes()), "{:?}", String::from_utf8_lossy(&heard));
    let heard = String::from_utf8(heard).unwrap();
    let start = "POST /v2/conversion/stablecoins?trace=1 HTTP/1.1\r\n";
    assert!(heard.starts_with(start), "{heard}");
    for line in [
        "authorization: Bearer t",
        "X-Odd-CASE: a",
        "x-odd-case: b",
        "Content-Type: application/x-www-form-urlencoded",
        "User-Agent: old/1",
    ] {
        assert!(heard.contains(&format!("\r\n{line}\r\n")), "{line} in {heard}");
    }
    // The claim is there before the answer is, under the reference as the vendor reads it.
    let claim = bed.claim("r1").await.unwrap();
    assert_eq!((claim.side, claim.state), (Side::Legacy, ClaimState::Claimed));

    let answer = "{\"id\" :\"x\", \"created_at\":\"2026-01-01T00:00:00Z\",\"surprise\": {} }";
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Request-ID: 7\r\nContent-Type: application/json; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    let received = String::from_utf8(message(&mut client, answer.len()).await).unwrap();
    assert!(
        received.starts_with("HTTP/1.1 200 OK\r\n") && received.ends_with(&format!("\r\n\r\n{answer}")),
        "{received}"
    );
    for line in ["X-Request-ID: 7", "Content-Type: application/json; charset=utf-8"] {
        assert!(received.contains(&format!("\r\n{line}\r\n")), "{line} in {received}");
    }
}

/// A client that accepts gzip gets the old API's bytes, and the proxy reads them all the same.
#[tokio::test]
async fn compressed_answers_go_through_untouched_and_are_read() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bed = TestBed::at("observe").await;
    let url = format!("http://{}/v2", upstream.local_addr().unwrap());
    bed.go(&[("stage", "observe"), ("upstream.legacy.url", &url)]).await;
    for (ref_id, named, expected) in [("r1", "r1", 200), ("r2", "another", 504)] {
        let body = conversion(ref_id).to_string();
        let head = format!(
            "POST /v2/conversion/stablecoins HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer t\r\naccept-encoding: gzip\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut client = TcpStream::connect(bed.client.address()).await.unwrap();
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let (mut stream, _) = soon(upstream.accept()).await.unwrap();
        let heard = String::from_utf8(message(&mut stream, body.len()).await).unwrap();
        assert!(heard.contains("\r\naccept-encoding: gzip\r\n"), "{heard}");
        let answer = gzip(&format!("{{\"id\":\"x\",\"ref_id\":\"{named}\"}}"));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap();
        drop(stream);
        let mut received = Vec::new();
        // Another reference is an unknown outcome; a caller who may not look it up is not asked twice.
        let ended = async {
            tokio::select! {
                read = client.read_to_end(&mut received) => read.map(drop).unwrap(),
                () = forbid_all(&upstream) => {}
            }
        };
        soon(ended).await;
        assert!(
            received.starts_with(format!("HTTP/1.1 {expected} ").as_bytes()),
            "{}",
            String::from_utf8_lossy(&received)
        );
        assert_eq!(received.ends_with(&answer), expected == 200, "the bytes as they came");
        let claim = bed.claim(ref_id).await.unwrap();
        assert_eq!(claim.record_id.as_deref(), (expected == 200).then_some("x"));
    }
}

/// What the old API refuses is the old API's to refuse, in its own words.
#[tokio::test]
async fn a_body_that_is_no_create_is_judged_by_the_old_api() {
    let bed = TestBed::at("observe").await;
    for body in ["", "{", "[]", r#"{"ref_id":7}"#, r#"{"ref_id":"r","ref_id":"s"}"#, "\u{feff}{}"] {
        let answer =
            bed.client.ask(reqwest::Method::POST, crate::support::test_bed::LEGACY, body.to_owned()).await;
        answer.problem(400);
        let requests = bed.sandbox.inspector().requests();
        let post = requests.iter().rfind(|request| request.method == reqwest::Method::POST).unwrap();
        assert_eq!(post.body, body);
    }
}
