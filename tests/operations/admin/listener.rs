//! The admin listener beside the public one: they never meet, and a port that cannot be had is said clearly.

use std::net::TcpListener;

use reqwest::{Method, StatusCode};

use super::{call, get, vendor};
use crate::support::process::{Config, Shim, read_all, run, run_with};

#[tokio::test]
async fn admin_paths_on_the_public_port_go_upstream_like_any_path() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    for path in ["/livez", "/readyz", "/status", "/metrics"] {
        let (direct, from_vendor) = get(vendor.base_url().replace("/v2", path)).await;
        let (code, through) = get(shim.public(path)).await;
        assert_eq!((code, &through), (direct, &from_vendor), "{path}");
        let seen = vendor.inspector().requests().iter().filter(|seen| seen.path_and_query == path).count();
        assert_eq!(seen, 2, "{path}: once directly, once through the proxy");
    }
}

#[tokio::test]
async fn the_admin_port_knows_its_own_paths_only_and_changes_nothing() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let arrived = vendor.inspector().requests().len();
    for path in ["/v2/conversion/stablecoins", "/v2/profiles", "/livez/", "//status", "/metrics/"] {
        for method in [Method::GET, Method::POST] {
            let (code, problem) = call(method, shim.admin(path)).await;
            assert_eq!((code, &problem["status"]), (StatusCode::NOT_FOUND, &404.into()), "{path}");
        }
    }
    for path in ["/", "/livez", "/readyz", "/status", "/metrics"] {
        for method in [Method::POST, Method::DELETE, Method::PUT] {
            assert_eq!(call(method, shim.admin(path)).await.0, StatusCode::METHOD_NOT_ALLOWED);
        }
        assert_eq!(call(Method::GET, shim.admin(path)).await.0, StatusCode::OK);
        let head = reqwest::Client::new().head(shim.admin(path)).send().await.unwrap();
        assert_eq!((head.status(), head.text().await.unwrap().as_str()), (StatusCode::OK, ""));
    }
    let refusal = reqwest::get(shim.admin("/nothing")).await.unwrap();
    assert_eq!(refusal.headers()["content-type"], "application/problem+json");
    assert_eq!(vendor.inspector().requests().len(), arrived, "nothing of it went upstream");
}

