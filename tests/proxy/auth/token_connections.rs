//! The connections to the token endpoint for the proxy's own tokens: as those of the data path, they die, grow old, and are refused.

use tempfile::TempDir;

use super::client_credentials::{self, FULL};
use crate::support::wire::caller::{Answer, Caller};
use crate::support::wire::frame_peer::FramePeer;
use crate::support::wire::http2_peer::{Http2Peer, Stream};
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::Pair;

const PATH: &str = "/v2/profiles";
/// Used once, so that each request fetches another.
const TOKEN: &str = r#"{"access_token":"t","expires_in":0}"#;

/// A proxy with credentials of its own before a vendor over HTTP/2.
struct Before {
    client: Caller,
    _shim: Shim,
    _files: TempDir,
}

impl Before {
    async fn vendor(url: &str, certificate: &Pair, more: &[(&str, &str)]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("shim.toml");
        std::fs::write(&file, client_credentials::config(&files)).unwrap();
        let path = certificate.write(files.path()).0.display().to_string();
        let tokens = format!("{url}/oauth2/token");
        let mut flags = vec![
            ("stage", "observe"),
            ("upstream.legacy.url", url),
            ("upstream.new.url", url),
            ("upstream.oauth.url", tokens.as_str()),
            ("upstream.ca_file", path.as_str()),
            ("auth.timeout", "10m"),
        ];
        flags.extend_from_slice(more);
        let shim = Shim::start_with(Some(file), &flags).await;
        let client = Caller::of(&format!("http://{}", shim.address)).token(FULL);
        Self { client, _shim: shim, _files: files }
    }

    async fn peer(more: &[(&str, &str)]) -> (Self, Http2Peer) {
        let certificate = Pair::new();
        let peer = Http2Peer::start(&certificate).await;
        (Self::vendor(&peer.url(), &certificate, more).await, peer)
    }

    fn get(&self) -> tokio::task::JoinHandle<Answer> {
        let client = self.client.clone();
        tokio::spawn(async move { client.get(PATH).await })
    }
}

async fn token_request(peer: &mut Http2Peer) -> Stream {
    let stream = peer.next().await;
    assert!(stream.request.uri().path().ends_with("/token"), "{:?}", stream.request);
    stream
}

/// A request for which the proxy fetches a token; the number of the token's connection.
async fn served(before: &Before, peer: &mut Http2Peer) -> usize {
    let asking = before.get();
    let fetching = token_request(peer).await;
    let connection = fetching.connection;
    fetching.answer(TOKEN);
    peer.next().await.answer("{}");
    assert_eq!(asking.await.unwrap().status, 200);
    connection
}

#[tokio::test]
async fn a_connection_past_its_age_takes_no_further_token_request() {
    let (young, mut peer) = Before::peer(&[]).await;
    assert_eq!([served(&young, &mut peer).await, served(&young, &mut peer).await], [1, 1]);
    let (old, mut peer) = Before::peer(&[("upstream.connection_max_age", "1ms")]).await;
    // The request itself has a connection after each.
    assert_eq!([served(&old, &mut peer).await, served(&old, &mut peer).await], [1, 3]);
}

#[tokio::test]
async fn a_connection_whose_peer_froze_is_found_dead_and_replaced() {
    let pings = [("upstream.keep_alive_interval", "100ms"), ("upstream.keep_alive_timeout", "100ms")];
    let (before, mut peer) = Before::peer(&pings).await;
    let asking = before.get();
    let held = token_request(&mut peer).await;
    peer.freeze(1);
    assert_eq!(asking.await.unwrap().status, 503);
    assert_eq!(served(&before, &mut peer).await, 2);
    drop(held);
}

#[tokio::test]
async fn a_connection_on_which_a_token_request_timed_out_takes_no_other() {
    let (before, mut peer) = Before::peer(&[("auth.timeout", "2s")]).await;
    let asking = before.get();
    let held = token_request(&mut peer).await;
    assert_eq!(asking.await.unwrap().status, 503);
    assert_eq!(served(&before, &mut peer).await, 2);
    drop(held);
}

#[tokio::test]
async fn a_token_request_is_repeated_over_http_1_1_where_the_endpoint_requires_it() {
    let certificate = Pair::new();
    let peer = FramePeer::allowing(100, &certificate).await;
    let before = Before::vendor(&peer.url(), &certificate, &[]).await;
    let asking = before.get();
    let mut connection = peer.next().await;
    let stream = connection.stream().await;
    connection.reset(stream, h2::Reason::HTTP_1_1_REQUIRED).await;
    let mut again = peer.next_http1().await;
    let request = again.http1_request().await;
    assert!(request.starts_with("POST ") && request.contains("client_credentials"), "{request}");
    again.http1_answer(TOKEN).await;
    let mut reading = peer.next().await;
    let stream = reading.stream().await;
    reading.answer(stream, "{}").await;
    assert_eq!(asking.await.unwrap().status, 200);
}

#[tokio::test]
async fn an_endpoint_that_allows_no_streams_is_not_waited_for() {
    let certificate = Pair::new();
    let peer = FramePeer::allowing(0, &certificate).await;
    let before = Before::vendor(&peer.url(), &certificate, &[]).await;
    let asking = before.get();
    let _tried = (peer.next().await, peer.next().await);
    assert_eq!(asking.await.unwrap().status, 503);
}
