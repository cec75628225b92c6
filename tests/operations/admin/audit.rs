//! The audit: what was decided about the cutover, in the command and on the page.

use serde_json::Value;

use super::{get, until, vendor};
use crate::support::process::{Config, Ran, Shim, run_with};

const PLAIN: &str = "legacy, get legacy, list legacy, cancel legacy";

/// The rows of `audit --format json` of one kind.
async fn rows(config: &Config, kind: &str) -> Vec<Value> {
    let ran = run_with(&config.path(), &["audit", "--format", "json"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["kind"] == kind).collect()
}

async fn modes(config: &Config, count: usize) -> Vec<Value> {
    until(|| rows(config, "modes"), |rows| rows.len() >= count).await
}

#[tokio::test]
async fn every_change_of_the_modes_in_force_is_a_row() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    let first = modes(&config, 1).await;
    let (hash, stage) = (get(shim.admin("/status")).await.1["config"]["hash"].clone(), "create legacy");
    assert_eq!(first[0]["operator"], format!("config {}", hash.as_str().unwrap()), "{first:?}");
    assert_eq!((&first[0]["before"], &first[0]["reason"]), (&Value::Null, &Value::from("start")));
    assert!(first[0]["after"].as_str().unwrap().starts_with(stage), "{first:?}");
    // A key that is no mode changes nothing; a `[routes]` entry counts like a stage, and so does a percentage.
    config.write("stage = \"observe\"\ntimeouts.get = \"7s\"\n");
    shim.logged("config reloaded").await;
    config.write("stage = \"observe\"\nroutes.get = \"shadow\"\n");
    let second = modes(&config, 2).await;
    assert_eq!(second[1]["before"], format!("create {PLAIN}"), "{second:?}");
    assert_eq!(second[1]["after"], "create legacy, get shadow, list legacy, cancel legacy");
    assert_eq!(second[1]["reason"], "reload");
    config.write("stage = \"canary\"\ncanary.percent = 5\ncanary.salt = \"s\"\n");
    let third = modes(&config, 3).await;
    assert_eq!(third[2]["after"], "create canary 5%, get both, list both, cancel both", "{third:?}");
    // A restart with the same modes changes nothing on record.
    drop(shim);
    let shim = Shim::start(&config).await;
    config.write("stage = \"hold\"\ncanary.percent = 5\ncanary.salt = \"s\"\n");
    shim.logged("config reloaded").await;
    let last = modes(&config, 4).await;
    assert_eq!(last.len(), 4, "{last:?}");
    assert_eq!(last[3]["before"], third[2]["after"], "{last:?}");
    drop(shim);
}

#[tokio::test]
async fn the_audit_is_printed_and_shown() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    modes(&config, 1).await;
    let why = "checked the backup\u{202e}<b>";
    let accepted = run_with(&config.path(), &["ledger", "accept", "--why", why]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    let text: Ran = run_with(&config.path(), &["audit"]).await;
    let lines: Vec<_> = text.out.lines().collect();
    // `open-new` and `init` of the test's own ledger come first.
    assert!(lines[0].contains("Z  init  by test: test"), "{lines:#?}");
    assert!(lines.last().unwrap().contains("Z  accept  by ") && !text.out.contains('\u{202e}'), "{lines:#?}");
    let newest = run_with(&config.path(), &["audit", "--limit", "1"]).await;
    assert_eq!(newest.out.lines().collect::<Vec<_>>(), [*lines.last().unwrap()]);
    assert!(newest.err.contains("older rows are left out"), "{newest:?}");
    let future = run_with(&config.path(), &["audit", "--since", "2999-01-01T00:00:00Z"]).await;
    assert_eq!((future.code, future.out.as_str()), (Some(0), ""));
    let page = reqwest::get(shim.admin("/")).await.unwrap().text().await.unwrap();
    let panel = page.split("id=\"audit\"").nth(1).expect("a panel").split("</section>").next().unwrap();
    assert!(panel.contains("<code>accept</code>") && panel.contains("<code>modes</code>"), "{panel}");
    assert!(panel.contains("checked the backup\\u{202e}&lt;b&gt;"), "{panel}");
    let status = get(shim.admin("/status")).await.1;
    assert_eq!(status["audit"][0]["kind"], "accept", "{status}");
}

#[tokio::test]
async fn without_a_ledger_there_is_no_audit() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write_only("stage = \"observe\"\nadmin.listen = \"127.0.0.1:0\"\n");
    let ran = run_with(&config.path(), &["audit"]).await;
    assert!(ran.code == Some(3) && ran.err.contains("ledger.url"), "{ran:?}");
    let shim = Shim::start(&config).await;
    let page = reqwest::get(shim.admin("/")).await.unwrap().text().await.unwrap();
    assert!(!page.contains("id=\"audit\""));
}