/// A page that lets its own name lead to this machine reads nothing.
#[tokio::test]
async fn on_loopback_only_an_address_or_localhost_is_answered() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let port = shim.admin_address().port();
    let ask = async |shim: &Shim, path: &str, host: String| {
        reqwest::Client::new().get(shim.admin(path)).header("host", host).send().await.unwrap()
    };
    for path in ["/", "/status", "/metrics", "/readyz", "/nothing"] {
        let refused = ask(&shim, path, format!("evil.example:{port}")).await;
        assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        assert!(!refused.text().await.unwrap().contains("live"));
    }
    for host in
        ["localhost".to_owned(), format!("LOCALHOST:{port}"), format!("[::1]:{port}"), "10.0.0.7".into()]
    {
        assert_eq!(ask(&shim, "/status", host.clone()).await.status(), StatusCode::OK, "{host}");
    }

    // Where others are meant to come to, they come by whatever name there is.
    config.write_only("admin.listen = \"0.0.0.0:0\"\n");
    let open = Shim::start(&config).await;
    assert_eq!(ask(&open, "/readyz", "shim-admin.payments.svc".into()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn it_can_be_off() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write_only("admin.listen = \"\"\n");
    let shim = Shim::start(&config).await;
    assert!(!shim.has_admin());
    let asked = run_with(&config.path(), &["status"]).await;
    assert_eq!(asked.code, Some(3), "{asked:?}");
    assert!(asked.err.contains("admin.listen") && asked.err.contains("off"), "{asked:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_stops_the_start_and_is_named() {
    let vendor = vendor().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = Config::new(&vendor);
    config.write_only(&format!("admin.listen = \"{address}\"\n"));
    let ran = run_with(&config.path(), &["serve"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains(&format!("admin.listen {address}")) && ran.err.contains("in use"), "{ran:?}");
}

#[tokio::test]
async fn the_command_says_clearly_that_it_got_no_status() {
    let vendor = vendor().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = run(&["status", "--admin", &closed]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains(&closed) && ran.err.contains("does the proxy run"), "{ran:?}");

    let foreign = run(&["status", "--admin", &vendor.addr().to_string()]).await;
    assert_eq!((foreign.code, foreign.out.as_str()), (Some(1), ""));
    assert!(foreign.err.contains("no admin listener"), "{foreign:?}");

    let config = Config::new(&vendor);
    config.write_only("admin.listen = \"127.0.0.1:0\"\n");
    let anywhere = run_with(&config.path(), &["status"]).await;
    assert_eq!(anywhere.code, Some(3), "{anywhere:?}");
    config.write_only("stage = \"nonsense\"\nadmin.listen = \"\"\n");
    let refused = run_with(&config.path(), &["status"]).await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains("status --admin"), "an operator still needs the status: {refused:?}");
}

#[tokio::test]
async fn the_command_takes_a_name_or_a_port_and_says_what_it_does_not_take() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let port = shim.admin_address().port().to_string();
    for place in [port.clone(), format!("localhost:{port}")] {
        let reported = run(&["status", "--admin", &place]).await;
        assert_eq!((reported.code, reported.row("stage")), (Some(0), "live"), "{place}: {reported:?}");
    }
    let url = run(&["status", "--admin", &format!("http://localhost:{port}")]).await;
    assert_eq!(url.code, Some(2));
    assert!(url.err.contains("expected only ADDRESS:PORT"), "{url:?}");
}

#[tokio::test]
async fn the_sandbox_prints_what_each_stage_answers_and_the_page_address() {
    let all = [
        "--sandbox",
        "--listen",
        "0.0.0.0:0",
        "--set",
        "sandbox.listen=127.0.0.1:0",
        "--set",
        "log.format=json",
    ];
    for (stage, answered) in [
        ("observe", "each answered from the old one, as it is"),
        (
            "shadow",
            "each answered from the old one, as it is, and compared with the new one in the background",
        ),
        ("sealed", "each answered from the new one"),
    ] {
        let mut shim = Shim::serve(&[all.as_slice(), &["--stage", stage]].concat()).await;
        let admin = shim.admin_address();
        shim.signal("-TERM");
        assert_eq!(shim.ended().await, Some(0));
        let reported = read_all(shim.stderr());
        assert!(reported.contains(&format!("to try, {answered};")), "{reported}");
        assert!(
            reported.contains(&format!("http://{admin}/\n")) && !reported.contains("0.0.0.0"),
            "{reported}"
        );
        let there = "the same record as the new API has it";
        assert_eq!(reported.contains(there), stage == "sealed", "{reported}");
    }
}

#[tokio::test]
async fn all_interfaces_are_asked_on_loopback() {
    let vendor = vendor().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config::new(&vendor);
    config.write_only(&format!("admin.listen = \"0.0.0.0:{port}\"\n"));
    let _shim = Shim::start(&config).await;
    let reported = run_with(&config.path(), &["status"]).await;
    assert_eq!((reported.code, reported.row("ledger")), (Some(0), "none"), "{reported:?}");
}

#[tokio::test]
async fn a_newcomers_sandbox_does_not_stumble_over_a_taken_admin_port() {
    let free = [
        "--sandbox",
        "--listen",
        "127.0.0.1:0",
        "--set",
        "sandbox.listen=127.0.0.1:0",
        "--set",
        "log.format=json",
    ];
    let (mut one, other) = (Shim::serve(&free).await, Shim::serve(&free).await);
    assert_ne!(one.admin_address(), other.admin_address());
    let admin = one.admin_address().to_string();
    assert_eq!(run(&["status", "--admin", &admin]).await.row("stage"), "sealed");
    one.signal("-TERM");
    assert_eq!(one.ended().await, Some(0));
    assert!(read_all(one.stderr()).contains(&format!("conversion-shim status --admin {admin}")));
}
