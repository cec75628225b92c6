//! The client's base path becomes the upstream's prefix; what lies outside goes to the same origin as it is.

use crate::support::wire::line::{Door, Line};
use crate::support::wire::shim::Shim;

async fn asked(shim: &Shim, door: &Door, path: &str) -> String {
    let mut client = Line::to(shim.address).await;
    client.say(format!("GET {path} HTTP/1.1\r\nhost: shim\r\nconnection: close\r\n\r\n")).await;
    let mut upstream = door.next().await;
    let start = upstream.message().await.start().to_owned();
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.head().await.status(), "200");
    start.trim_start_matches("GET ").trim_end_matches(" HTTP/1.1").to_owned()
}

#[tokio::test]
async fn an_upstream_with_another_prefix_gets_its_own_paths() {
    let door = Door::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &door.url("/old/api"))]).await;
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
        assert_eq!(asked(&shim, &door, path).await, expected);
    }
}

#[tokio::test]
async fn an_upstream_without_a_prefix_gets_whole_paths() {
    let door = Door::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &door.url(""))]).await;
    for (path, expected) in [("/v2/profiles", "/profiles"), ("/v2?a", "/?a"), ("/v2", "/"), ("/x", "/x")] {
        assert_eq!(asked(&shim, &door, path).await, expected);
    }
}

#[tokio::test]
async fn another_base_path_moves_the_four_routes() {
    let door = Door::open().await;
    let flags = [("base_path", "/paxos/v2"), ("stage", "sealed"), ("upstream.new.url", &door.url("/v2"))];
    let shim = Shim::start(&flags).await;
    let mut client = Line::to(shim.address).await;
    client.say("GET /paxos/v2/conversion/stablecoins/one HTTP/1.1\r\nhost: shim\r\n\r\n").await;
    let start = door.next().await.message().await.start().to_owned();
    assert_eq!(start, "GET /v2/orchestration/orchestrations/one HTTP/1.1");
}
