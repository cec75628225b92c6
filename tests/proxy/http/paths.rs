//! Odd paths and queries go through as they were written; odd spellings of a route are still the route.

use conversion_shim::sandbox::TOKEN;

use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, bed, conversion};

#[tokio::test]
async fn every_target_goes_through_as_written() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    for target in [
        "/v2//profiles",
        "//v2/profiles",
        "//",
        "/v2/a%2Fb",
        "/v2/%zz",
        "/v2/%",
        "/v2/a;b=c;d",
        "/v2/a/../b/./c",
        "/v2/..",
        "/v2/\\",
        "/v2/a|b",
        "/v2/{id}",
        "/v2/x?",
        "/v2/x?&&=&a=%zz&a=1+2&b=?/",
        "/v2/conversion/stablecoins//",
        "/v2/conversion%2fstablecoins?limit=%31",
        "/v2/other/../conversion/stablecoins",
    ] {
        let mut client = RawConnection::to(shim.address).await;
        client.say(format!("GET {target} HTTP/1.1\r\nhost: shim\r\nconnection: close\r\n\r\n")).await;
        let mut upstream = listener.next().await;
        assert_eq!(upstream.message().await.start(), format!("GET {target} HTTP/1.1"));
        upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        assert_eq!(client.head().await.status(), "200");
    }
}

#[tokio::test]
async fn no_spelling_of_a_route_slips_past_the_translation() {
    let bed = bed("sealed", &[]).await;
    for target in [
        "/v2//conversion/stablecoins",
        "/v2/conversion/stablecoins/",
        "/v2/conversion%2Fstablecoins",
        "/v2/%63onversion/stablecoins",
        "/v2/x/../conversion/./stablecoins",
    ] {
        let mut client = RawConnection::to(bed.shim.address).await;
        let head = format!("GET {target} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\n\r\n");
        client.say(head).await;
        assert_eq!(client.message().await.body, b"{\"items\":[]}", "{target}");
    }
    let asked = bed.sandbox.inspector().requests();
    assert!(asked.iter().all(|seen| seen.path_and_query.starts_with("/v2/orchestration/orchestrations?")));
}

#[tokio::test]
async fn an_id_is_encoded_again_for_the_new_api() {
    let bed = bed("sealed", &[]).await;
    bed.client.get(&format!("{LEGACY}/a%3Fb%23c%25d")).await.problem(404);
    let asked = bed.sandbox.inspector().requests();
    assert_eq!(asked[0].path_and_query, "/v2/orchestration/orchestrations/a%3Fb%23c%25d");
}

#[tokio::test]
async fn a_target_that_is_no_path_is_refused() {
    let bed = bed("observe", &[]).await;
    for target in [
        "OPTIONS *",
        "GET *",
        "CONNECT example.com:443",
        "CONNECT /v2/profiles",
        "GET ftp://shim/v2/profiles",
        "CONNECT http://shim/v2/profiles",
        "GET shim:80",
        "GET v2/profiles",
    ] {
        let mut client = RawConnection::to(bed.shim.address).await;
        client.say(format!("{target} HTTP/1.1\r\nhost: shim\r\n\r\n")).await;
        let answer = client.message().await;
        assert_eq!(answer.status(), "400", "{target}");
        assert!(answer.body.starts_with(b"{\"type\":\"about:blank\""), "{target}: {answer:?}");
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
}

#[tokio::test]
async fn an_absolute_target_is_read_as_its_path_and_goes_nowhere_else() {
    let door = RawListener::open().await;
    let url = door.url("/v2");
    let bed = bed("sealed", &[("upstream.legacy.url", &url), ("forwarding.x_forwarded", "true")]).await;
    for target in ["http://example.com/v2/profiles?a=b", "HTTPS://user@example.com/v2/profiles?a=b"] {
        let mut client = RawConnection::to(bed.shim.address).await;
        client.say(format!("GET {target} HTTP/1.1\r\nhost: other\r\n\r\n")).await;
        let mut upstream = door.next().await;
        let request = upstream.message().await;
        assert!(request.start().starts_with("GET /v2/profiles?a=b HTTP/1.1"), "{target}: {}", request.head);
        assert_eq!(request.header("x-forwarded-host").as_deref(), Some("example.com"));
        assert_eq!(request.header("host"), Some(door.address().to_string()));
        upstream.say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        assert_eq!(client.message().await.status(), "204");
    }
    // A create in that form is a create.
    let body = conversion("r").to_string();
    let mut client = RawConnection::to(bed.shim.address).await;
    client
        .say(format!(
            "POST http://shim{LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!(client.message().await.status(), "200");
    assert_eq!(bed.sandbox.inspector().conversions_by_ref()["r"].new, 1);
}
