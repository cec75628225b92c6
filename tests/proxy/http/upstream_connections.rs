//! Connections to an upstream that die, are refused, grow old or are closed at the wrong moment.

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::soon;
use crate::support::wire::caller::Caller;
use crate::support::wire::http2_peer::{self, Http2Peer, Stream};
use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::Pair;
use crate::support::wire::{LEGACY, bed};

const RECORD: &str =
    r#"{"id":"x","amount":"1","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#;

/// The proxy before an upstream that speaks HTTP/2.
struct Before {
    peer: Http2Peer,
    client: Caller,
    shim: Shim,
    _files: TempDir,
}

impl Before {
    async fn peer(more: &[(&str, &str)]) -> Self {
        Self::allowing(None, more).await
    }

    async fn allowing(streams: Option<u32>, more: &[(&str, &str)]) -> Self {
        let (certificate, files) = (Pair::new(), tempfile::tempdir().unwrap());
        let (path, _) = certificate.write(files.path());
        let peer = Http2Peer::allowing(streams, &certificate).await;
        let (url, path) = (peer.url(), path.display().to_string());
        let mut flags = vec![
            ("stage", "observe"),
            ("upstream.legacy.url", url.as_str()),
            ("upstream.new.url", url.as_str()),
            ("upstream.ca_file", path.as_str()),
        ];
        flags.extend_from_slice(more);
        let shim = Shim::start(&flags).await;
        let client = Caller::of(&format!("http://{}", shim.address));
        Self { peer, client, shim, _files: files }
    }

    /// So many reads that the peer does not answer: the numbers of their connections, and what holds them.
    async fn hold(&mut self, path: &'static str, count: usize) -> (Vec<usize>, Vec<Stream>) {
        for _ in 0..count {
            let client = self.client.clone();
            tokio::spawn(async move { client.try_get(path).await });
        }
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(self.peer.next().await);
        }
        (held.iter().map(|stream| stream.connection).collect(), held)
    }

    /// A read through the proxy that the peer answers; the number of its connection.
    async fn read(&mut self, path: &str) -> usize {
        let answering = async {
            let stream = self.peer.next().await;
            let connection = stream.connection;
            stream.answer(RECORD);
            connection
        };
        let (answer, connection) = tokio::join!(self.client.get(path), answering);
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        connection
    }
}

#[tokio::test]
async fn a_connection_whose_peer_froze_is_found_dead_and_replaced() {
    let pings = [("upstream.keep_alive_interval", "100ms"), ("upstream.keep_alive_timeout", "100ms")];
    let mut before = Before::peer(&pings).await;
    assert_eq!(before.read("/v2/profiles").await, 1);
    let client = before.client.clone();
    let waiting = tokio::spawn(async move { client.get("/v2/profiles/slow").await });
    let held = before.peer.next().await;
    before.peer.freeze(1);
    // No limit is set on what passes through, and it ends all the same.
    assert_eq!(waiting.await.unwrap().status, 502);
    assert_eq!(before.read("/v2/profiles").await, 2);
    drop(held);
}

#[tokio::test]
async fn a_connection_on_which_a_request_timed_out_takes_no_other() {
    let mut before = Before::peer(&[("stage", "sealed"), ("timeouts.get", "300ms")]).await;
    let path = format!("{LEGACY}/x");
    let (answer, held) = tokio::join!(before.client.get(&path), before.peer.next());
    assert_eq!((answer.status, held.connection), (504, 1));
    let (_, again) = tokio::join!(before.client.get(&path), before.peer.next());
    assert_eq!(again.connection, 2);
    // Nor does one whose answer began.
    let client = before.client.clone();
    let asking = tokio::spawn(async move { client.get(&format!("{LEGACY}/x")).await });
    let begun = before.peer.next().await;
    assert_eq!(begun.connection, 3);
    let body = begun.answer_head();
    assert_eq!(asking.await.unwrap().status, 504);
    let (_, again) = tokio::join!(before.client.get(&path), before.peer.next());
    assert_eq!(again.connection, 4);
    drop((held, body));
}

