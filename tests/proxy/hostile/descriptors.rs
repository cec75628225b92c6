//! More clients than the process may open files for.

use conversion_shim::sandbox::Sandbox;
use tokio::net::TcpStream;

use crate::support::soon;
use crate::support::test_bed::vendor;
use crate::support::wire::binary::Binary;
use crate::support::wire::caller::Caller;

/// The program with a limit on open files and an admin listener, before a vendor that has files of its own.
async fn limited(files: usize, more: &[&str]) -> (Sandbox, Binary) {
    let limit = format!("--nofile={files}:{files}");
    let vendor = vendor().await;
    let urls = [("legacy", vendor.base_url()), ("new", vendor.base_url()), ("oauth", vendor.token_url())];
    let keys = urls.map(|(side, url)| format!("upstream.{side}.url={url}"));
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("shim.toml");
    std::fs::write(&config, "").unwrap();
    let mut arguments = vec!["--config", config.to_str().unwrap(), "--set", "admin.listen=127.0.0.1:0"];
    arguments.extend(keys.iter().flat_map(|key| ["--set", key]));
    arguments.extend(more);
    let shim = Binary::run_by(&["prlimit", &limit], dir, &arguments).serving().await;
    (vendor, shim)
}

fn failures(shim: &Binary) -> usize {
    shim.output().iter().filter(|line| line.contains("could not be accepted")).count()
}

#[tokio::test]
async fn the_admin_listener_answers_while_clients_use_up_the_descriptors() {
    let (_vendor, shim) = limited(128, &["--set", "limits.header_read_timeout=10m"]).await;
    let admin = shim.address_in("admin listener ready").await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(soon(TcpStream::connect(shim.address)).await.unwrap());
    }
    shim.line("could not be accepted").await;
    for path in ["/livez", "/readyz", "/status", "/metrics"].repeat(10) {
        // Each on a connection of its own.
        let answer = Caller::of(&format!("http://{admin}")).get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        if path == "/metrics" {
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(text.contains("\nprocess_open_fds "), "{text}");
        }
    }
    assert_eq!(failures(&shim), 1, "one line for all of them");
    drop(crowd);
    let client = Caller::of(&format!("http://{}", shim.address));
    assert_eq!(soon(client.get("/v2/profiles")).await.status, 200);
}

#[tokio::test]
async fn clients_that_all_have_an_upstream_connection_leave_the_admin_listener_its_own() {
    let (_vendor, shim) = limited(128, &["--set", "limits.in_flight.client=1000"]).await;
    let admin = shim.address_in("admin listener ready").await;
    let request = b"POST /v2/upload HTTP/1.1\r\nhost: shim\r\ncontent-length: 1000\r\n\r\nx";
    let mut crowd = Vec::new();
    // More than the program can serve, and those that wait fit in the kernel's backlog, often 128.
    for _ in 0..140 {
        let mut client = soon(TcpStream::connect(shim.address)).await.unwrap();
        soon(tokio::io::AsyncWriteExt::write_all(&mut client, request)).await.unwrap();
        crowd.push(client);
    }
    for _ in 0..20 {
        assert_eq!(Caller::of(&format!("http://{admin}")).get("/livez").await.status, 200);
    }
    drop(crowd);
}

#[tokio::test]
async fn connections_that_the_limit_on_files_does_not_allow_are_reported_at_start() {
    let (_vendor, shim) = limited(1024, &[]).await;
    let line = shim.line("file descriptors").await;
    assert!(line.contains("\"level\":\"WARN\"") && line.contains("\"limit\":1024"), "{line}");
    for named in ["\"connections_max\":4096", "LimitNOFILE", "limits.connections_max", "\"needed\":"] {
        assert!(line.contains(named), "{named}: {line}");
    }
    let (_vendor, shim) = limited(
        1024,
        &[
            "--set",
            "limits.connections_max=300",
            "--set",
            "limits.in_flight.all=256",
            "--set",
            "upstream.pool_idle_max=8",
        ],
    )
    .await;
    assert!(!shim.output().iter().any(|line| line.contains("file descriptors")), "{:?}", shim.output());
}
