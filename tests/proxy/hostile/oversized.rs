//! Everything that can be too long or too many.

use std::fmt::Write as _;

use conversion_shim::sandbox::TOKEN;
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;

use super::{asked, problem, refused, unharmed};
use crate::support::wire::caller::{Caller, answer, plain};
use crate::support::wire::raw::RawConnection;
use crate::support::wire::{LEGACY, bed};

fn headers(count: usize) -> String {
    (0..count).fold(String::new(), |mut all, at| {
        write!(all, "x-{at}: y\r\n").unwrap();
        all
    })
}

#[tokio::test]
async fn heads_over_the_caps_are_refused_in_the_legacy_shape() {
    let flags = [("limits.headers_max", "20"), ("limits.header_bytes_max", "128KiB")];
    let bed = bed("sealed", &flags).await;
    let most = format!("GET /v2/profiles HTTP/1.1\r\nhost: shim\r\n{}\r\n", headers(19));
    let mut line = RawConnection::to(bed.shim.address).await;
    line.say(most).await;
    assert_ne!(line.message().await.status(), "431", "as many as are allowed");
    refused(&bed, format!("GET /v2/x HTTP/1.1\r\nhost: shim\r\n{}\r\n", headers(20)), "431").await;
    refused(&bed, format!("GET /v2/{} HTTP/1.1\r\nhost: shim\r\n\r\n", "x".repeat(70_000)), "414").await;
    // More than is read: the write may break off.
    let mut line = RawConnection::to(bed.shim.address).await;
    let _ =
        line.stream.write_all(format!("GET /v2/x HTTP/1.1\r\nx: {}", "y".repeat(140_000)).as_bytes()).await;
    problem(&mut line, "431", "one long header").await;
    assert_eq!(asked(&bed.sandbox), ["GET /v2/profiles"]);
    unharmed(&bed, "long heads").await;
}

#[tokio::test]
async fn heads_over_the_caps_are_refused_over_http_2_as_well() {
    let flags = [("limits.headers_max", "20"), ("limits.header_bytes_max", "8KiB")];
    let bed = bed("sealed", &flags).await;
    let client = Caller::with(&format!("http://{}", bed.shim.address), plain().http2_prior_knowledge());
    let many = (0..30)
        .fold(client.ask(Method::GET, "/v2/profiles"), |request, at| request.header(format!("x-{at}"), "y"));
    answer(many).await.problem(431);
    let long = client.ask(Method::GET, "/v2/profiles").header("x", "y".repeat(10_000));
    // h2 answers what does not fit into its list by itself, with the status alone, or resets the stream.
    if let Ok(refused) = long.send().await {
        assert_eq!(refused.status(), 431);
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "long heads over HTTP/2").await;
}

#[tokio::test]
async fn bodies_over_the_cap_are_413_however_they_are_announced() {
    let bed = bed("sealed", &[("limits.request_body_max", "1KiB")]).await;
    for length in [
        "content-length: 1025\r\n\r\n".to_owned(),
        "content-length: 18446744073709551613\r\n\r\n".to_owned(),
        format!("transfer-encoding: chunked\r\n\r\n401\r\n{}\r\n0\r\n\r\n", "x".repeat(1025)),
        format!("transfer-encoding: chunked\r\n\r\n{}", "1\r\nx\r\n".repeat(1025)),
        "transfer-encoding: chunked\r\n\r\nffffffffffffff\r\nx".to_owned(),
    ] {
        let mut line = RawConnection::to(bed.shim.address).await;
        let head = format!("POST {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\n");
        line.say(format!("{head}{length}")).await;
        if length.contains("ffffff") {
            // Announced in a chunk: known to be too long only once it is there.
            let _ = line.stream.write_all("y".repeat(2000).as_bytes()).await;
        }
        problem(&mut line, "413", &length[..40.min(length.len())]).await;
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "long bodies").await;
}

#[tokio::test]
async fn what_chunks_carry_besides_data_is_bounded() {
    let bed = bed("sealed", &[]).await;
    let head = format!(
        "POST {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let extensions = format!("1;{}\r\n{{\r\n0\r\n\r\n", "x".repeat(100_000));
    let trailers = format!("1\r\n{{\r\n0\r\n{}\r\n", headers(5000));
    let long_trailer = format!("1\r\n{{\r\n0\r\nx: {}\r\n\r\n", "y".repeat(500_000));
    for body in [extensions, trailers, long_trailer] {
        let mut line = RawConnection::to(bed.shim.address).await;
        // It may be cut off before it has said everything.
        let _ = line.stream.write_all(format!("{head}{body}").as_bytes()).await;
        let heard = String::from_utf8(line.rest_or_reset().await).unwrap();
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 400"), "{heard}");
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "long chunks").await;
}
