//! An upstream that allows no streams on its HTTP/2 connections, or wants HTTP/1.1 instead.

use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::support::wire::LEGACY;
use crate::support::wire::caller::{Answer, Caller};
use crate::support::wire::frame_peer::FramePeer;
use crate::support::wire::http2_client::DATA;
use crate::support::wire::raw::RawListener;
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::Pair;

const RECORD: &str =
    r#"{"id":"x","amount":"1","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#;

/// The proxy in `sealed` before an upstream that says how many streams it allows before it gets a request.
struct Before {
    peer: FramePeer,
    client: Caller,
    _shim: Shim,
    _files: TempDir,
}

impl Before {
    async fn allowing(streams: u32, more: &[(&str, &str)]) -> Self {
        let (certificate, files) = (Pair::new(), tempfile::tempdir().unwrap());
        let (path, _) = certificate.write(files.path());
        let peer = FramePeer::allowing(streams, &certificate).await;
        let (url, path) = (peer.url(), path.display().to_string());
        let mut flags = vec![
            ("stage", "sealed"),
            ("upstream.legacy.url", url.as_str()),
            ("upstream.new.url", url.as_str()),
            ("upstream.ca_file", path.as_str()),
        ];
        flags.extend_from_slice(more);
        let shim = Shim::start(&flags).await;
        let client = Caller::of(&format!("http://{}", shim.address));
        Self { peer, client, _shim: shim, _files: files }
    }

    /// Opens connections and never allows a stream on them.
    async fn refuse_all(&self) {
        let mut connections = Vec::new();
        loop {
            connections.push(self.peer.next().await);
        }
    }
}

fn says_that_nothing_was_sent(answer: &Answer) {
    let detail = answer.problem(503)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("nothing was sent"), "{detail}");
}

#[tokio::test]
async fn what_an_upstream_that_allows_no_streams_never_got_was_not_sent() {
    // The second limit ends before the upstream is given up.
    for create in ["20s", "300ms"] {
        let before = Before::allowing(0, &[("timeouts.create", create)]).await;
        tokio::select! {
            answer = before.client.create("r") => says_that_nothing_was_sent(&answer),
            () = before.refuse_all() => {}
        }
    }
    let before = Before::allowing(0, &[]).await;
    for path in ["/v2/profiles", LEGACY] {
        tokio::select! {
            answer = before.client.get(path) => says_that_nothing_was_sent(&answer),
            () = before.refuse_all() => {}
        }
    }
    let writing = before.client.ask(reqwest::Method::PUT, "/v2/profiles/x").body("body").send();
    tokio::select! {
        answer = writing => assert_eq!(answer.unwrap().status(), 503),
        () = before.refuse_all() => {}
    }
}

/// hyper opens streams before it has read the first SETTINGS, and a request without a body cannot be held back.
#[tokio::test]
async fn a_cancel_to_an_upstream_that_allows_no_streams_is_not_called_unsent() {
    let before = Before::allowing(0, &[("stage", "observe")]).await;
    let path = format!("{LEGACY}/5d0c1e7a-9d5e-4c1e-9d6e-000000000000");
    tokio::select! {
        answer = before.client.delete(&path) => {
            assert!(answer.status >= 500, "{}", answer.status);
            assert!(!answer.detail().contains("nothing was sent"), "{}", answer.detail());
        }
        () = before.refuse_all() => {}
    }
}

#[tokio::test]
async fn a_create_that_was_given_up_is_not_sent_later() {
    let before = Before::allowing(0, &[("timeouts.create", "300ms")]).await;
    let (answer, mut connection) = tokio::join!(before.client.create("r"), before.peer.next());
    says_that_nothing_was_sent(&answer);
    connection.allow(100).await;
    assert!(!connection.carries_a_request().await);
}

