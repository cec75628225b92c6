//! A failed call to an upstream is logged with its side, phase, address and duration, whatever it was doing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use conversion_shim::sandbox::{PROFILE, TOKEN};
use serde_json::{Value, json};
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
