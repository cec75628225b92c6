//! `shadow.log` as the real binary writes it, while others move, remove and empty it, and while its disk is full.

use std::path::{Path, PathBuf};
use std::time::Duration;

use conversion_shim::sandbox::{Options, Sandbox};
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::process::{Config, Shim, run};
use crate::support::small_disk::SmallDisk;
use crate::support::soon;
use crate::support::test_bed::LEGACY;

const TEN: Duration = Duration::from_millis(10);

/// Heartbeat and poll interval. `QUIET`: nothing is written or looked at by itself.
const QUIET: (&str, &str) = ("1h", "1h");
const BUSY: (&str, &str) = ("100ms", "100ms");

struct Writing {
    _vendor: Sandbox,
    _config: Config,
    shim: Shim,
    log: PathBuf,
}

/// A proxy in stage `shadow` that compares everything and writes every record to that file.
async fn writing_to(log: &Path, (heartbeat, poll): (&str, &str)) -> Writing {
    // The HTTP client refuses to be built without it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendor = Sandbox::start(Options::default()).await.unwrap();
    let config = Config::new(&vendor);
    let keys = format!(
        "stage = \"shadow\"\nshadow.log = \"{}\"\nshadow.match_sample = 1.0\n\
         shadow.cap_per_signature = 1000000\nbudget.per_second = 100000\nbudget.shadow_share = 1.0\nshadow.heartbeat = \"{heartbeat}\"\n",
        log.display()
    );
    config.write(&keys);
    let poll = format!("reload.poll_interval={poll}");
    let shim = Shim::serve(&["--config", config.path().to_str().unwrap(), "--set", &poll]).await;
    Writing { _vendor: vendor, _config: config, shim, log: log.to_owned() }
}

impl Writing {
    /// A request whose comparison is written.
    async fn compare(&self) {
        let answer = reqwest::get(self.shim.public(&format!("{LEGACY}?limit=1"))).await.unwrap();
        // Without a token: both sides refuse, and that is compared.
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }

    async fn status(&self) -> Value {
        reqwest::get(self.shim.admin("/status")).await.unwrap().json().await.unwrap()
    }

    /// The state of the shadow log in `/status`, once it is so.
    async fn log_until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        soon(async {
            loop {
                let status = self.status().await;
                let logs = status["logs"].as_array().unwrap();
                let log = logs.iter().find(|log| log["log"] == "shadow").unwrap();
                if is_so(log) {
                    return log.clone();
                }
                tokio::time::sleep(TEN).await;
            }
        })
        .await
    }

    async fn done(&self, count: u64) {
        soon(async {
            while self.status().await["shadow"]["done"].as_u64() < Some(count) {
                tokio::time::sleep(TEN).await;
            }
        })
        .await;
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        let metrics = reqwest::get(self.shim.admin("/metrics")).await.unwrap().text().await.unwrap();
        let line = metrics.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Ends the process in order.
    async fn stop(mut self) {
        self.shim.signal("-TERM");
        self.shim.ended().await;
    }
}

/// The lines of a kind in a file, once there is one.
async fn grows(path: &Path, kind: &str) -> usize {
    let kind = format!("\"line\":\"{kind}\"");
    soon(async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains(&kind)).count();
            if lines > 0 {
                return lines;
            }
            tokio::time::sleep(TEN).await;
        }
    })
    .await
}

async fn there_again(path: &Path) {
    soon(async {
        while !path.exists() {
            tokio::time::sleep(TEN).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_was_moved_removed_or_emptied_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("shadow.jsonl");
    let writing = writing_to(&log, BUSY).await;
    for (round, name) in ["moved", "created", "removed", "emptied"].into_iter().enumerate() {
        writing.compare().await;
        grows(&log, "comparison").await;
        match name {
            "moved" => std::fs::rename(&log, folder.path().join("moved")).unwrap(),
            "created" => {
                // logrotate with `create`
                std::fs::rename(&log, folder.path().join("created")).unwrap();
                std::fs::write(&log, "").unwrap();
            }
            "removed" => std::fs::remove_file(&log).unwrap(),
            _ => {
                // logrotate with `copytruncate`
                std::fs::copy(&log, folder.path().join("emptied")).unwrap();
                std::fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
            }
        }
        there_again(&log).await;
        writing.compare().await;
        grows(&log, "comparison").await;
        let text = std::fs::read(&log).unwrap();
        assert!(!text.contains(&0), "round {round}: a hole at the beginning");
    }
    let log = writing.log_until(|_| true).await;
    assert_eq!((&log["lines_lost"], log.get("failing_since")), (&0.into(), None));
}

/// A file that nothing is written to is followed as well.
#[tokio::test]
async fn sighup_opens_the_path_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("shadow.jsonl");
    let writing = writing_to(&log, QUIET).await;
    std::fs::rename(&log, folder.path().join("shadow.jsonl.1")).unwrap();
    writing.shim.signal("-HUP");
    there_again(&log).await;
}

#[tokio::test]
async fn a_full_disk_loses_lines_which_are_counted_and_the_report_is_no_go() {
    let Some(disk) = SmallDisk::mount(512) else { return };
    let writing = writing_to(&disk.path().join("shadow.jsonl"), BUSY).await;
    writing.compare().await;
    grows(&writing.log, "comparison").await;
    disk.fill();
    // The last block of the file takes a few more.
    soon(async {
        let mut done = 1;
        while writing.log_until(|_| true).await.get("failing_since").is_none() {
            writing.compare().await;
            done += 1;
            writing.done(done).await;
        }
    })
    .await;
    assert_eq!(writing.metric("conversion_shim_log_up{log=\"shadow\"}").await, Some(0.0));
    let ready = reqwest::get(writing.shim.admin("/readyz")).await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK, "clients do not depend on it");
    writing.shim.logged("log lines are lost: the log cannot be written").await;
    disk.free();
    writing.log_until(|log| log.get("failing_since").is_none()).await;
    let again = writing.shim.logged("the log can be written again; lines were lost").await;
    assert!(again["seconds"].as_f64().unwrap() > 0.0 && again["lines_lost"].as_u64().unwrap() > 0, "{again}");
    writing.compare().await;
    let log = writing.log_until(|log| log["lines_lost"].as_u64().unwrap() > 0).await;
    let lost = log["lines_lost"].as_f64();
    assert_eq!(writing.metric("conversion_shim_log_lines_lost_total{log=\"shadow\"}").await, lost);
    assert!(writing.metric("conversion_shim_log_failed_seconds{log=\"shadow\"}").await > Some(0.0));
    let path = writing.log.clone();
    let text = run(&["status", "--admin", &writing.shim.admin_address().to_string()]).await;
    assert!(text.row("log").contains("lacks"), "{text:?}");
    writing.stop().await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().filter(|line| !line.ends_with('}')).count() <= 1, "one line may be torn");
    let report = run(&["report", path.to_str().unwrap()]).await;
    assert_eq!(report.code, Some(6), "{report:?}");
    assert!(report.out.contains("lost_lines"), "{report:?}");
}