#[tokio::test]
async fn a_stream_that_was_refused_was_not_processed() {
    let mut before = Before::peer(&[("stage", "sealed"), ("timeouts.create", "1s")]).await;
    let refusing = async { before.peer.next().await.reset(h2::Reason::REFUSED_STREAM) };
    let (answer, ()) = tokio::join!(before.client.create("r"), refusing);
    let detail = answer.problem(503)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("nothing was sent"), "{detail}");
    // Any other reset may come after the effect.
    let unresolved = async {
        before.peer.next().await.reset(h2::Reason::CANCEL);
        loop {
            before.peer.next().await.answer(r#"{"items":[]}"#);
        }
    };
    tokio::select! {
        answer = before.client.create("s") => assert_eq!(answer.status, 504),
        () = unresolved => {}
    }
}

#[tokio::test]
async fn a_stream_above_the_last_of_a_goaway_was_not_processed() {
    let (certificate, files) = (Pair::new(), tempfile::tempdir().unwrap());
    let (path, _) = certificate.write(files.path());
    let path = path.display().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v2", listener.local_addr().unwrap());
    let keys = [("upstream.new.url", &*url), ("upstream.legacy.url", &*url), ("upstream.ca_file", &*path)];
    let bed = bed("sealed", &keys).await;
    let (answer, ()) = tokio::join!(bed.client.create("r"), http2_peer::goes_away(&listener, &certificate));
    let detail = answer.problem(503)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("nothing was sent"), "{detail}");
    // A read is repeated, on a new connection.
    let path = format!("{LEGACY}/x");
    let twice = async {
        for _ in 0..2 {
            http2_peer::goes_away(&listener, &certificate).await;
        }
    };
    let (answer, ()) = tokio::join!(bed.client.get(&path), twice);
    assert_eq!(answer.status, 503, "{:?}", answer.body);
}

