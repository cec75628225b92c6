//! Where a message ends is decided once: nobody gets a second request past the proxy inside a first.

use crate::support::line::{Door, Line};
use crate::support::shim::Shim;

#[tokio::test]
async fn a_request_with_two_lengths_goes_on_with_one() {
    let door = Door::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &door.url("/v2"))]).await;
    let mut client = Line::to(shim.address).await;
    client
        .say(
            "POST /v2/x HTTP/1.1\r\nhost: shim\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
        )
        .await;
    // An upstream may refuse such a message; if it goes on, then with the chunks alone.
    let mut upstream = door.next().await;
    let request = upstream.message().await;
    assert_eq!(request.header("content-length"), None);
    assert_eq!(request.body, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_with_two_lengths_goes_back_with_one() {
    let door = Door::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &door.url("/v2"))]).await;
    let mut client = Line::to(shim.address).await;
    client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\n\r\n").await;
    let mut upstream = door.next().await;
    upstream.message().await;
    upstream
        .say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .await;
    let answer = client.message().await;
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.body, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_request_whose_length_cannot_be_told_is_refused() {
    let door = Door::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &door.url("/v2"))]).await;
    for headers in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +4",
        "content-length: -1",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: gzip",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
    ] {
        let mut client = Line::to(shim.address).await;
        client.say(format!("POST /v2/x HTTP/1.1\r\nhost: shim\r\n{headers}\r\n\r\nhello")).await;
        assert_eq!(client.head().await.status(), "400", "{headers}");
        assert!(door.is_quiet(), "{headers}");
    }
}
