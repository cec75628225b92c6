//! A failed call to an upstream is logged with its side, phase, address and duration, whatever it was doing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use conversion_shim::sandbox::{PROFILE, Sandbox, TOKEN};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpSocket;

use super::{create, get, vendor};
use crate::support::process::{Config, Shim};

/// Serves every connection by `serve`; they stay open until the test ends.
fn upstream(serve: fn(&mut TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            serve(&mut stream);
            open.push(stream);
        }
    });
    address
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        // A connection may be opened and not used.
        if stream.read_exact(&mut byte).is_err() {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn answer(stream: &mut TcpStream, length: usize, body: &str) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
}

fn read_then_answer(stream: &mut TcpStream, length: usize, body: &str) {
    read_head(stream);
    answer(stream, length, body);
}

/// A proxy that reads lists from both sides, before this upstream for legacy.
async fn before(url: &str, config: &Config) -> Shim {
    config.write("stage = \"ready\"\ntimeouts.list = \"400ms\"\ntimeouts.create = \"700ms\"\n");
    let (file, url) = (config.path(), format!("upstream.legacy.url={url}"));
    Shim::serve(&["--config", file.to_str().unwrap(), "--set", &url]).await
}

/// The log line about a failed request.
async fn failure(shim: &Shim) -> Value {
    shim.line_that("failure", |line| line["target"] == "proxy" && !line["error"].is_null()).await
}

#[tokio::test]
async fn the_log_names_side_phase_address_and_duration() {
    let vendor = vendor().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = upstream(|stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap());
    let silent = upstream(|stream| drop(read_head(stream)));
    let short = upstream(|stream| read_then_answer(stream, 1000, "{\"items\":["));
    let nonsense = upstream(|stream| read_then_answer(stream, 3, "yes"));
    for (phase, url, address) in [
        ("resolve", "https://nowhere.invalid".to_owned(), "nowhere.invalid".to_owned()),
        ("connect", format!("http://{nobody}"), nobody.to_string()),
        ("tls", format!("https://{plain}"), plain.to_string()),
        ("wait", format!("http://{silent}"), silent.to_string()),
        ("read", format!("http://{short}"), short.to_string()),
        ("decode", format!("http://{nonsense}"), nonsense.to_string()),
    ] {
        let config = Config::new(&vendor);
        let shim = before(&format!("{url}/v2"), &config).await;
        let (status, problem) = get(shim.public("/v2/conversion/stablecoins")).await;
        assert!(status.is_server_error(), "{phase}: {problem}");
        let line = failure(&shim).await;
        assert_eq!((&line["phase"], &line["fault"]), (&phase.into(), &"legacy".into()), "{line}");
        assert!(line["address"].as_str().unwrap().contains(&address), "{line}");
        assert!(line["elapsed_ms"].is_u64() && line["source"].is_string(), "{line}");
    }
}

/// An upstream that accepts a connection and never reads: the request is not even written.
#[tokio::test]
async fn an_upstream_that_takes_no_bytes_is_told_from_one_that_does_not_answer() {
    let vendor = vendor().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let deaf = socket.listen(16).unwrap();
    let address = deaf.local_addr().unwrap();
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\ntimeouts.create = \"15s\"\nlimits.request_body_max = \"32MiB\"\n");
    let (file, url) = (config.path(), format!("upstream.legacy.url=http://{address}/v2"));
    let shim = Shim::serve(&["--config", file.to_str().unwrap(), "--set", &url]).await;
    let body = json!({
        "profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": "r",
        "metadata": {"long": "x".repeat(6 << 20)},
    });
    let client = reqwest::Client::new();
    let sending =
        client.post(shim.public("/v2/conversion/stablecoins")).bearer_auth(TOKEN).json(&body).send();
    assert_eq!(sending.await.unwrap().status(), 504);
    let line = failure(&shim).await;
    assert_eq!((&line["phase"], &line["address"]), (&"write".into(), &address.to_string().into()), "{line}");
}