#[tokio::test]
async fn a_request_waits_for_a_stream_that_is_allowed_in_time() {
    let before = Before::allowing(0, &[]).await;
    let serving = async {
        let mut connection = before.peer.next().await;
        connection.acknowledged(1).await;
        connection.allow(100).await;
        let stream = connection.stream().await;
        connection.answer(stream, "{}").await;
        connection
    };
    let (answer, _connection) = tokio::join!(before.client.get("/v2/profiles"), serving);
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}

#[tokio::test]
async fn a_connection_whose_peer_allows_no_more_streams_takes_no_further_request() {
    let before = Before::allowing(100, &[]).await;
    let path = format!("{LEGACY}/x");
    let serving = async {
        let mut connection = before.peer.next().await;
        let stream = connection.stream().await;
        connection.answer(stream, RECORD).await;
        connection
    };
    let (_, mut first) = tokio::join!(before.client.get(&path), serving);
    first.allow(0).await;
    first.acknowledged(1).await;
    let serving = async {
        let mut connection = before.peer.next().await;
        let stream = connection.stream().await;
        connection.answer(stream, RECORD).await;
        connection
    };
    let (answer, _second) = tokio::join!(before.client.get(&path), serving);
    assert_ne!(answer.status, 504, "{:?}", answer.body);
}

#[tokio::test]
async fn a_read_is_repeated_over_http_1_1_where_the_upstream_requires_it() {
    let before = Before::allowing(100, &[]).await;
    let serving = async {
        let mut connection = before.peer.next().await;
        let stream = connection.stream().await;
        connection.reset(stream, h2::Reason::HTTP_1_1_REQUIRED).await;
        let mut again = before.peer.next_http1().await;
        assert!(again.http1_request().await.starts_with("GET /v2/profiles "));
        again.http1_answer("{}").await;
        (connection, again)
    };
    let (answer, _held) = tokio::join!(before.client.get("/v2/profiles"), serving);
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    // It is remembered.
    let serving = async {
        let mut next = before.peer.next_http1().await;
        next.http1_request().await;
        next.http1_answer("{}").await;
        next
    };
    let (answer, _held) = tokio::join!(before.client.get("/v2/profiles"), serving);
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}

