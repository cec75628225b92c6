//! HTTP/2 clients that do not open the window of an answer, and keep their connection busy.

use conversion_shim::sandbox::Sandbox;

use crate::support::soon;
use crate::support::wire::http2_client::{DATA, PING, RST_STREAM, RawHttp2};
use crate::support::wire::raw::RawListener;
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, TestBed, bed};

const TIMEOUT: (&str, &str) = ("limits.write_timeout", "400ms");
/// The place of an answer in flight is the only one of its client.
const ONE: (&str, &str) = ("limits.in_flight.client", "1");
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn seed(sandbox: &Sandbox, rows: usize) {
    for at in 0..rows {
        let record = crate::support::test_bed::new_record(&format!("r{at}"), "2026-01-01T00:00:00Z");
        sandbox.inspector().seed_orchestration(record);
    }
}

/// A proxy before a vendor with a page of several KiB.
async fn with_rows(rows: usize, more: &[(&str, &str)]) -> TestBed {
    let bed = bed("sealed", &[&[TIMEOUT], more].concat()).await;
    seed(&bed.sandbox, rows);
    bed
}

fn page() -> String {
    format!("{LEGACY}?limit=1000")
}

/// Says PING after PING, each once the last is answered, until the stream is reset. `also` is said with each.
async fn reset_while_busy(client: &mut RawHttp2, stream: u32, also: impl AsyncFn(&mut RawHttp2)) {
    client.say(PING, 0, 0, &[7; 8]).await;
    loop {
        let frame = client.next().await;
        match (frame.kind, frame.stream) {
            (RST_STREAM, at) if at == stream => {
                assert_eq!(frame.payload, CANCEL);
                return;
            }
            (PING, _) if frame.flags == 1 => {
                also(client).await;
                client.say(PING, 0, 0, &[7; 8]).await;
            }
            _ => assert!(!frame.ends_stream() || frame.stream != stream, "the answer is whole: {frame:?}"),
        }
    }
}

/// The place is free, and the connection serves its other streams.
async fn lives_on(bed: &TestBed, client: &mut RawHttp2, stream: u32) {
    soon(async { while bed.client.get("/v2/profiles").await.status != 200 {} }).await;
    client.get(stream, "/v2/profiles").await;
    client.open_window(0, 1 << 20).await;
    client.open_window(stream, 1 << 20).await;
    assert_eq!(client.end_of(stream).await.kind, DATA);
}

#[tokio::test]
async fn an_answer_whose_window_stays_shut_is_reset_and_other_streams_live_on() {
    // Shut from the start, open for a part of a small answer, and for a part of a large one.
    for (rows, window) in [(1, 0), (1, 10), (300, 0), (300, 10), (300, 30_000)] {
        let bed = with_rows(rows, &[ONE]).await;
        let mut client = RawHttp2::to(bed.shim.address, window).await;
        client.get(1, &page()).await;
        reset_while_busy(&mut client, 1, async |_| {}).await;
        lives_on(&bed, &mut client, 3).await;
    }
}

#[tokio::test]
async fn a_connection_whose_window_is_used_up_has_its_answer_reset() {
    let bed = with_rows(300, &[ONE]).await;
    let mut client = RawHttp2::to(bed.shim.address, 1 << 20).await;
    client.get(1, &page()).await;
    reset_while_busy(&mut client, 1, async |_| {}).await;
    lives_on(&bed, &mut client, 3).await;
}

/// A byte now and then buys no time.
#[tokio::test]
async fn a_window_that_opens_by_single_bytes_counts_as_shut() {
    let bed = with_rows(300, &[ONE]).await;
    let mut client = RawHttp2::to(bed.shim.address, 0).await;
    client.get(1, &page()).await;
    let given = std::cell::Cell::new(0);
    reset_while_busy(&mut client, 1, async |client: &mut RawHttp2| {
        // Fewer than 1 KiB however fast the pings are answered.
        if given.replace(given.get() + 1) < 500 {
            client.open_window(1, 1).await;
        }
    })
    .await;
    lives_on(&bed, &mut client, 3).await;
}

/// What passes through has its upstream's connection, which ends with it.
#[tokio::test]
async fn the_upstream_of_an_unread_answer_is_given_up() {
    for window in [0, 10] {
        let listener = RawListener::open().await;
        let shim = Shim::start(&[TIMEOUT, ("upstream.legacy.url", &listener.url("/v2"))]).await;
        let mut client = RawHttp2::to(shim.address, window).await;
        client.get(1, "/v2/stream").await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        upstream
            .say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n")
            .await;
        reset_while_busy(&mut client, 1, async |_| {}).await;
        assert!(upstream.is_cut().await);
    }
}

/// Slow, and in good faith.
#[tokio::test]
async fn a_window_that_opens_in_small_steps_gets_the_whole_answer() {
    let bed = with_rows(300, &[]).await;
    let whole = bed.client.get(&page()).await.body.len();
    let mut client = RawHttp2::to(bed.shim.address, 0).await;
    client.get(1, &page()).await;
    client.open_window(1, 2048).await;
    client.open_window(0, 1 << 30).await;
    let mut read = 0;
    loop {
        let frame = client.next().await;
        if frame.stream != 1 || frame.kind != DATA {
            assert_ne!(frame.kind, RST_STREAM, "after {read} of {whole}");
            continue;
        }
        read += frame.payload.len();
        if frame.ends_stream() {
            break;
        }
        if !frame.payload.is_empty() {
            client.open_window(1, u32::try_from(frame.payload.len()).unwrap()).await;
        }
    }
    assert_eq!(read, whole);
}

/// A source that is slow is not a client that is.
#[tokio::test]
async fn an_upstream_that_pauses_for_longer_than_that_has_its_answer_read() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[TIMEOUT, ("upstream.legacy.url", &listener.url("/v2"))]).await;
    let mut client = RawHttp2::to(shim.address, 1 << 20).await;
    client.get(1, "/v2/stream").await;
    let mut upstream = listener.next().await;
    upstream.message().await;
    upstream.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..2 {
        upstream.say("5\r\nhello\r\n").await;
        while client.next().await.kind != DATA {}
        // The proxy's own clock says when the time has passed: another stream is reset by it.
        let mut stalled = RawHttp2::to(shim.address, 0).await;
        stalled.get(1, "/v2/stalled").await;
        let mut other = listener.next().await;
        other.message().await;
        other.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
        reset_while_busy(&mut stalled, 1, async |_| {}).await;
    }
    upstream.say("0\r\n\r\n").await;
    assert_eq!(client.end_of(1).await.kind, DATA);
}