/// The lanes share no connection, so one may be dead while another is well. Time-outs count, with few calls too.
#[tokio::test]
async fn readiness_and_page_name_the_lane_that_times_out() {
    let vendor = vendor().await;
    // Answers a client's lists, and is silent on creates and the lookups around them.
    let upstream = upstream(|stream| {
        let head = read_head(stream);
        if head.starts_with("GET ") && !head.contains("ref_id=") {
            answer(stream, 12, "{\"items\":[]}");
        }
    });
    let config = Config::new(&vendor);
    config.write("stage = \"ready\"\ntimeouts.create = \"300ms\"\n");
    let (file, url) = (config.path(), format!("upstream.legacy.url=http://{upstream}/v2"));
    let shim = Shim::serve(&["--config", file.to_str().unwrap(), "--set", &url]).await;
    let ready = || get(shim.admin("/readyz"));
    assert_eq!(ready().await.0, 200);
    assert_eq!(create(&shim, "r-0").await, 504);
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, 200);
    let mut status = ready().await;
    assert_eq!(status.1["reasons"], json!([]), "after one create without an answer");
    for attempt in 1..100 {
        if status.1["reasons"] != json!([]) {
            break;
        }
        assert_eq!(create(&shim, &format!("r-{attempt}")).await, 504);
        assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, 200);
        status = ready().await;
    }
    assert_eq!(status.0, 200, "lists are answered, so clients are not sent away");
    let reason = &status.1["reasons"][0];
    assert_eq!(reason["kind"], "legacy side, create lane", "{reason}");
    assert!(reason["detail"].as_str().unwrap().contains(&upstream.to_string()), "{reason}");
    let page = reqwest::get(shim.admin("/")).await.unwrap().text().await.unwrap();
    assert!(page.contains("legacy side, create lane"), "{page}");
}

/// The proxy with credentials of its own for both sides, or for lookups alone, and that token endpoint.
async fn with_credentials(vendor: &Sandbox, url: &str, auth: &str) -> (Shim, Config) {
    let config = Config::new(vendor);
    config.write(&format!("stage = \"live\"\n{auth}"));
    let (file, url) = (config.path(), format!("upstream.oauth.url={url}"));
    let shim = Shim::serve(&["--config", file.to_str().unwrap(), "--set", &url]).await;
    (shim, config)
}

fn own_credentials() -> String {
    let digest: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let side = "{ client_id = \"i\", client_secret = \"s\" }";
    format!(
        "auth.mode = \"client_credentials\"\nauth.legacy = {side}\nauth.new = {side}\n\
         [[auth.callers]]\nname = \"caller\"\ntoken_sha256 = \"{digest}\"\nscopes = [\"read\", \"write\"]\n"
    )
}

/// What `/readyz` answers once it gives a reason; `ask` is repeated until then.
async fn reason<F: Future>(shim: &Shim, ask: impl Fn(usize) -> F) -> (StatusCode, Value) {
    for attempt in 0..100 {
        ask(attempt).await;
        let status = get(shim.admin("/readyz")).await;
        if status.1["reasons"] != json!([]) {
            return status;
        }
    }
    panic!("no reason after a hundred failures");
}