#[tokio::test]
async fn a_read_on_an_http_2_connection_that_ends_is_repeated_once_and_a_create_is_not() {
    let mut before = Before::peer(&[("stage", "sealed"), ("timeouts.create", "1s")]).await;
    let answering = async {
        let held = before.peer.next().await;
        before.peer.close(held.connection);
        let again = before.peer.next().await;
        assert_eq!(again.connection, 2);
        again.answer(RECORD);
    };
    let (answer, ()) = tokio::join!(before.client.get("/v2/profiles"), answering);
    assert_eq!(answer.status, 200, "{:?}", answer.body);

    let lost = async {
        let held = before.peer.next().await;
        assert_eq!(held.request.method(), "POST");
        before.peer.close(held.connection);
        loop {
            let next = before.peer.next().await;
            assert_eq!(next.request.method(), "GET", "no POST is sent twice");
            next.answer(r#"{"items":[]}"#);
        }
    };
    tokio::select! {
        created = before.client.create("r") => assert_eq!(created.status, 504),
        () = lost => {}
    }
}

#[tokio::test]
async fn a_read_that_was_refused_is_repeated_once_on_a_new_connection() {
    let mut before = Before::peer(&[("stage", "sealed")]).await;
    let answering = async {
        before.peer.next().await.reset(h2::Reason::REFUSED_STREAM);
        let again = before.peer.next().await;
        assert_eq!(again.connection, 2);
        again.reset(h2::Reason::REFUSED_STREAM);
    };
    let path = format!("{LEGACY}/x");
    let (answer, ()) = tokio::join!(before.client.get(&path), answering);
    assert_eq!(answer.status, 503, "only once");
}

#[tokio::test]
async fn a_read_on_a_connection_that_closes_at_that_moment_is_repeated_and_a_create_is_not() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let keys = [("upstream.legacy.url", &*url), ("upstream.new.url", &*url), ("timeouts.create", "1s")];
    let bed = bed("sealed", &keys).await;
    let path = format!("{LEGACY}/x");
    let answer = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let not_found = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"none"}"#;
    let not_found = answer(not_found)
        .replace("200 OK", "404 Not Found")
        .replace("application/json", "application/problem+json");
    let asking = bed.client.get(&path);
    let serving = async {
        let mut line = door.next().await;
        line.head().await;
        line.say(&not_found).await;
        line
    };
    let (first, mut line) = tokio::join!(asking, serving);
    assert_eq!(first.status, 404, "{:?}", first.body);
    let serving = async {
        line.head().await;
        drop(line);
        let mut line = door.next().await;
        line.head().await;
        line.say(&not_found).await;
        line
    };
    let (second, _line) = tokio::join!(bed.client.get(&path), serving);
    assert_eq!(second.status, 404, "{:?}", second.body);

    let serving = async {
        let mut line = door.next().await;
        assert!(line.head().await.start().starts_with("POST "));
        drop(line);
        // Its outcome is looked up and not found.
        loop {
            let mut line = door.next().await;
            assert!(line.head().await.start().starts_with("GET "), "no POST is sent twice");
            line.say(&answer(r#"{"items":[]}"#)).await;
        }
    };
    tokio::select! {
        created = bed.client.create("r") => assert_eq!(created.status, 504),
        () = serving => {}
    }
}

#[tokio::test]
async fn a_connection_past_its_age_takes_no_further_request() {
    let mut young = Before::peer(&[]).await;
    assert_eq!([young.read("/v2/a").await, young.read("/v2/b").await], [1, 1]);
    let mut old = Before::peer(&[("upstream.connection_max_age", "1ms")]).await;
    assert_eq!([old.read("/v2/a").await, old.read("/v2/b").await], [1, 2]);
}

#[tokio::test]
async fn http_1_1_alone_is_spoken_where_the_config_says_so() {
    let (certificate, files) = (Pair::new(), tempfile::tempdir().unwrap());
    let (path, _) = certificate.write(files.path());
    let path = path.display().to_string();
    for (version, spoken) in [("auto", &b"h2"[..]), ("1.1", b"http/1.1")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/v2", listener.local_addr().unwrap());
        let keys = [
            ("upstream.legacy.url", &*url),
            ("upstream.ca_file", path.as_str()),
            ("upstream.http_version", version),
        ];
        let bed = bed("observe", &keys).await;
        let asking = tokio::spawn(async move { bed.client.get(LEGACY).await });
        let (socket, _) = soon(listener.accept()).await.unwrap();
        let secured = soon(TlsAcceptor::from(certificate.server()).accept(socket)).await.unwrap();
        assert_eq!(secured.get_ref().1.alpn_protocol(), Some(spoken), "{version}");
        asking.abort();
    }
}

#[tokio::test]
async fn an_answer_with_many_or_folded_headers_is_read() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let bed = bed("observe", &[("upstream.legacy.url", &url)]).await;
    let many: String = (0..250).map(|number| format!("x-{number}: v\r\n")).collect();
    let serving = async {
        let mut line = door.next().await;
        line.head().await;
        line.say(&format!("HTTP/1.1 200 OK\r\n{many}x-folded: one\r\n two\r\ncontent-length: 2\r\n\r\nok"))
            .await;
        line
    };
    let asking = async {
        let mut client = RawConnection::to(bed.shim.address).await;
        client.say("GET /v2/many HTTP/1.1\r\nhost: shim\r\n\r\n").await;
        client.message().await
    };
    let (answer, _line) = tokio::join!(asking, serving);
    assert_eq!((answer.status(), answer.header("x-249").as_deref()), ("200", Some("v")), "{}", answer.head);
    assert_eq!(answer.header("x-folded").as_deref(), Some("one two"));
}

#[tokio::test]
async fn what_exceeds_the_peers_streams_goes_on_another_connection() {
    let mut before = Before::allowing(Some(2), &[]).await;
    assert_eq!(before.read("/v2/profiles").await, 1);
    let (mut connections, held) = before.hold("/v2/slow", 5).await;
    // A place is free again only when the answer is whole.
    let mut held = held.into_iter();
    let body = held.next().unwrap().answer_head();
    let (more, others) = before.hold("/v2/slow", 3).await;
    connections.extend(more);
    for number in &connections {
        let streams = connections.iter().filter(|other| *other == number).count();
        assert!(streams <= 2, "{connections:?}");
    }
    drop((body, held, others));
}

