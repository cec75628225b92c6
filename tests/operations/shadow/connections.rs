//! The connections of shadow's reads: as those of the data path, they die, grow old, and are refused.

use conversion_shim::sandbox::Sandbox;
use conversion_shim::shadow::types::Verdict;
use tempfile::TempDir;

use super::comparing::{WHEN, settled};
use super::shadowed::Shadowed;
use crate::support::test_bed::vendor;
use crate::support::wire::frame_peer::FramePeer;
use crate::support::wire::http2_peer::Http2Peer;
use crate::support::wire::tls::Pair;

const NOTHING: &str = r#"{"items":[]}"#;

/// Shadow that reads from an upstream over HTTP/2 what the sandbox answered on the old side.
struct Reading {
    shim: Shadowed,
    id: String,
    _vendor: Sandbox,
    _files: TempDir,
}

impl Reading {
    async fn from(url: &str, certificate: &Pair, more: &[(&str, &str)]) -> Self {
        let (vendor, files) = (vendor().await, tempfile::tempdir().unwrap());
        let id = vendor.inspector().seed_conversion(settled("r", WHEN));
        let (path, legacy) = (certificate.write(files.path()).0.display().to_string(), vendor.base_url());
        let mut keys = vec![
            ("upstream.legacy.url", legacy.as_str()),
            ("upstream.new.url", url),
            ("upstream.ca_file", path.as_str()),
            ("shadow.timeout", "10m"),
        ];
        keys.extend_from_slice(more);
        Self { shim: Shadowed::start(&keys).await, id, _vendor: vendor, _files: files }
    }

    /// A client's get, which shadow compares.
    async fn compare(&self) {
        assert_eq!(self.shim.client.get(&self.id).await.id(), self.id);
    }

    async fn verdict(&mut self) -> Verdict {
        self.shim.record().await.verdict
    }
}

async fn before_peer(more: &[(&str, &str)]) -> (Reading, Http2Peer) {
    let certificate = Pair::new();
    let peer = Http2Peer::start(&certificate).await;
    (Reading::from(&peer.url(), &certificate, more).await, peer)
}

/// A comparison whose read the upstream answers; the number of its connection.
async fn compared(reading: &mut Reading, peer: &mut Http2Peer) -> usize {
    reading.compare().await;
    let stream = peer.next().await;
    let connection = stream.connection;
    stream.answer(NOTHING);
    assert_eq!(reading.verdict().await, Verdict::NoCounterpart);
    connection
}

#[tokio::test]
async fn a_connection_past_its_age_takes_no_further_read() {
    let (mut young, mut peer) = before_peer(&[]).await;
    assert_eq!([compared(&mut young, &mut peer).await, compared(&mut young, &mut peer).await], [1, 1]);
    let (mut old, mut peer) = before_peer(&[("upstream.connection_max_age", "1ms")]).await;
    // Two reads may be less than that apart.
    let mut connections = vec![compared(&mut old, &mut peer).await];
    while connections.last() == Some(&1) && connections.len() < 100 {
        connections.push(compared(&mut old, &mut peer).await);
    }
    assert_eq!(connections.last(), Some(&2), "{connections:?}");
}

#[tokio::test]
async fn a_connection_whose_peer_froze_is_found_dead_and_replaced() {
    let pings = [("upstream.keep_alive_interval", "100ms"), ("upstream.keep_alive_timeout", "100ms")];
    let (mut reading, mut peer) = before_peer(&pings).await;
    reading.compare().await;
    let held = peer.next().await;
    peer.freeze(1);
    assert_eq!(reading.verdict().await, Verdict::ShadowFailed);
    assert_eq!(compared(&mut reading, &mut peer).await, 2);
    drop(held);
}

#[tokio::test]
async fn a_connection_on_which_a_read_timed_out_takes_no_other() {
    let (mut reading, mut peer) = before_peer(&[("shadow.timeout", "2s")]).await;
    reading.compare().await;
    let held = peer.next().await;
    assert_eq!(reading.verdict().await, Verdict::ShadowFailed);
    assert_eq!(compared(&mut reading, &mut peer).await, 2);
    drop(held);
}

#[tokio::test]
async fn a_read_is_repeated_over_http_1_1_where_the_upstream_requires_it() {
    let certificate = Pair::new();
    let peer = FramePeer::allowing(100, &certificate).await;
    let mut reading = Reading::from(&peer.url(), &certificate, &[]).await;
    reading.compare().await;
    let mut connection = peer.next().await;
    let stream = connection.stream().await;
    connection.reset(stream, h2::Reason::HTTP_1_1_REQUIRED).await;
    // The second comparison shows that it is remembered.
    for comparison in ["repeated", "next"] {
        let mut again = peer.next_http1().await;
        assert!(again.http1_request().await.starts_with("GET /v2/orchestration/"), "{comparison}");
        again.http1_answer(NOTHING).await;
        assert_eq!(reading.verdict().await, Verdict::NoCounterpart, "{comparison}");
        drop(again);
        reading.compare().await;
    }
}

#[tokio::test]
async fn an_upstream_that_allows_no_streams_is_not_waited_for() {
    let certificate = Pair::new();
    let peer = FramePeer::allowing(0, &certificate).await;
    let mut reading = Reading::from(&peer.url(), &certificate, &[]).await;
    reading.compare().await;
    let _tried = (peer.next().await, peer.next().await);
    assert_eq!(reading.verdict().await, Verdict::ShadowFailed);
}