async fn reachable(shim: &Shim, side: &str, lane: &str) -> Option<String> {
    let metrics = reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap();
    let series = format!("conversion_shim_upstream_reachable{{side=\"{side}\",lane=\"{lane}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
}

#[tokio::test]
async fn a_dead_token_endpoint_is_named_in_the_log_and_makes_unready_what_needs_its_tokens() {
    let vendor = vendor().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (shim, _config) =
        with_credentials(&vendor, &format!("http://{nobody}/oauth2/token"), &own_credentials()).await;
    assert_eq!(create(&shim, "r").await, 503);
    let line = failure(&shim).await;
    assert_eq!(line["fault"], "token-endpoint", "{line}");
    assert_eq!((&line["phase"], &line["address"]), (&"connect".into(), &nobody.to_string().into()), "{line}");
    assert!(line["elapsed_ms"].is_u64(), "{line}");
    let line = shim.line_that("token", |line| line["target"] == "auth" && line["level"] == "ERROR").await;
    assert_eq!((&line["phase"], &line["address"]), (&"connect".into(), &nobody.to_string().into()), "{line}");
    let (code, answer) = reason(&shim, |attempt| {
        let (shim, reference) = (&shim, format!("r-{attempt}"));
        async move { assert_eq!(create(shim, &reference).await, 503) }
    })
    .await;
    assert_eq!((code, &answer["reasons"][0]["kind"]), (503.try_into().unwrap(), &"oauth, token lane".into()));
    let detail = answer["reasons"][0]["detail"].as_str().unwrap();
    assert!(detail.contains(&nobody.to_string()), "{answer}");
    assert_eq!(reachable(&shim, "oauth", "token").await.as_deref(), Some("0.0"));
    let page = reqwest::get(shim.admin("/")).await.unwrap().text().await.unwrap();
    assert!(page.contains("oauth, token lane"), "{page}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_proxys_credentials_makes_it_unready_by_the_proxys_fault() {
    let vendor = vendor().await;
    let refusing = upstream(|stream| {
        read_head(stream);
        let head = "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let url = format!("http://{refusing}/oauth2/token");
    let (shim, _config) = with_credentials(&vendor, &url, &own_credentials()).await;
    let (code, answer) = reason(&shim, |attempt| {
        let (shim, reference) = (&shim, format!("r-{attempt}"));
        async move { assert_eq!(create(shim, &reference).await, 503) }
    })
    .await;
    assert_eq!((code, &answer["reasons"][0]["kind"]), (503.try_into().unwrap(), &"oauth, token lane".into()));
    assert!(answer["reasons"][0]["detail"].as_str().unwrap().contains("401"), "{answer}");
    assert_eq!(failure(&shim).await["fault"], "proxy");
}

/// Clients' tokens are theirs: the process serves whoever has one.
#[tokio::test]
async fn a_token_endpoint_that_is_dead_for_clients_is_named_and_leaves_the_process_ready() {
    let vendor = vendor().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (shim, _config) = with_credentials(&vendor, &format!("http://{nobody}/oauth2/token"), "").await;
    let client = reqwest::Client::new();
    let (code, answer) = reason(&shim, |_| {
        let form = client.post(shim.public("/oauth2/token")).body("grant_type=client_credentials");
        async move { drop(form.send().await.unwrap()) }
    })
    .await;
    assert_eq!(
        (code, &answer["reasons"][0]["kind"]),
        (200.try_into().unwrap(), &"oauth, pass_through lane".into())
    );
    assert_eq!(reachable(&shim, "oauth", "pass_through").await.as_deref(), Some("0.0"));
    assert_eq!(reachable(&shim, "oauth", "token").await, None, "the proxy has asked for none");
}

#[tokio::test]
async fn a_side_that_is_dead_for_shadow_is_named_and_leaves_the_process_ready() {
    let vendor = vendor().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Config::new(&vendor);
    config.write("stage = \"shadow\"\n");
    let (file, url) = (config.path(), format!("upstream.new.url=http://{nobody}/v2"));
    let shim = Shim::serve(&["--config", file.to_str().unwrap(), "--set", &url]).await;
    let (code, answer) = reason(&shim, |_| async {
        assert_eq!(get(shim.public("/v2/conversion/stablecoins?ref_id=r")).await.0, 200);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    })
    .await;
    assert_eq!(
        (code, &answer["reasons"][0]["kind"]),
        (200.try_into().unwrap(), &"new side, shadow lane".into())
    );
    assert!(answer["reasons"][0]["detail"].as_str().unwrap().contains(&nobody.to_string()), "{answer}");
    assert_eq!(reachable(&shim, "new", "shadow").await.as_deref(), Some("0.0"));
}

/// The vendor counts it.
#[tokio::test]
async fn a_read_that_is_repeated_takes_a_second_turn_of_the_budget() {
    let vendor = vendor().await;
    // Closes the first connection with its request unanswered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            read_head(&mut stream);
            if at > 0 {
                answer(&mut stream, 12, "{\"items\":[]}");
            }
        }
    });
    let config = Config::new(&vendor);
    let shim = before(&format!("http://{address}/v2"), &config).await;
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, 200);
    let metrics = reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap();
    let series = "conversion_shim_budget_calls_total{side=\"legacy\",endpoint=\"list\",class=\"client\"} ";
    let calls = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap();
    assert_eq!(calls, "2");
}
