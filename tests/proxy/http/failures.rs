//! An upstream that is not there, is slow, or breaks off: which side, and whether the call may have taken effect.

use conversion_shim::sandbox::{Fault, FaultKind, Operation};
use conversion_shim::translate::side::Side;

use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, bed};

#[tokio::test]
async fn unreachable_is_a_503_that_names_the_side_and_says_that_nothing_was_sent() {
    for (stage, side) in [("sealed", "new"), ("observe", "legacy")] {
        let bed = bed(stage, &[]).await;
        bed.sandbox.faults().go_down().await;
        for answer in [
            bed.client.create("r").await,
            bed.client.get(LEGACY).await,
            bed.client.get(&format!("{LEGACY}/x")).await,
            bed.client.delete(&format!("{LEGACY}/x")).await,
            bed.client.get("/v2/profiles").await,
        ] {
            let detail = answer.problem(503)["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("nothing was sent"), "{detail}");
            assert!(detail.contains(side) || detail.contains("legacy"), "{detail}");
        }
        let detail = bed.client.create("r").await.detail();
        assert!(detail.contains(&format!("{side} side")), "{detail}");
        bed.sandbox.faults().come_up().await.unwrap();
        assert_eq!(bed.client.create("r").await.status, 200, "and it recovers");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_finish_a_handshake_is_unreachable_in_time() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2").replace("http:", "https:");
    let bed = bed("observe", &[("upstream.legacy.url", &url), ("upstream.connect_timeout", "200ms")]).await;
    let asking = bed.client.get("/v2/profiles");
    // It takes the connection and says nothing.
    let (answer, _silent) = tokio::join!(asking, listener.next());
    assert!(answer.problem(503)["detail"].as_str().unwrap().contains("nothing was sent"));
}

#[tokio::test]
async fn a_create_without_an_answer_in_time_is_a_504_that_says_it_may_have_taken_effect() {
    let bed = bed("sealed", &[("timeouts.create", "100ms"), ("timeouts.get", "100ms")]).await;
    let gate = bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: true }));
    let problem = bed.client.create("r").await.problem(504);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("new side") && detail.contains("may have taken effect"), "{detail}");
    assert!(detail.contains("retry with the same ref_id"), "{detail}");
    let detail = bed.client.get(&format!("{LEGACY}/x")).await.problem(504)["detail"].clone();
    assert!(detail.as_str().unwrap().contains("nothing was changed"), "{detail}");
    gate.open();
    assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::Create), 1);
}

#[tokio::test]
async fn a_body_that_a_client_breaks_off_on_its_way_through_is_the_clients_fault() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    let bed = bed("observe", &[("upstream.legacy.url", &url)]).await;
    let mut client = RawConnection::to(bed.shim.address).await;
    client
        .say("POST /v2/uploads HTTP/1.1\r\nhost: shim\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        .await;
    let mut upstream = listener.next().await;
    upstream.head().await;
    client.say("this is no chunk\r\n").await;
    let answer = client.message().await;
    assert_eq!(answer.status(), "400", "{}", answer.head);
    let problem = String::from_utf8(answer.body).unwrap();
    assert!(problem.contains("the request body stalled or broke off before its end"), "{problem}");
    let rest = String::from_utf8(upstream.rest_or_reset().await).unwrap();
    assert!(!rest.contains("\r\n0\r\n"), "the upstream does not take it for whole: {rest:?}");
}

#[tokio::test]
async fn a_create_whose_body_stops_arriving_is_a_408_and_nothing_is_sent() {
    let bed = bed("sealed", &[("timeouts.create", "100ms")]).await;
    let mut client = RawConnection::to(bed.shim.address).await;
    client.say(format!("POST {LEGACY} HTTP/1.1\r\nhost: shim\r\ncontent-length: 9\r\n\r\n{{")).await;
    assert_eq!(client.message().await.status(), "408");
    assert!(bed.sandbox.inspector().requests().is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_before_it_was_whole_is_a_502_on_a_translated_route() {
    let bed = bed("sealed", &[]).await;
    let id = bed.client.id_of_new("r").await;
    for path in [LEGACY.to_owned(), format!("{LEGACY}/{id}")] {
        bed.sandbox.faults().arm(Fault::new(FaultKind::Truncate).times(1));
        let detail = bed.client.get(&path).await.problem(502)["detail"].clone();
        assert!(detail.as_str().unwrap().contains("broke off"), "{detail}");
    }
    bed.sandbox.faults().arm(Fault::new(FaultKind::Truncate).times(1));
    assert_eq!(bed.client.create("s").await.json()["ref_id"], "s", "looked up by its ref_id");
    assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::Create), 2, "and not sent again");
}

#[tokio::test]
async fn a_truncated_pass_through_answer_stays_visibly_truncated() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    for (head, whole) in [
        ("content-length: 10\r\n\r\nhello", "0123456789"),
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "0\r\n\r\n"),
    ] {
        let mut client = RawConnection::to(shim.address).await;
        client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\n\r\n").await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        upstream.say(format!("HTTP/1.1 200 OK\r\n{head}")).await;
        assert_eq!(client.head().await.status(), "200");
        drop(upstream);
        let body = client.rest().await;
        assert!(!body.ends_with(whole.as_bytes()) && body.len() < 12, "{body:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_http_is_a_502() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let mut client = RawConnection::to(shim.address).await;
    client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\n\r\n").await;
    let mut upstream = listener.next().await;
    upstream.message().await;
    upstream.say("SSH-2.0-OpenSSH_9.6\r\n").await;
    let answer = client.message().await;
    assert_eq!(answer.status(), "502");
    assert!(String::from_utf8(answer.body).unwrap().contains("legacy side"));
}

#[tokio::test]
async fn a_redirect_or_nothing_from_the_new_api_is_no_answer() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("stage", "sealed"), ("upstream.new.url", &listener.url("/v2"))]).await;
    for answer in [
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    ] {
        let mut client = RawConnection::to(shim.address).await;
        client.say(format!("GET {LEGACY} HTTP/1.1\r\nhost: shim\r\n\r\n")).await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        upstream.say(answer).await;
        assert_eq!(client.message().await.status(), "502", "{answer}");
        assert!(listener.is_quiet(), "nothing is followed");
    }
}
