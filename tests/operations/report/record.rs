//! `report --record`: what a report showed is on record in the ledger, with digests that can be checked.

use std::path::Path;

use conversion_shim::ledger::{EvidenceKind, EvidenceRow, Reader, Settings};
use conversion_shim::shadow::types::{Severity, Verdict};
use conversion_shim::translate::route::Route;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{Ended, report, write};
use crate::support::ledger;
use crate::support::story::{self, differing, green, lines};

/// A ledger, and a config that names it.
struct Place {
    folder: TempDir,
    url: String,
    config: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let config = write(folder.path(), "shim.toml", ledger::keys(&url, false));
        Self { config: config.to_str().unwrap().to_owned(), folder, url }
    }

    fn record(&self, log: &Path, more: &[&str]) -> Ended {
        let arguments = ["--config", &self.config, "--format", "json", "--record"];
        report(&[&arguments[..], more, &[log.to_str().unwrap()]].concat(), "")
    }

    async fn newest(&self) -> Option<EvidenceRow> {
        let reader = Reader::open(&Settings::new(&self.url)).await.unwrap();
        reader.newest_evidence("default", EvidenceKind::Report).await.unwrap()
    }
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    const_hex::encode(Sha256::digest(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_report_can_be_checked_afterwards() {
    let place = Place::new();
    let go = green(Route::Create) + &green(Route::Get) + &green(Route::List);
    let log = write(place.folder.path(), "shadow.log", &go);
    let plain = report(&["--config", &place.config, log.to_str().unwrap()], "");
    assert_eq!((plain.code, place.newest().await), (0, None), "only --record records");

    let ended = place.record(&log, &[]);
    assert_eq!((ended.code, ended.complaint.as_str()), (0, ""));
    let row = place.newest().await.unwrap();
    let evidence = &row.evidence;
    assert_eq!((evidence.verdict.as_str(), row.version.as_str()), ("go", env!("CARGO_PKG_VERSION")));
    assert_eq!(evidence.input_sha256, sha256(&go));
    assert_eq!(evidence.output_sha256, sha256(&ended.out), "of what --format json prints");
    let at: jiff::Timestamp = story::ago(5).parse().unwrap();
    assert_eq!(evidence.window, Some((at, at)));
    let numbers: Value = serde_json::from_str(&evidence.numbers).unwrap();
    let mut found = numbers["routes"]["get"].clone();
    let checks = found.as_object_mut().unwrap().remove("checks").unwrap();
    let get = json!({"verdict": "go", "records": 2000, "judged": 2000, "paired": 2000, "missed": []});
    assert_eq!(found, get, "{numbers}");
    assert_eq!(checks["judged_min"], json!({ "found": 2000.0, "passed": true }), "{checks}");
    assert_eq!(
        (&numbers["thresholds"]["judged_min"], &numbers["thresholds"]["money_max"]),
        (&json!(1000), &json!(0))
    );
    assert!(evidence.config.len() == 12 && !evidence.operator.is_empty(), "{row:?}");
    let audit = Reader::open(&Settings::new(&place.url)).await.unwrap();
    let rows = audit.audit(jiff::Timestamp::UNIX_EPOCH, 100).await.unwrap();
    let after = rows.iter().find(|row| row.kind == "evidence").and_then(|row| row.after.clone()).unwrap();
    let digests = format!("; input {}, output {}", evidence.input_sha256, evidence.output_sha256);
    assert!(after.starts_with("go; thresholds judged_min 1000, ") && after.ends_with(&digests), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_recorded_and_the_exit_code_stays() {
    let place = Place::new();
    let money = green(Route::Get) + &lines([differing(Route::Get, Verdict::Mismatch, Some(Severity::Money))]);
    let log = write(place.folder.path(), "money.log", money);
    assert_eq!(place.record(&log, &["--route", "get"]).code, 6);
    let no_go = place.newest().await.unwrap().evidence;
    assert_eq!(no_go.verdict, "no_go");
    let numbers: Value = serde_json::from_str(&no_go.numbers).unwrap();
    assert_eq!(numbers["routes"]["get"]["missed"], json!(["money_max"]));
    assert_eq!(numbers["routes"].get("list"), None, "nothing was asked about it");
    let log = write(place.folder.path(), "few.log", green(Route::Get));
    assert_eq!(place.record(&log, &["--route", "get", "--set", "shadow.go.counterparts_min=9999"]).code, 7);
    assert_eq!(place.newest().await.unwrap().evidence.verdict, "not_proven");
}

#[test]
fn what_cannot_be_recorded_is_no_success() {
    let place = Place::new();
    let log = write(place.folder.path(), "shadow.log", green(Route::Get));
    let ended = report(&["--record", "--route", "get", log.to_str().unwrap()], "");
    assert!(ended.code == 3 && ended.complaint.contains("ledger.url"), "{}", ended.complaint);
    std::fs::remove_file(place.folder.path().join("ledger.db")).unwrap();
    let ended = place.record(&log, &["--route", "get", "--set", "ledger.url=postgres://x@127.0.0.1:1/x"]);
    assert_eq!(ended.code, 1, "{}", ended.complaint);
    assert!(ended.complaint.contains("not on record"), "{}", ended.complaint);
}