#[tokio::test]
async fn slow_requests_that_pass_through_starve_no_route() {
    let mut before = Before::allowing(Some(100), &[("stage", "sealed")]).await;
    assert_eq!(before.read("/v2/profiles").await, 1);
    let (connections, held) = before.hold("/v2/slow", 101).await;
    assert_eq!(connections.iter().filter(|connection| **connection != 1).count(), 1);
    let answering = async { before.peer.next().await.answer(RECORD) };
    let path = format!("{LEGACY}/x");
    let (answer, ()) = tokio::join!(before.client.get(&path), answering);
    assert_ne!(answer.status, 504, "{:?}", answer.body);
    drop(held);
}

#[tokio::test]
async fn a_body_that_stalls_on_its_way_through_is_given_up() {
    let mut before = Before::peer(&[("timeouts.pass_through_idle", "200ms")]).await;
    let client = before.client.clone();
    let asking = tokio::spawn(async move { client.try_get("/v2/profiles").await });
    let body = before.peer.next().await.answer_head();
    assert!(soon(asking).await.unwrap().is_err(), "the answer is cut off");
    drop(body);

    // A client's body that stalls is the client's fault.
    let mut line = RawConnection::to(before.shim.address).await;
    line.say("POST /v2/transfers HTTP/1.1\r\nhost: shim\r\ncontent-length: 10\r\n\r\nhalf").await;
    let stream = before.peer.next().await;
    let answer = line.message().await;
    assert_eq!(answer.status(), "400", "{}", answer.head);
    drop(stream);
}

/// Frozen peers freeze all of their connections.
#[tokio::test]
async fn after_a_timeout_no_idle_connection_is_used_again() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    let shim =
        Shim::start(&[("upstream.legacy.url", url.as_str()), ("timeouts.pass_through_idle", "300ms")]).await;
    let ask = || {
        let client = Caller::of(&format!("http://{}", shim.address));
        tokio::spawn(async move { client.get("/v2/profiles").await.status })
    };
    let asking = [ask(), ask()];
    let mut lines = [listener.next().await, listener.next().await];
    for line in &mut lines {
        line.message().await;
    }
    for line in &mut lines {
        line.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
    for asked in asking {
        assert_eq!(soon(asked).await.unwrap(), 200);
    }
    assert_eq!(soon(ask()).await.unwrap(), 504);
    let asked = ask();
    let mut fresh = listener.next().await;
    fresh.message().await;
    fresh.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(soon(asked).await.unwrap(), 200);
}

#[tokio::test]
async fn an_answer_that_never_begins_is_given_up() {
    let mut before = Before::peer(&[("timeouts.pass_through_idle", "200ms")]).await;
    let client = before.client.clone();
    let asking = tokio::spawn(async move { client.get("/v2/profiles").await });
    let stream = before.peer.next().await;
    let answer = soon(asking).await.unwrap();
    assert_eq!(answer.status, 504, "{:?}", answer.body);
    drop(stream);
}

#[tokio::test]
async fn a_body_that_moves_may_take_longer_than_it_may_stall() {
    let mut before = Before::peer(&[("timeouts.pass_through_idle", "2s")]).await;
    let client = before.client.clone();
    let asking = tokio::spawn(async move { client.try_get("/v2/profiles").await });
    let mut body = before.peer.next().await.answer_head();
    let start = std::time::Instant::now();
    let mut sent = 0;
    while start.elapsed() < std::time::Duration::from_secs(3) {
        // Far below the limit, so that a busy machine does not reach it.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        body.send_data("x".into(), false).unwrap();
        sent += 1;
    }
    body.send_data("x".into(), true).unwrap();
    assert_eq!(asking.await.unwrap().unwrap().body.len(), sent + 1);
}
