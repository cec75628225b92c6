//! Each fault shows what it says, and the sandbox says what it saw.

use super::*;

#[tokio::test]
async fn resets_come_before_or_after_the_write() {
    let (sandbox, client) = funded(quiet()).await;
    for (applied, tally) in [(false, None), (true, Some(Tally { legacy: 1, new: 0 }))] {
        let fault = Fault::new(FaultKind::Reset { applied }).on(Side::Legacy, Operation::Create).times(1);
        let armed = sandbox.faults().arm(fault);
        let error =
            client.ask(Method::POST, LEGACY).body(conversion("r").to_string()).send().await.unwrap_err();
        assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
        assert_eq!(sandbox.inspector().conversions_by_ref().get("r").copied(), tally);
        assert_eq!(armed.hits(), 1);
    }
    assert_eq!(sandbox.inspector().arrived(Side::Legacy, Operation::Create), 2);
    assert_eq!(sandbox.inspector().applied(Side::Legacy, Operation::Create), 1);
}

#[tokio::test]
async fn http2_streams_are_reset_and_cut_off_as_well() {
    let sandbox = Sandbox::start(quiet()).await.unwrap();
    crypto();
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let client = Caller { http, ..Caller::of(&sandbox) };
    assert_eq!(client.ask(Method::GET, LEGACY).send().await.unwrap().version(), reqwest::Version::HTTP_2);
    sandbox.faults().arm(Fault::new(FaultKind::Truncate).times(1));
    let response = client.ask(Method::GET, LEGACY).send().await.unwrap();
    assert!(response.bytes().await.is_err());
    sandbox.faults().arm(Fault::new(FaultKind::Reset { applied: false }).times(1));
    assert!(client.ask(Method::POST, LEGACY).body("{}").send().await.is_err());
    assert_eq!(client.get(LEGACY).await.0, 200);
}

#[tokio::test]
async fn it_speaks_tls_with_both_versions() {
    crypto();
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![pair.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let sandbox = Sandbox::start(Options { tls: Some(config.into()), ..quiet() }).await.unwrap();
    assert!(sandbox.base_url().starts_with("https://") && sandbox.base_url().ends_with("/v2"));
    let trust = || {
        let root = reqwest::Certificate::from_der(pair.cert.der()).unwrap();
        reqwest::Client::builder().tls_certs_only([root])
    };
    for (http, version) in
        [(trust(), reqwest::Version::HTTP_2), (trust().http1_only(), reqwest::Version::HTTP_11)]
    {
        let client = Caller { http: http.build().unwrap(), ..Caller::of(&sandbox) };
        let response = client.ask(Method::GET, LEGACY).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        sandbox.faults().arm(Fault::new(FaultKind::Reset { applied: true }).times(1));
        let error = client.ask(Method::POST, LEGACY).body("{}").send().await.unwrap_err();
        assert!(!error.is_connect(), "{error:?}");
    }
}

#[tokio::test]
async fn a_request_that_arrived_is_worked_on_even_if_the_client_leaves() {
    let (sandbox, client) = funded(quiet()).await;
    let gate =
        |applied| sandbox.faults().arm(Fault::new(FaultKind::Gate { applied }).on(None, Operation::Create));
    let (before, after) = (gate(false), gate(true));
    let leaving = tokio::spawn(client.ask(Method::POST, LEGACY).body(conversion("r").to_string()).send());
    soon(before.reached(1)).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    for _ in 0..20 {
        // Round trips, in which the sandbox notices that the connection is gone.
        assert_eq!(client.get(LEGACY).await.1, json!({ "items": [] }));
    }
    before.open();
    soon(after.reached(1)).await;
    assert_eq!(sandbox.inspector().conversions_by_ref()["r"], Tally { legacy: 1, new: 0 });
}

#[tokio::test]
async fn a_delay_holds_the_request_or_the_answer() {
    let (sandbox, client) = funded(quiet()).await;
    for (applied, made) in [(false, 0), (true, 1)] {
        let pause = Duration::from_secs(3600);
        let delay = sandbox.faults().arm(Fault::new(FaultKind::Delay { pause, applied }).times(1));
        let waiting = tokio::spawn(client.ask(Method::POST, LEGACY).body(conversion("r").to_string()).send());
        soon(delay.reached(1)).await;
        assert_eq!(sandbox.inspector().records(Side::Legacy), made);
        assert!(!waiting.is_finished());
        waiting.abort();
    }
}

#[tokio::test]
async fn a_gate_blocks_before_or_after_the_write_and_releases_a_given_number() {
    let (sandbox, client) = funded(quiet()).await;
    for (applied, made) in [(false, 0), (true, 2)] {
        let gate = sandbox.faults().arm(Fault::new(FaultKind::Gate { applied }));
        let post = |name: &str| {
            let ref_id = format!("{name}-{applied}");
            tokio::spawn(client.ask(Method::POST, LEGACY).body(conversion(&ref_id).to_string()).send())
        };
        let before = sandbox.inspector().records(Side::Legacy);
        let both = [post("a"), post("b")];
        soon(gate.reached(2)).await;
        assert_eq!(sandbox.inspector().records(Side::Legacy) - before, made);
        gate.release(2);
        for one in both {
            assert_eq!(soon(one).await.unwrap().unwrap().status(), 200);
        }
        assert_eq!(sandbox.inspector().records(Side::Legacy) - before, 2);
        sandbox.faults().remove(&gate);
    }
}

#[tokio::test]
async fn statuses_come_with_or_without_effect_and_in_four_bodies() {
    let (sandbox, client) = funded(quiet()).await;
    for (code, retry_after, body, applied) in [
        (StatusCode::TOO_MANY_REQUESTS, Some(7), RefusalBody::Problem, false),
        (StatusCode::BAD_GATEWAY, None, RefusalBody::Html, true),
        (StatusCode::REQUEST_TIMEOUT, None, RefusalBody::Empty, true),
        (StatusCode::FORBIDDEN, None, RefusalBody::UnknownType, false),
    ] {
        sandbox.faults().arm(Fault::new(FaultKind::Status { code, retry_after, body, applied }).times(1));
        let ref_id = code.as_str();
        let sent =
            client.ask(Method::POST, LEGACY).body(conversion(ref_id).to_string()).send().await.unwrap();
        assert_eq!(sent.status(), code);
        let seconds = sent.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(seconds, retry_after.map(|seconds: u64| seconds.to_string()));
        let text = sent.text().await.unwrap();
        match body {
            RefusalBody::Problem => assert!(text.contains("about:blank")),
            RefusalBody::Html => assert!(text.starts_with("<html>")),
            RefusalBody::Empty => assert!(text.is_empty()),
            RefusalBody::UnknownType => assert!(text.contains("velocity-limit")),
        }
        assert_eq!(sandbox.inspector().conversions_by_ref().contains_key(ref_id), applied);
    }
}

#[tokio::test]
async fn answers_can_break_off_or_lie() {
    let (sandbox, client) = funded(quiet()).await;
    let path = format!("{LEGACY}/{}", client.create("r").await["id"].as_str().unwrap());
    let once = |kind| sandbox.faults().arm(Fault::new(kind).on(None, Operation::Get).times(1));
    once(FaultKind::Truncate);
    let cut = client.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());
    once(FaultKind::WrongTypes);
    let (status, wrong) = client.get(&path).await;
    assert_eq!((status.as_u16(), &wrong["id"], &wrong["metadata"]), (200, &json!(7), &json!("an object")));
    once(FaultKind::NotJson);
    let page = client.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    once(FaultKind::EmptyBody);
    let empty = client.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!((empty.status().as_u16(), empty.bytes().await.unwrap().len()), (200, 0));
    assert_eq!(client.get(&path).await.0, 200, "each struck once");
}

