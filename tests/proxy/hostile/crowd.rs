//! More of everything at once than there is room for.

use std::collections::BTreeMap;

use conversion_shim::sandbox::{Fault, FaultKind, Operation};
use conversion_shim::translate::side::Side;
use reqwest::Method;
use tokio::net::TcpStream;

use crate::support::soon;
use crate::support::wire::binary::Binary;
use crate::support::wire::caller::{Caller, answer, plain};
use crate::support::wire::raw::RawConnection;
use crate::support::wire::{LEGACY, bed, conversion, vendor};

/// Half of the descriptors that a process may have: the proxy may have none left otherwise, and the test neither.
fn affordable(wanted: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();
    soft.parse().map_or(wanted, |soft: usize| wanted.min(soft.saturating_sub(500)))
}

/// 10 000 that have each served a request, or as many as the limit for open files leaves; see what is printed.
#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_and_block_no_client() {
    let sandbox = vendor().await;
    let count = affordable(10_000);
    if count < 10_000 {
        eprintln!("the limit for open files leaves {count} connections");
    }
    let url = sandbox.base_url();
    let room = (count + 100).to_string();
    let flags = [
        ("stage", "sealed"),
        ("upstream.legacy.url", url.as_str()),
        ("upstream.new.url", &url),
        ("limits.connections_max", &room),
        ("limits.header_read_timeout", "10m"),
        ("limits.keep_alive_timeout", "1h"),
        ("budget.per_second", "100000"),
    ];
    let shim = Binary::serve(tempfile::tempdir().unwrap(), "", &flags).await;
    assert_eq!(fresh(&shim).get(LEGACY).await.status, 200);
    let before = shim.peak_memory_kib();
    let request = format!("GET {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\n\r\n");
    let mut idle = Vec::with_capacity(count);
    for at in 0..count {
        let mut connection = RawConnection::over(soon(TcpStream::connect(shim.address)).await.unwrap());
        connection.say(&request).await;
        assert_eq!(connection.message().await.status(), "200");
        idle.push(connection.stream);
        if at % 50 == 0 {
            // Answered behind these in the queue: it must not overflow, or the kernel makes everybody wait for a second.
            assert_eq!(fresh(&shim).get(LEGACY).await.status, 200);
        }
    }
    // So that all of them are taken.
    assert_eq!(fresh(&shim).get(LEGACY).await.status, 200);
    let grown = shim.peak_memory_kib().saturating_sub(before);
    let each = grown * 1024 / count as u64;
    eprintln!("{count} idle connections: {each} bytes each");
    assert!(each < 22 * 1024, "{each} bytes for each of {count} connections");
    assert_eq!(fresh(&shim).create("in-good-faith").await.status, 200);
    assert_eq!(sandbox.inspector().conversions_by_ref().len(), 1);
    drop(idle);
}

/// A client without a connection yet.
fn fresh(shim: &Binary) -> Caller {
    Caller::of(&format!("http://{}", shim.address))
}

/// A gate upstream holds what is in flight; the next is refused at once and nothing of it is sent.
#[tokio::test]
async fn over_a_cap_the_answer_is_503_with_retry_after_and_nothing_is_sent() {
    let cases: [(&str, &[&str], Operation); 7] = [
        ("limits.in_flight.all", &["create", "get", "list", "cancel", "pass_through"], Operation::List),
        ("limits.in_flight.client", &["create", "get", "list", "cancel", "pass_through"], Operation::Create),
        ("limits.in_flight.create", &["create"], Operation::Create),
        ("limits.in_flight.get", &["get"], Operation::Get),
        ("limits.in_flight.list", &["list"], Operation::List),
        ("limits.in_flight.cancel", &["cancel"], Operation::Cancel),
        ("limits.in_flight.pass_through", &["pass_through"], Operation::Other),
    ];
    for (cap, refused, held) in cases {
        // Legacy mode, so that each route is one call upstream.
        let bed = bed("observe", &[(cap, "2"), ("limits.in_flight.retry_after", "7s")]).await;
        let gate = bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }));
        let holding = match held {
            Operation::Create => "create",
            Operation::Get => "get",
            Operation::List => "list",
            Operation::Cancel => "cancel",
            Operation::Token | Operation::Other => "pass_through",
        };
        let waiting: Vec<_> = (0..2)
            .map(|at| {
                let client = bed.client.clone();
                tokio::spawn(async move { ask(&client, holding, at).await.status })
            })
            .collect();
        soon(gate.reached(2)).await;
        for (at, what) in ["create", "get", "list", "cancel", "pass_through"].into_iter().enumerate() {
            if refused.contains(&what) {
                let answer = ask(&bed.client, what, 10 + at).await;
                answer.problem(503);
                assert_eq!(answer.header("retry-after"), Some("7"), "{cap}: {what}");
            }
        }
        assert_eq!(gate.hits(), 2, "{cap}");
        let asked = bed.sandbox.inspector().requests().len();
        gate.open();
        for one in waiting {
            assert_ne!(soon(one).await.unwrap(), 503, "{cap}");
        }
        assert_eq!(
            bed.sandbox.inspector().requests().len(),
            asked,
            "{cap}: nothing of what was refused was sent"
        );
        // The places are free again.
        assert_ne!(ask(&bed.client, refused[0], 99).await.status, 503, "{cap}");
    }
}

