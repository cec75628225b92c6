//! Answers that come compressed although nobody asked for it.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use reqwest::Method;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::support::test_bed::{TestBed, conversion};
use crate::support::wire::caller::Caller;
use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::{LEGACY, bed, caller};

const RECORD: &str = r#"{"id":"x","ref_id":"r","source_asset":"USD","destination_asset":"PYUSD","source_amount":"1.50","profile_id":"p","status":"COMPLETED","source":{"profile":{"profile_id":"p"}},"destination":{"profile":{"profile_id":"p"}},"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#;
/// `RECORD`, by Node's `zlib.brotliCompressSync`.
const BROTLI: &str = "GyEBAIzTFfOihHUPom2mfl15g8UsXVCDK8/ADdZENhh86rD0me14wlOe2e92txsMJkmBB955GlEgUXa2qBAE7rCZ+v8zngl+Yl+3Gm2AQl9VuINeM0Fm0SpDFITFeIDgoxBFQE4LhQf4ZbERdBjmCNP9m1gE6LSTni84Cc1JcNxEUh7kSb41fQ==";

/// The record in each coding.
fn coded() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = RECORD.as_bytes();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(bytes).unwrap();
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
    bare.write_all(bytes).unwrap();
    // Padding and other bytes behind the last member are ignored by most clients.
    let followed = [gzip.as_slice(), &[0; 4]].concat();
    let by_junk = [gzip.as_slice(), b"junk"].concat();
    let mut halves = Vec::new();
    for half in [&bytes[..9], &bytes[9..]] {
        let mut member = GzEncoder::new(Vec::new(), Compression::fast());
        member.write_all(half).unwrap();
        halves.extend(member.finish().unwrap());
    }
    let frame = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
    let skippable = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00any";
    let frames = [skippable.as_slice(), &frame(&bytes[..9]), skippable, &frame(&bytes[9..])].concat();
    let twice = compress_to_vec(gzip.as_slice(), CompressionLevel::Fastest);
    vec![
        ("gzip", gzip.clone()),
        ("X-GZip", gzip),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
        ("br", STANDARD.decode(BROTLI).unwrap()),
        ("zstd", compress_to_vec(bytes, CompressionLevel::Fastest)),
        ("identity", bytes.to_vec()),
        ("gzip, zstd", twice),
        ("gzip", followed),
        ("gzip", by_junk),
        ("gzip", halves),
        ("zstd", frames),
    ]
}

