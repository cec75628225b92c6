//! Changes while it runs: certificates for the next connection, the config for the next request, and no request lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use conversion_shim::config::reload::ReloadOutcome;
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;

use crate::support::wire::binary::Binary;
use crate::support::wire::caller::{Caller, answer};
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::Pair;
use crate::support::wire::{LEGACY, vendor};

/// Whether a new connection is shown this certificate.
async fn shows(shim: &Binary, pair: &Pair) -> bool {
    let client = Caller::with(&format!("https://{}", shim.address), pair.trusting());
    client.ask(reqwest::Method::OPTIONS, "/v2/x").send().await.is_ok()
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_a_bad_one_changes_nothing() {
    let sandbox = vendor().await;
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Pair::new(), Pair::new());
    let (certificate, key) = old.write(dir.path());
    let config = format!(
        "[upstream.legacy]\nurl = \"{}\"\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n[reload]\npoll_interval = \"1h\"\n",
        sandbox.base_url(),
        certificate.display(),
        key.display()
    );
    let shim = Binary::serve(dir, &config, &[]).await;
    assert!(shows(&shim, &old).await);
    let open = Caller::with(&format!("https://{}", shim.address), old.trusting());
    open.get("/v2/profiles").await;

    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nnone\n").unwrap();
    shim.signal("HUP");
    shim.line("new certificates are refused").await;
    assert!(shows(&shim, &old).await, "the old one stays");

    Pair::new().write(shim.dir.path());
    std::fs::copy(&key, shim.dir.path().join("other.key")).unwrap();
    new.write(shim.dir.path());
    let right = std::fs::read(&key).unwrap();
    std::fs::copy(shim.dir.path().join("other.key"), &key).unwrap();
    shim.signal("HUP");
    shim.lines("new certificates are refused", 2).await;
    assert!(shows(&shim, &old).await, "a key of another certificate");

    std::fs::write(&key, right).unwrap();
    shim.signal("HUP");
    shim.line("new certificates are in force").await;
    assert!(shows(&shim, &new).await && !shows(&shim, &old).await);
    assert_eq!(open.get("/v2/profiles").await.status, 200, "who was connected stays so");
}

#[tokio::test]
async fn the_stage_flips_under_load_and_no_request_is_lost() {
    let sandbox = vendor().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    let url = sandbox.base_url();
    let write = |stage: &str| {
        std::fs::write(&file, format!("stage = \"{stage}\"\n[reload]\npoll_interval = \"1h\"\n"))
    };
    write("observe").unwrap();
    let flags = [("upstream.legacy.url", url.as_str()), ("upstream.new.url", &url)];
    let shim = Shim::start_with(Some(file.clone()), &flags).await;
    let client = Caller::of(&format!("http://{}", shim.address));
    let done = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4).map(|_| tokio::spawn(ask_until(done.clone(), client.clone()))).collect();
    let inspector = sandbox.inspector();
    let lists = |side| inspector.arrived(side, conversion_shim::sandbox::Operation::List);
    for flip in 1..=40 {
        let (stage, side) = if flip % 2 == 1 { ("sealed", Side::New) } else { ("observe", Side::Legacy) };
        write(stage).unwrap();
        let before = lists(side);
        let outcome = shim.handle.poll().await.unwrap();
        assert!(matches!(outcome, ReloadOutcome::Accepted { .. }), "{outcome:?}");
        let arrived = inspector.wait_arrived(side, conversion_shim::sandbox::Operation::List, before + 4);
        crate::support::soon(arrived).await;
    }
    done.store(true, Ordering::SeqCst);
    for one in asking {
        assert!(one.await.unwrap() > 0);
    }
}

/// Asks until told to stop; every answer is a good one. Answers how many there were.
async fn ask_until(done: Arc<AtomicBool>, client: Caller) -> usize {
    let mut asked = 0;
    while !done.load(Ordering::SeqCst) {
        let got = answer(client.ask(reqwest::Method::GET, LEGACY)).await;
        assert_eq!((got.status, got.body.as_ref()), (StatusCode::OK.as_u16(), br#"{"items":[]}"#.as_slice()));
        asked += 1;
    }
    asked
}

/// Without a ledger, which only the embedded vendor allows, nothing knows which creates are retries of one that went to the new API,
/// however long the way back.
#[tokio::test]
async fn creates_without_a_ledger_do_not_come_back_from_the_new_api() {
    let config = |modes: &str| format!("{modes}\n[reload]\npoll_interval = \"1h\"\n");
    let back = "stage = \"hold\"\nroutes.create = \"legacy\"";
    let shim = Binary::serve_sandbox(tempfile::tempdir().unwrap(), &config("stage = \"sealed\"")).await;
    let reload = |modes| {
        std::fs::write(shim.dir.path().join("shim.toml"), config(modes)).unwrap();
        shim.signal("HUP");
    };
    let client = Caller::of(&format!("http://{}", shim.address));
    client.id_of_new("r").await;
    let mut refusals = 0;
    for (at, now) in ["stage = \"sealed\"", "stage = \"hold\""].into_iter().enumerate() {
        if at > 0 {
            reload(now);
            shim.line("config reloaded").await;
        }
        for modes in ["stage = \"observe\"", back] {
            reload(modes);
            refusals += 1;
            let refused = shim.lines("config refused", refusals).await.pop().unwrap();
            assert!(refused.contains("\"routes.create\"") && refused.contains("no ledger"), "{refused}");
        }
        let created = client.create("r").await.status;
        assert_eq!(created, if at == 0 { 409 } else { 503 });
    }
    reload("stage = \"sealed\"");
    shim.lines("config reloaded", 2).await;
    client.create("r").await.problem(409);
}

/// Opening a FIFO without a writer waits for one, and reading a device may have no end.
#[tokio::test]
async fn a_path_that_is_no_regular_file_is_refused_and_a_good_file_heals() {
    let config = |more: &str| format!("{more}\n[reload]\npoll_interval = \"1h\"\n");
    let shim = Binary::serve_sandbox(tempfile::tempdir().unwrap(), &config("")).await;
    let file = shim.dir.path().join("shim.toml");
    let fifo = |path: &std::path::Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    std::fs::remove_file(&file).unwrap();
    fifo(&file);
    shim.signal("HUP");
    let refused = shim.line("config file cannot be read").await;
    assert!(refused.contains("not a regular file"), "{refused}");
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    shim.signal("HUP");
    let refused = shim.lines("config file cannot be read", 2).await.pop().unwrap();
    assert!(refused.contains("not a regular file"), "{refused}");
    // A file that the config names, too.
    std::fs::remove_file(&file).unwrap();
    let secret = shim.dir.path().join("secret");
    fifo(&secret);
    let names = format!("auth.lookup.client_secret_file = \"{}\"", secret.display());
    std::fs::write(&file, config(&names)).unwrap();
    shim.signal("HUP");
    let refused = shim.line("config refused").await;
    assert!(refused.contains("not a regular file"), "{refused}");
    std::fs::write(&file, config("[timeouts]\nget = \"3s\"")).unwrap();
    shim.signal("HUP");
    shim.line("config reloaded").await;
}