async fn ask(client: &Caller, what: &str, at: usize) -> crate::support::wire::caller::Answer {
    match what {
        "create" => client.create(&format!("r{at}")).await,
        "get" => client.get(&format!("{LEGACY}/x")).await,
        "list" => client.get(LEGACY).await,
        "cancel" => client.delete(&format!("{LEGACY}/x")).await,
        _ => client.get("/v2/profiles").await,
    }
}

/// A write keeps its place when its client leaves: who opens writes and hangs up gets no further than who waits.
#[tokio::test]
async fn leaving_does_not_make_room_for_more_writes() {
    for stage in ["sealed", "observe"] {
        let bed = bed(stage, &[("limits.in_flight.create", "2")]).await;
        let side = if stage == "sealed" { Side::New } else { Side::Legacy };
        let fault = Fault::new(FaultKind::Gate { applied: false }).on(side, Operation::Create);
        let gate = bed.sandbox.faults().arm(fault);
        // Over HTTP/2 the proxy hears at once that a client has gone.
        let http2 = Caller::with(&format!("http://{}", bed.shim.address), plain().http2_prior_knowledge());
        let leaving: Vec<_> = (0..2)
            .map(|at| {
                let client = http2.clone();
                tokio::spawn(async move { client.create(&format!("left-{at}")).await.status })
            })
            .collect();
        soon(gate.reached(2)).await;
        for one in &leaving {
            one.abort();
        }
        for _ in 0..20 {
            // Round trips, in which the proxy notices that its clients are gone.
            assert_eq!(http2.get("/v2/profiles").await.status, 200);
        }
        bed.client.create("one-more").await.problem(503);
        gate.open();
        soon(async { while bed.client.create("later").await.status == 503 {} }).await;
        let made: BTreeMap<_, _> = bed.sandbox.inspector().conversions_by_ref();
        assert_eq!(made.keys().collect::<Vec<_>>(), ["later", "left-0", "left-1"], "{stage}");
    }
}

/// The load balancer is not one client.
#[tokio::test]
async fn behind_a_trusted_proxy_clients_are_distinguished_by_its_header() {
    let flags = [("limits.in_flight.client", "1"), ("forwarding.trusted_proxies", "127.0.0.0/8")];
    let bed = bed("observe", &flags).await;
    let gate = bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }));
    let from = |address: &'static str| {
        let request = bed.client.ask(reqwest::Method::GET, "/v2/profiles").header("x-forwarded-for", address);
        crate::support::wire::caller::answer(request)
    };
    let first = tokio::spawn(from("198.51.100.1"));
    soon(gate.reached(1)).await;
    from("203.0.113.9, 198.51.100.1").await.problem(503);
    let second = tokio::spawn(from("198.51.100.1, 198.51.100.2"));
    soon(gate.reached(2)).await;
    gate.open();
    assert_eq!((first.await.unwrap().status, second.await.unwrap().status), (200, 200));
}

#[tokio::test]
async fn one_client_without_a_token_uses_up_no_ones_creates_behind_a_trusted_proxy() {
    let bed = bed("sealed", &[("forwarding.trusted_proxies", "127.0.0.0/8")]).await;
    let stranger = bed.client.clone().token("unknown");
    let create = |from: &'static str, number: usize| {
        let body = conversion(&format!("{from}-{number}")).to_string();
        answer(stranger.ask(Method::POST, LEGACY).header("x-forwarded-for", from).body(body))
    };
    for number in 0..60 {
        assert_eq!(create("192.0.2.1", number).await.status, 401);
    }
    create("192.0.2.1", 60).await.problem(429);
    assert_eq!(create("192.0.2.2", 0).await.status, 401);
}
