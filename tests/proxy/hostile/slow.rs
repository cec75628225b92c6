//! Clients that send so slowly that they hold a place for ever: cut where the proxy waits for them, bounded where it streams.

use conversion_shim::sandbox::TOKEN;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::{problem, unharmed};
use crate::support::soon;
use crate::support::wire::raw::RawConnection;
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, bed, vendor};

#[tokio::test]
async fn heads_that_drip_are_cut_while_others_are_served() {
    let bed = bed("sealed", &[("limits.header_read_timeout", "500ms")]).await;
    let mut lines = Vec::new();
    for at in 0..50 {
        let mut line = RawConnection::to(bed.shim.address).await;
        line.say("GET /v2/slow HTTP/1.1\r\nx: y\r\n".split_at(at % 30).0).await;
        lines.push(line);
    }
    assert_eq!(bed.client.get(LEGACY).await.status, 200);
    // A byte now and then buys no time.
    let dripping = lines.into_iter().map(|mut line| {
        tokio::spawn(async move {
            while line.stream.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
                if line.stream.try_read(&mut [0; 64]).is_ok() {
                    break;
                }
            }
        })
    });
    for one in dripping.collect::<Vec<_>>() {
        soon(one).await.unwrap();
    }
    unharmed(&bed, "slow heads").await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_a_408_and_nothing_was_sent() {
    let bed = bed("sealed", &[("timeouts.create", "300ms")]).await;
    for length in ["content-length: 1000\r\n\r\n{\"ref_id\":", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"]
    {
        let mut line = RawConnection::to(bed.shim.address).await;
        line.say(format!(
            "POST {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\n{length}"
        ))
        .await;
        problem(&mut line, "408", length).await;
        assert!(line.is_cut().await, "what is left of the body is not taken for a request");
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
}

/// Pass-through bodies have no deadline, so one client's are bounded in number.
#[tokio::test]
async fn one_client_with_bodies_that_never_end_does_not_shut_out_another() {
    let flags = [("limits.in_flight.client", "5"), ("limits.in_flight.pass_through", "20")];
    let bed = bed("sealed", &flags).await;
    let attack = "POST /v2/upload HTTP/1.1\r\nhost: shim\r\ncontent-length: 1000\r\n\r\nx";
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut line = RawConnection::to(bed.shim.address).await;
        line.say(attack).await;
        held.push(line);
    }
    // There is no signal for "five are in flight" but the sixth's refusal.
    let refusal = soon(async {
        loop {
            let mut line = RawConnection::to(bed.shim.address).await;
            line.say("GET /v2/profiles HTTP/1.1\r\nhost: shim\r\nconnection: close\r\n\r\n").await;
            let answer = line.message().await;
            if answer.status() == "503" {
                return answer;
            }
        }
    });
    let refusal = refusal.await;
    assert_eq!(refusal.header("retry-after").as_deref(), Some("1"));
    let elsewhere = TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = RawConnection::over(soon(elsewhere.connect(bed.shim.address)).await.unwrap());
    other.say(format!("GET {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\n\r\n")).await;
    assert_eq!(other.message().await.status(), "200");
    drop(held);
    soon(async { while bed.client.get(LEGACY).await.status != 200 {} }).await;
    unharmed(&bed, "slow bodies").await;
}

/// Who does not read its answer holds one place, not the proxy.
#[tokio::test]
async fn unread_answers_delay_no_other_client() {
    let bed = bed("sealed", &[("limits.in_flight.client", "100")]).await;
    for at in 0..30 {
        bed.sandbox.inspector().seed_orchestration(crate::support::test_bed::new_record(
            &format!("r{at}"),
            "2026-01-01T00:00:00Z",
        ));
    }
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut line = RawConnection::to(bed.shim.address).await;
        let get = format!("GET {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
        line.say(get.repeat(50)).await;
        held.push(line);
    }
    assert_eq!(bed.client.get(LEGACY).await.status, 200);
    assert_eq!(bed.client.create("in-good-faith").await.status, 200);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let bed = bed("sealed", &[("limits.write_timeout", "200ms")]).await;
    for at in 0..1000 {
        bed.sandbox.inspector().seed_orchestration(crate::support::test_bed::new_record(
            &format!("r{at}"),
            "2026-01-01T00:00:00Z",
        ));
    }
    let mut line = RawConnection::to(bed.shim.address).await;
    let get =
        format!("GET {LEGACY}?limit=1000 HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    // More answers than the kernel's buffers of both ends take.
    line.say(get.repeat(100)).await;
    let cut = async { while line.stream.write_all(b"x").await.is_ok() {} };
    soon(cut).await;
    assert_eq!(bed.client.get(LEGACY).await.status, 200);
}

/// The token endpoint waits for the rest of the request as the proxy does.
#[tokio::test]
async fn a_token_request_that_does_not_arrive_is_the_clients_fault() {
    let sandbox = vendor().await;
    let (url, token_url) = (sandbox.base_url(), sandbox.token_url());
    // Streamed in `observe`, where nothing of it is rewritten; read first in `sealed`.
    for (stage, status) in [("observe", "400"), ("sealed", "408")] {
        let shim = Shim::start(&[
            ("stage", stage),
            ("upstream.legacy.url", &url),
            ("upstream.new.url", &url),
            ("upstream.oauth.url", &token_url),
            ("auth.timeout", "300ms"),
        ])
        .await;
        let mut line = RawConnection::to(shim.address).await;
        line.say(
            "POST /oauth2/token HTTP/1.1\r\nhost: shim\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: 100\r\n\r\ngrant",
        )
        .await;
        let answer = problem(&mut line, status, stage).await;
        let document = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(document.contains("request body"), "{stage} {document}");
    }
}
