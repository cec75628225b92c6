//! Nothing that opens a door is ever printed, however much is logged: the real program at level trace, every secret marked.

use super::*;
use crate::support::test_bed::{LEGACY, conversion};
use crate::support::wire::binary::Binary;
use client_credentials::FULL;
use conversion_shim::sandbox::{Fault, FaultKind, RefusalBody};
use http::StatusCode;

const MARK: &str = "marked-4f9d";

/// The whole of what a program printed must not hold any of these.
fn is_silent_about(program: &Binary, secrets: &[&str]) {
    for line in program.output() {
        for secret in secrets {
            assert!(!line.contains(secret), "{secret:?} in {line}");
        }
    }
}

fn upstreams(sandbox: &Sandbox) -> String {
    let (url, token) = (sandbox.base_url(), sandbox.token_url());
    format!("[upstream]\nlegacy.url = \"{url}\"\nnew.url = \"{url}\"\noauth.url = \"{token}\"\n")
}

#[tokio::test]
async fn a_client_of_its_own_token_stays_a_secret() {
    let sandbox = vendor_with(&[], Options::default()).await;
    let config = format!("stage = \"sealed\"\n[log]\nfilter = \"trace\"\n{}", upstreams(&sandbox));
    let program = Binary::serve(tempfile::tempdir().unwrap(), &config, &[]).await;
    let clients = [test_bed::Caller::of(program.address), test_bed::Caller::of(program.address).over_http2()];
    let mut tokens = Vec::new();
    for client in &clients {
        let url = format!("http://{}/oauth2/token", program.address);
        for body in [
            format!("grant_type=client_credentials&client_id=a&client_secret={MARK}&scope={READ}"),
            format!("grant_type=client_credentials&client_secret={MARK}&scope={READ}"),
        ] {
            let form = client.http.post(&url).header("content-type", "application/x-www-form-urlencoded");
            let answer = answered(form.body(body)).await;
            tokens.extend(answer.json()["access_token"].as_str().map(str::to_owned));
        }
        let basic = client.http.post(&url).basic_auth("a", Some(MARK));
        answered(
            basic.header("content-type", "application/x-www-form-urlencoded").body(format!("scope={READ}")),
        )
        .await;
        let mut body = conversion(&format!("r{}", tokens.len()));
        body["metadata"]["note"] = format!("metadata-{MARK}").into();
        let with = client.with_token(&sandbox.issue_token(CUSTOMER, &SCOPES));
        assert_eq!(with.post(&body).await.status, 200);
        client.with_token(&format!("bad-{MARK}")).post(&body).await.problem(401);
        client.with_token(&format!("bad-{MARK}")).list("limit=1").await.problem(401);
        client
            .with_token(&format!("bad-{MARK}"))
            .ask(reqwest::Method::GET, "/v2/profiles", String::new())
            .await;
    }
    assert_eq!(tokens.len(), 2);
    program.lines("\"target\":\"access\"", 14).await;
    // The Basic credentials as they travel.
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("a:{MARK}"));
    let mut secrets = vec![MARK, &basic];
    secrets.extend(tokens.iter().map(String::as_str));
    assert!(program.output().iter().any(|line| line.contains("TRACE")), "it does log at that level");
    is_silent_about(&program, &secrets);
}

#[tokio::test]
async fn the_proxys_own_secrets_stay_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("stage = \"sealed\"\n{}", client_credentials::config(&dir));
    let sandbox = client_credentials::vendor(Options::default()).await;
    let config =
        format!("{config}{}[timeouts]\ncreate = \"1s\"\n[log]\nfilter = \"trace\"\n", upstreams(&sandbox));
    let program = Binary::serve(dir, &config, &[]).await;
    let clients = [test_bed::Caller::of(program.address), test_bed::Caller::of(program.address).over_http2()];
    for (at, client) in clients.iter().enumerate() {
        let full = client.with_token(FULL);
        assert_eq!(full.create(&format!("r{at}")).await.status, 200);
        full.ask(reqwest::Method::GET, "/v2/profiles", String::new()).await;
        full.ask(reqwest::Method::GET, LEGACY, String::new()).await;
        client.with_token(client_credentials::READER).create("x").await.problem(403);
        client.with_token(&format!("bad-{MARK}")).create("x").await.problem(401);
        sandbox.revoke_tokens();
        // On a connection that carried another answer before, the 401 could be another request's.
        full.create(&format!("s{at}")).await.problem(504);
    }
    let kind = FaultKind::Status {
        code: StatusCode::BAD_GATEWAY,
        retry_after: None,
        body: RefusalBody::Html,
        applied: false,
    };
    sandbox.faults().arm(Fault::new(kind).on(None, Operation::Token));
    std::fs::write(program.dir.path().join("secret"), format!("other-{MARK}")).unwrap();
    program.signal("HUP");
    program.line("config reloaded").await;
    clients[0].with_token(FULL).create("t").await.problem(503);
    let access = program.lines("\"target\":\"access\"", 13).await;
    let of = |caller: &str| {
        access.iter().filter(|line| line.contains(&format!("\"caller\":\"{caller}\""))).count()
    };
    assert_eq!((of("full"), of("reader")), (9, 2), "{access:#?}");
    let given: Vec<String> = sandbox
        .inspector()
        .requests()
        .iter()
        .filter_map(|seen| Some(seen.headers.get("authorization")?.to_str().unwrap().replace("Bearer ", "")))
        .collect();
    assert!(given.len() > 4);
    let mut secrets = vec![MARK, "s3cret", FULL, client_credentials::READER];
    secrets.extend(given.iter().map(String::as_str));
    is_silent_about(&program, &secrets);
}
