//! SIGHUP makes a running proxy look at its config at once. Alone in its process: the signal reaches every watcher.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use conversion_shim::config::Stage;
use conversion_shim::config::load::{Sources, load};
use conversion_shim::config::reload::{Outcome, watcher};

#[tokio::test]
async fn sighup_looks_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    let write =
        |stage| std::fs::write(&file, format!("stage = \"{stage}\"\nreload.poll_interval = \"1h\"")).unwrap();
    write("observe");
    let sources = Sources { file: Some(file.clone()), ..Sources::default() };
    let loaded = load(&sources).unwrap();
    let current = Arc::new(ArcSwap::from(Arc::clone(&loaded.config)));
    let consult = Box::new(|_| Box::pin(async { Vec::new() }) as _);
    let (watcher, handle) = watcher(sources, loaded, Arc::clone(&current), Vec::new(), consult);
    tokio::spawn(watcher.run());
    // An answer proves that the handler is installed: without one the signal would end this process.
    assert_eq!(handle.poll().await, Some(Outcome::Unchanged));

    let mut outcomes = handle.outcomes();
    outcomes.mark_unchanged();
    write("hold");
    let pid = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    tokio::time::timeout(Duration::from_secs(20), outcomes.changed()).await.unwrap().unwrap();
    assert_eq!(current.load().stage, Stage::Hold);
}