#[tokio::test]
async fn reads_can_lag_or_ignore_filters_while_writes_do_not() {
    let (sandbox, client) = funded(quiet()).await;
    let first = client.create("r1").await;
    let second = client.create("r2").await;
    let found = async |query: &str| {
        client.get(&format!("{LEGACY}{query}")).await.1["items"].as_array().unwrap().len()
    };
    let ignoring =
        sandbox.faults().arm(Fault::new(FaultKind::IgnoreFilters).on(Side::Legacy, Operation::List).after(1));
    assert_eq!(found("?ref_id=r1").await, 1, "the first passes");
    assert_eq!(found("?ref_id=r1").await, 2);
    sandbox.faults().remove(&ignoring);
    for hidden in [HiddenRecords::Newest(1), HiddenRecords::YoungerThan(Duration::from_secs(3600))] {
        let shown = usize::from(hidden == HiddenRecords::Newest(1));
        let lag = sandbox.faults().arm(Fault::new(FaultKind::Lag(hidden)));
        assert_eq!(found("").await, shown);
        assert_eq!(client.get(&format!("{LEGACY}/{}", second["id"].as_str().unwrap())).await.0, 404);
        assert_eq!(client.post(LEGACY, &conversion("r2")).await.0, 409);
        sandbox.faults().remove(&lag);
    }
    assert_eq!(found("?ref_id=r1").await, 1);
    assert_eq!(client.get(&format!("{LEGACY}/{}", first["id"].as_str().unwrap())).await.0, 200);
}