/// Reads one request and answers it; the head of the request.
async fn answer(line: &mut RawConnection, coding: &str, body: &[u8]) -> String {
    let request = line.message().await;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    line.say([head.as_bytes(), body].concat()).await;
    request.head.to_ascii_lowercase()
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_answered_plainly() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let bed = bed("sealed", &[("upstream.new.url", &url)]).await;
    let path = format!("{LEGACY}/x");
    let mut line: Option<RawConnection> = None;
    for (coding, body) in coded() {
        let serving = async {
            let mut line = match line.take() {
                Some(line) => line,
                None => door.next().await,
            };
            let head = answer(&mut line, coding, &body).await;
            assert!(head.contains("\r\naccept-encoding: identity\r\n"), "{head}");
            line
        };
        let (got, served) = tokio::join!(bed.client.get(&path), serving);
        line = Some(served);
        assert_eq!((got.status, got.json()["id"].as_str()), (200, Some("x")), "{coding}: {:?}", got.body);
        assert_eq!(got.header("content-encoding"), None, "{coding}");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_or_is_too_long_is_no_answer() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let keys = [("upstream.new.url", &*url), ("limits.response_body_max", "64KiB")];
    let bed = bed("sealed", &keys).await;
    let path = format!("{LEGACY}/x");
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(format!("{RECORD}{}", " ".repeat(1 << 20)).as_bytes()).unwrap();
    let bomb = bomb.finish().unwrap();
    let (cut, bombs) = (&coded()[0].1, [&coded()[0].1[..], &bomb].concat());
    let cases: [(&str, &[u8]); 6] = [
        ("gzip", &bomb),
        ("gzip", &bombs),
        ("gzip", &cut[..cut.len() - 1]),
        ("br", b"no brotli"),
        ("compress", b"x"),
        ("gzip, gzip, gzip, gzip", &bomb),
    ];
    for (coding, body) in cases {
        let serving = async {
            // On a reused connection it is asked for once more.
            loop {
                answer(&mut door.next().await, coding, body).await;
            }
        };
        let got = tokio::select! {
            got = bed.client.get(&path) => got,
            () = serving => unreachable!("it answers as long as it is asked"),
        };
        assert_eq!(got.status, 502, "{coding}: {:?}", got.body);
    }
}

/// Answers every request with the same success, until it is dropped.
async fn answer_all(door: &RawListener, coding: &str, body: &[u8]) -> ! {
    loop {
        let mut line = door.next().await;
        line.message().await;
        let head = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        line.say([head.as_bytes(), body].concat()).await;
    }
}

/// What a gateway in front of the old API says in a coding that cannot be undone, or that nobody asked for, is no record.
#[tokio::test]
async fn a_success_of_the_old_api_in_no_coding_of_the_client_is_no_answer() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let gzip = &coded()[0].1;
    let page = b"<html>We are down for maintenance</html>".as_slice();
    let cases: [(&str, &[u8]); 7] = [
        ("utf-8", page),
        ("none", page),
        ("gzip", page),
        ("gzip", &gzip[..gzip.len() - 1]),
        ("gzip", b""),
        ("compress", b""),
        ("gzip, compress", page),
    ];
    for stage in ["ready", "live"] {
        let bed =
            TestBed::with(&[("stage", stage), ("upstream.legacy.url", &url), ("timeouts.create", "1s")])
                .await;
        let client = Caller::of(&format!("http://{}", bed.client.address()));
        let path = format!("{LEGACY}/x");
        for (at, (coding, body)) in cases.into_iter().enumerate() {
            for accepted in [None, Some("gzip, compress;q=0, *")] {
                let with = |request: reqwest::RequestBuilder| match accepted {
                    Some(accepted) => request.header("accept-encoding", accepted),
                    None => request,
                };
                let requests = async {
                    if stage == "ready" && accepted.is_none() {
                        let order = conversion(&format!("r{at}{}", accepted.is_some()));
                        let created =
                            caller::answer(with(client.ask(Method::POST, LEGACY)).json(&order)).await;
                        assert!(
                            matches!(created.status, 502..=504),
                            "{stage} {coding}: {} {:?}",
                            created.status,
                            created.body
                        );
                    }
                    let got = caller::answer(with(client.ask(Method::GET, &path))).await;
                    assert_eq!(got.status, 502, "{stage} {coding}: {} {:?}", got.status, got.body);
                    let cancelled = caller::answer(with(client.ask(Method::DELETE, &path))).await;
                    assert_eq!(cancelled.status, 502, "{stage} {coding}: {:?}", cancelled.body);
                };
                tokio::select! {
                    () = requests => {},
                    () = answer_all(&door, coding, body) => {},
                }
            }
        }
    }
}

/// The client asked for a coding that is not read here: it may make a record of what it gets.
#[tokio::test]
async fn a_coding_that_the_client_named_is_forwarded() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let bed = bed("ready", &[("upstream.legacy.url", &*url)]).await;
    let request = bed.client.ask(Method::GET, &format!("{LEGACY}/x")).header("accept-encoding", "Compress");
    tokio::select! {
        got = caller::answer(request) => assert_eq!((got.status, got.header("content-encoding")), (200, Some("compress"))),
        () = answer_all(&door, "compress", b"bytes") => {},
    }
}

#[tokio::test]
async fn a_switch_of_protocols_is_forwarded_to_nobody() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let bed = bed("live", &[("upstream.legacy.url", &*url)]).await;
    let path = format!("{LEGACY}/x");
    for method in [Method::GET, Method::HEAD, Method::DELETE] {
        let switching = async {
            loop {
                let mut line = door.next().await;
                line.message().await;
                line.say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
                    .await;
            }
        };
        tokio::select! {
            got = caller::answer(bed.client.ask(method.clone(), &path)) => assert_eq!(got.status, 502, "{method}"),
            () = switching => {},
        }
    }
}
