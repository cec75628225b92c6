//! The client's base path becomes the upstream's prefix; what lies outside goes to the same origin as it is.

use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;

async fn asked(shim: &Shim, listener: &RawListener, path: &str) -> String {
    let mut client = RawConnection::to(shim.address).await;
    client.say(format!("GET {path} HTTP/1.1\r\nhost: shim\r\nconnection: close\r\n\r\n")).await;
    let mut upstream = listener.next().await;
    let start = upstream.message().await.start().to_owned();
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.head().await.status(), "200");
    start.trim_start_matches("GET ").trim_end_matches(" HTTP/1.1").to_owned()
}

#[tokio::test]
async fn an_upstream_with_another_prefix_gets_its_own_paths() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/old/api"))]).await;
    for (path, expected) in [
        ("/v2/profiles?a=/v2/b", "/old/api/profiles?a=/v2/b"),
        ("/v2/conversion/stablecoins?limit=1", "/old/api/conversion/stablecoins?limit=1"),
        ("/v2", "/old/api"),
        ("/v2?a", "/old/api?a"),
        ("/v2/", "/old/api/"),
        ("/v22/profiles", "/v22/profiles"),
        ("/health", "/health"),
        ("/", "/"),
    ] {
        assert_eq!(asked(&shim, &listener, path).await, expected);
    }
}

#[tokio::test]
async fn an_upstream_without_a_prefix_gets_whole_paths() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url(""))]).await;
    for (path, expected) in [("/v2/profiles", "/profiles"), ("/v2?a", "/?a"), ("/v2", "/"), ("/x", "/x")] {
        assert_eq!(asked(&shim, &listener, path).await, expected);
    }
}

#[tokio::test]
async fn another_base_path_moves_the_four_routes() {
    let listener = RawListener::open().await;
    let flags = [("base_path", "/paxos/v2"), ("stage", "sealed"), ("upstream.new.url", &listener.url("/v2"))];
    let shim = Shim::start(&flags).await;
    let mut client = RawConnection::to(shim.address).await;
    client.say("GET /paxos/v2/conversion/stablecoins/one HTTP/1.1\r\nhost: shim\r\n\r\n").await;
    let start = listener.next().await.message().await.start().to_owned();
    assert_eq!(start, "GET /v2/orchestration/orchestrations/one HTTP/1.1");
}