#[tokio::test]
async fn chance_is_the_same_for_the_same_seed() {
    let (sandbox, client) = funded(quiet()).await;
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let kind = FaultKind::Status {
            code: StatusCode::BAD_GATEWAY,
            retry_after: None,
            body: RefusalBody::Problem,
            applied: false,
        };
        let fault = sandbox.faults().arm(Fault::new(kind).sometimes(50, seed));
        let mut run = Vec::new();
        for _ in 0..40 {
            run.push(client.get(LEGACY).await.0.is_success());
        }
        sandbox.faults().remove(&fault);
        assert!(run.contains(&true) && run.contains(&false));
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn it_goes_down_and_comes_up_on_the_same_port() {
    let (sandbox, client) = funded(quiet()).await;
    for _ in 0..3 {
        client.get(LEGACY).await;
        sandbox.faults().go_down().await;
        let error = client.ask(Method::GET, LEGACY).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        sandbox.faults().come_up().await.unwrap();
        assert_eq!(client.get(LEGACY).await.0, 200);
    }
}

#[tokio::test]
async fn faults_and_the_inspector_are_served_over_http() {
    let (sandbox, client) = funded(quiet()).await;
    let faults = format!("http://{}/sandbox/faults", sandbox.addr());
    let arm = |fault: Value| read(client.http.post(&faults).body(fault.to_string()));
    let fault = json!({ "kind": "status", "code": 503, "side": "new", "operation": "list", "times": 1 });
    assert_eq!(arm(fault).await.0, 200);
    assert_eq!(arm(json!({ "kind": "rest" })).await.0, 400);
    assert_eq!(arm(json!({ "kind": "reset", "time": 1 })).await.0, 400);
    assert_eq!(client.get(LEGACY).await.0, 200);
    assert_eq!(client.get(NEW).await.0, 503);
    assert_eq!(client.get(NEW).await.0, 200);
    client.create("r").await;
    let (_, state) = read(client.http.get(format!("http://{}/sandbox/inspector", sandbox.addr()))).await;
    assert_eq!(state["conversions_by_ref"], json!({ "r": { "legacy": 1, "new": 0 } }));
    assert_eq!(state["balances"][PROFILE]["USD"], "900");
    assert_eq!(state["arrived"]["new.list"], 2);
    assert_eq!(state["applied"], json!({ "legacy.create": 1 }));
    assert_eq!(state["faults"][0]["hits"], 1);
    assert_eq!(read(client.http.delete(&faults)).await.0, 200);
    assert_eq!(sandbox.faults().all().len(), 0);
}

#[tokio::test]
async fn received_requests_can_be_inspected() {
    let (sandbox, client) = funded(quiet()).await;
    let path = format!("{NEW}?ref_id=a%20b");
    let waiting = sandbox.inspector().wait_arrived(Side::New, Operation::List, 1);
    let (_, (status, _)) = soon(async { tokio::join!(waiting, client.get(&path)) }).await;
    assert_eq!(status, 200);
    client.create("r").await;
    let seen = sandbox.inspector().requests();
    assert_eq!(seen.iter().map(|one| one.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(seen[0].path_and_query, "/v2/orchestration/orchestrations?ref_id=a%20b");
    assert_eq!((seen[1].side, seen[1].operation), (Some(Side::Legacy), Operation::Create));
    assert_eq!(seen[1].headers["authorization"], "Bearer sandbox");
    assert_eq!(seen[1].body, conversion("r").to_string());
}

#[tokio::test]
async fn every_fault_can_be_written_as_json() {
    let (sandbox, client) = funded(quiet()).await;
    let faults = format!("http://{}/sandbox/faults", sandbox.addr());
    let arm = async |fault: &Value| read(client.http.post(&faults).body(fault.to_string())).await.0.as_u16();
    for fault in [
        json!({ "kind": "delay", "ms": 1, "applied": true, "side": "any", "operation": "any" }),
        json!({ "kind": "gate", "skip": 1_000_000 }),
        json!({ "kind": "gate", "applied": true, "skip": 1_000_000 }),
        json!({ "kind": "reset", "side": "legacy", "operation": "cancel", "percent": 0, "seed": 3 }),
        json!({ "kind": "truncate" }),
        json!({ "kind": "status", "code": 429, "retry_after": 1, "body": "html", "applied": true }),
        json!({ "kind": "wrong_types" }),
        json!({ "kind": "not_json" }),
        json!({ "kind": "empty_body" }),
        json!({ "kind": "ignore_filters" }),
        json!({ "kind": "lag", "newest": 3 }),
        json!({ "kind": "lag", "younger_than_ms": 3 }),
        json!({ "kind": "without_rows" }),
        json!({ "kind": "without_rows", "members": { "has_more": true } }),
        json!({ "kind": "foreign", "shows": "only_id" }),
        json!({ "kind": "twice" }),
    ] {
        assert_eq!(arm(&fault).await, 200, "{fault}");
    }
    assert_eq!(sandbox.faults().all().len(), 16);
    for fault in [
        json!({}),
        json!({ "kind": 1 }),
        json!({ "kind": "delay" }),
        json!({ "kind": "delay", "ms": -1 }),
        json!({ "kind": "truncate", "time": 1 }),
        json!({ "kind": "status" }),
        json!({ "kind": "status", "code": 1 }),
        json!({ "kind": "status", "code": 500, "body": "xml" }),
        json!({ "kind": "foreign" }),
        json!({ "kind": "lag" }),
        json!({ "kind": "lag", "newest": 1, "younger_than_ms": 1 }),
        json!({ "kind": "reset", "side": "left" }),
        json!({ "kind": "reset", "operation": "patch" }),
        json!({ "kind": "unavailable" }),
    ] {
        assert_eq!(arm(&fault).await, 400, "{fault}");
    }
    assert_eq!(sandbox.faults().all().len(), 16);
}