#[tokio::test]
async fn a_create_that_requires_http_1_1_has_an_unknown_outcome_and_the_next_one_goes_so() {
    let before = Before::allowing(100, &[("timeouts.create", "2s")]).await;
    let serving = async {
        let mut connection = before.peer.next().await;
        let stream = connection.stream().await;
        connection.reset(stream, h2::Reason::HTTP_1_1_REQUIRED).await;
        let mut posts = 0;
        let mut lookups = before.peer.next_http1().await;
        loop {
            let request = lookups.http1_request().await;
            posts += usize::from(request.starts_with("POST "));
            assert_eq!(posts, 0, "no POST is sent twice");
            lookups.http1_answer(r#"{"items":[]}"#).await;
            // On a connection that had carried an answer, an empty list is asked for once more on another one.
            lookups = before.peer.next_http1().await;
        }
    };
    tokio::select! {
        answer = before.client.create("r") => assert_eq!(answer.status, 504, "{:?}", answer.body),
        () = serving => {}
    }
    let next = async {
        loop {
            let mut connection = before.peer.next_http1().await;
            if connection.http1_request().await.starts_with("POST ") {
                break;
            }
        }
    };
    tokio::select! {
        answer = before.client.create("s") => panic!("{answer:?}"),
        () = next => {}
    }
}

/// Answers one request after the other with 1xx alone, for as long as there is someone to hear it.
async fn never_final(listener: &RawListener) {
    let mut connections = Vec::new();
    loop {
        let mut connection = listener.next().await;
        connections.push(tokio::spawn(async move {
            connection.head().await;
            for interim in ["100 Continue", "102 Processing", "103 Early Hints"].iter().cycle() {
                let interim = format!("HTTP/1.1 {interim}\r\nlink: </x>\r\n\r\n");
                if connection.stream.write_all(interim.as_bytes()).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
    }
}

#[tokio::test]
async fn interim_answers_over_http_2_do_not_extend_a_time_limit() {
    let limits = [("timeouts.create", "1s"), ("timeouts.get", "1s"), ("timeouts.pass_through_idle", "1s")];
    let before = Before::allowing(100, &limits).await;
    let asking = async {
        assert_eq!(before.client.create("r").await.status, 504);
        for path in [&*format!("{LEGACY}/x"), "/v2/profiles"] {
            assert_eq!(before.client.get(path).await.status, 504, "{path}");
        }
    };
    let serving = async {
        let mut connections = Vec::new();
        loop {
            let mut connection = before.peer.next().await;
            connections.push(tokio::spawn(async move {
                let stream = connection.stream().await;
                while connection.interim(stream).await {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }));
        }
    };
    tokio::select! {
        () = asking => {}
        () = serving => {}
    }
}

#[tokio::test]
async fn interim_answers_do_not_extend_a_time_limit() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    let shim = Shim::start(&[
        ("stage", "sealed"),
        ("upstream.legacy.url", url.as_str()),
        ("upstream.new.url", url.as_str()),
        ("timeouts.create", "1s"),
        ("timeouts.get", "1s"),
        ("timeouts.list", "1s"),
        ("timeouts.pass_through_idle", "1s"),
    ])
    .await;
    let client = Caller::of(&format!("http://{}", shim.address));
    let asking = async {
        assert_eq!(client.create("r").await.status, 504);
        for path in [&*format!("{LEGACY}/x"), LEGACY, "/v2/profiles"] {
            assert_eq!(client.get(path).await.status, 504, "{path}");
        }
        let written = client.ask(reqwest::Method::PUT, "/v2/profiles/x").body("body").send().await;
        assert_eq!(written.unwrap().status(), 504);
    };
    tokio::select! {
        () = asking => {}
        () = never_final(&listener) => {}
    }
}

/// An interim answer shows that the request was processed, whatever the peer says afterwards.
#[tokio::test]
async fn a_create_that_was_answered_in_part_is_not_called_unsent() {
    for (interim, goes_away) in [(true, false), (true, true), (false, false), (false, true)] {
        let before = Before::allowing(100, &[("timeouts.create", "2s")]).await;
        let denying = async {
            let mut connection = before.peer.next().await;
            let stream = connection.stream().await;
            while connection.frame().await.is_some_and(|frame| frame.kind != DATA) {}
            if interim {
                assert!(connection.interim(stream).await);
            }
            if goes_away {
                connection.go_away(0).await;
            } else {
                connection.reset(stream, h2::Reason::REFUSED_STREAM).await;
            }
            // Lookups have no answer.
            before.refuse_all().await;
        };
        tokio::select! {
            answer = before.client.create("r") => if interim {
                let problem = answer.problem(504);
                assert_eq!(problem["type"], "urn:conversion-shim:problem:outcome-unknown", "{goes_away} {problem}");
            } else {
                says_that_nothing_was_sent(&answer);
            },
            () = denying => {}
        }
    }
}

/// Its peer reads, and answers no ping.
#[tokio::test]
async fn an_idle_connection_whose_peer_froze_is_closed_before_a_request_meets_it() {
    let keys = [
        ("stage", "observe"),
        ("upstream.keep_alive_interval", "100ms"),
        ("upstream.keep_alive_timeout", "100ms"),
        ("upstream.pool_idle_timeout", "1h"),
    ];
    let before = Before::allowing(100, &keys).await;
    let serving = async {
        let mut connection = before.peer.next().await;
        let stream = connection.stream().await;
        connection.answer(stream, "{}").await;
        connection
    };
    let (answer, mut frozen) = tokio::join!(before.client.get("/v2/profiles"), serving);
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert!(!frozen.carries_a_request().await);
}
