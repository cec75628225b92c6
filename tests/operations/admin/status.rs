//! `/status` and the command that asks for it.

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{create, get, until, vendor};
use crate::support::process::{Config, Shim, run};

const CANARY: &str =
    "stage = \"canary\"\ncanary.percent = 7\ncanary.salt = \"s\"\ncanary.profiles = [\"p-1\", \"p-2\"]\n";

async fn status(shim: &Shim) -> Value {
    let (code, status) = get(shim.admin("/status")).await;
    assert_eq!(code, StatusCode::OK);
    status
}

#[tokio::test]
async fn a_reload_shows_in_the_status_and_each_change_of_mode_is_one_log_line() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"hold\"\n");
    let shim = Shim::start(&config).await;
    let before = status(&shim).await;
    assert_eq!(before["stage"], "hold");
    assert_eq!(before["modes"], json!({"create": "hold", "get": "both", "list": "both", "cancel": "both"}));
    assert_eq!(before["canary"], json!({"percent": 0, "profiles_listed": 0}));
    assert_eq!(before["replicas"], 1);
    assert_eq!(before["writes_in_flight"], 0);
    assert_eq!(before["version"], env!("CARGO_PKG_VERSION"));
    assert!(before["uptime_seconds"].is_u64());
    assert!(before["config"]["loaded_at"].is_string());
    assert_eq!(before["config"].get("reload_accepted_at"), None);
    let begin = shim.logged("modes in force").await;
    assert_eq!(begin["target"], "config");
    assert_eq!([&begin["stage"], &begin["create"], &begin["cancel"]], ["hold", "hold", "both"]);
    assert_eq!(begin["hash"], before["config"]["hash"]);

    config.write(CANARY);
    let after = until(|| status(&shim), |now| now["config"].get("reload_accepted_at").is_some()).await;
    assert_eq!(after["modes"]["create"], "canary");
    assert_eq!(after["canary"], json!({"percent": 7, "profiles_listed": 2}));
    assert_ne!(after["config"]["hash"], before["config"]["hash"]);
    assert_eq!(after["config"]["loaded_at"], after["config"]["reload_accepted_at"]);
    // The log is written in the background; this line follows on all changes of modes.
    shim.logged("config reloaded").await;
    let changed: Vec<_> = shim.log().into_iter().filter(|line| line["message"] == "mode changed").collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0]["target"], "config");
    assert_eq!([&changed[0]["route"], &changed[0]["from"], &changed[0]["to"]], ["create", "hold", "canary"]);
    assert_eq!(changed[0]["hash"], after["config"]["hash"]);
    assert!(changed[0]["timestamp"].is_string());
}

#[tokio::test]
async fn a_refused_reload_is_shown_with_its_problems_until_the_next_one() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"hold\"\n");
    let shim = Shim::start(&config).await;
    let before = status(&shim).await;
    assert_eq!(before["config"].get("reload_refused"), None);

    config.write("stage = \"hold\"\nserver.threads = 3\nreplicas = 2\n");
    let refused = |now: &Value| now["config"]["reload_refused"]["active"] == true;
    let after = until(|| status(&shim), refused).await;
    assert_eq!(after["config"]["hash"], before["config"]["hash"], "nothing changed");
    assert_eq!(after["config"]["loaded_at"], before["config"]["loaded_at"]);
    let problems = after["config"]["reload_refused"]["problems"].to_string();
    assert!(problems.contains("server.threads") || problems.contains("replicas"), "{problems}");
    let admin = shim.admin_address().to_string();
    let reported = run(&["status", "--admin", &admin]).await;
    assert!(reported.row("refused").contains("still refused"), "{reported:?}");
    assert!(reported.out.contains("- "), "{reported:?}");

    config.write("stage = \"hold\"\n");
    let settled = |now: &Value| now["config"]["reload_refused"]["active"] == false;
    let settled = until(|| status(&shim), settled).await;
    assert_eq!(
        settled["config"]["reload_refused"]["at"], after["config"]["reload_refused"]["at"],
        "history stays"
    );
    std::fs::remove_file(config.path()).unwrap();
    let gone = until(|| status(&shim), refused).await;
    assert!(gone["config"]["reload_refused"]["problems"].to_string().contains("cannot be read"), "{gone}");
}

#[tokio::test]
async fn the_last_reloads_are_listed_with_what_changed_and_when_a_refusal_ended() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"hold\"\n");
    let shim = Shim::start(&config).await;
    let admin = shim.admin_address().to_string();
    let reloads = async || status(&shim).await["config"]["reloads"].take();
    assert_eq!(reloads().await, json!([]));

    config.write("stage = \"canary\"\ncanary = { percent = 7, salt = \"s\" }\nlimits.in_flight.list = 9\n");
    let accepted = until(&reloads, |reloads| reloads[0].is_object()).await;
    let hash = status(&shim).await["config"]["hash"].clone();
    assert_eq!(
        accepted,
        json!([{
            "at": accepted[0]["at"], "result": "accepted", "hash": hash, "stage": "canary", "problems_total": 0,
            "changes": ["stage: hold → canary", "create: hold → canary"],
            "other_keys": ["limits.in_flight.list", "canary.percent", "canary.salt", "ledger.new_in_use"],
        }])
    );
    assert_eq!(accepted[0]["at"], status(&shim).await["config"]["reload_accepted_at"]);

    config.write("stage = \"canary\"\nserver.threads = 3\nreplicas = 2\n");
    let refused = until(&reloads, |reloads| reloads[1].is_object()).await;
    assert_eq!(
        [&refused[0]["result"], &refused[0]["stage"], &refused[0]["hash"]],
        [&json!("refused"), &json!("canary"), &hash]
    );
    assert!(refused[0]["problems"].as_array().is_some_and(|problems| !problems.is_empty()), "{refused}");
    assert_eq!((refused[0].get("ended_at"), &refused[1]), (None, &accepted[0]));
    let reported = run(&["status", "--admin", &admin]).await;
    assert!(reported.row("reloads").contains(" refused, still active: "), "{reported:?}");
    let line = " accepted: stage: hold → canary, create: hold → canary, limits.in_flight.list, canary.percent, canary.salt";
    assert!(reported.out.contains(line), "{reported:?}");

    config.write("stage = \"hold\"\ncanary = { percent = 7, salt = \"s\" }\nlimits.in_flight.list = 9\n");
    let after = until(&reloads, |reloads| reloads[2].is_object()).await;
    assert_eq!(after[1]["ended_at"], after[0]["at"]);
    assert_eq!(after[0]["changes"], json!(["stage: canary → hold", "create: canary → hold"]));
    let reported = run(&["status", "--admin", &admin]).await;
    let (until_then, _) = after[0]["at"].as_str().unwrap().split_once('.').unwrap();
    let line = format!(" refused, until {until_then}Z: ");
    assert!(reported.out.contains(&line), "{reported:?}");
}

#[tokio::test]
async fn the_time_of_the_first_new_create_is_shown_once_a_create_went_to_the_new_api() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let before = status(&shim).await;
    assert_eq!(before["ledger"]["created_on_new"], false);
    assert_eq!(before["ledger"].get("first_new_create_at"), None);
    let admin = shim.admin_address().to_string();
    assert_eq!(run(&["status", "--admin", &admin]).await.row("new API"), "no create yet");

    assert_eq!(create(&shim, "first").await, StatusCode::OK);
    let after = status(&shim).await;
    assert_eq!(after["ledger"]["created_on_new"], true);
    let since = after["ledger"]["first_new_create_at"].as_str().unwrap().to_owned();
    assert_eq!(create(&shim, "second").await, StatusCode::OK);
    assert_eq!(status(&shim).await["ledger"]["first_new_create_at"], since.as_str(), "it never moves");
    assert_eq!(run(&["status", "--admin", &admin]).await.row("new API"), format!("creates since {since}"));
}

#[tokio::test]
async fn the_command_prints_text_or_the_json_of_the_listener() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(CANARY);
    let shim = Shim::start(&config).await;
    let admin = shim.admin_address().to_string();
    let reported = run(&["status", "--admin", &admin]).await;
    assert_eq!(reported.code, Some(0), "{reported:?}");
    assert_eq!(reported.row("stage"), "canary");
    assert_eq!(reported.row("modes"), "create canary, get both, list both, cancel both");
    assert_eq!(reported.row("canary"), "7% and 2 listed profiles");
    assert_eq!(reported.row("ready"), "yes");
    assert_eq!(reported.row("ledger"), "sqlite, ready; tenant default");
    assert_eq!(reported.row("last reload"), "none accepted since start");
    let hash = status(&shim).await["config"]["hash"].as_str().unwrap().to_owned();
    assert!(reported.row("config").starts_with(&hash), "{reported:?}");
    assert!(!reported.out.contains("p-1"), "ids of profiles are not for here: {reported:?}");

    let json = run(&["status", "--json", "--admin", &admin]).await;
    assert_eq!((json.code, &json.json()["config"]["hash"]), (Some(0), &Value::from(hash)));
}

#[tokio::test]
async fn a_429_shows_in_the_status_and_in_the_command() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\nbudget.cooldown = \"1h\"\nbudget.cooldown_max = \"1h\"\n");
    let shim = Shim::start(&config).await;
    let admin = shim.admin_address().to_string();
    let budget = status(&shim).await["budget"].take();
    assert_eq!(
        (budget.get("cooldown_seconds_left"), budget["endpoints"].as_array().unwrap().len()),
        // The routes of both APIs, cancel and token, and the rows of the vendor's table.
        (None, 8 + 11)
    );
    assert_eq!(run(&["status", "--admin", &admin]).await.row("budget"), "as configured");

    let code = StatusCode::TOO_MANY_REQUESTS;
    let kind = FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false };
    vendor.faults().arm(Fault::new(kind).on(Side::Legacy, Operation::List));
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, code);
    let budget = status(&shim).await["budget"].take();
    assert!((3000..=3601).contains(&budget["cooldown_seconds_left"].as_u64().unwrap()), "{budget}");
    let endpoints = budget["endpoints"].as_array().unwrap();
    let list = endpoints.iter().find(|endpoint| endpoint["endpoint"] == "legacy list").unwrap();
    assert_eq!((&list["calls"], &list["waiting"], &list["refused"]), (&json!(1), &json!(0), &json!(0)));
    assert!(list["last_429"].is_string(), "{list}");
    let reported = run(&["status", "--admin", &admin]).await;
    assert!(reported.row("budget").starts_with("SLOWED for 3"), "{reported:?}");
    assert!(
        reported.out.contains("legacy list: 22.5/s; 1 calls, 0 waiting, 0 refused, last 429 at "),
        "{reported:?}"
    );

    // New numbers are in force before anybody asks for a conversion.
    config.write("stage = \"observe\"\nbudget.per_second = 100\n");
    let doubled = |now: &Value| now["budget"]["endpoints"][0]["per_second"].as_f64().unwrap() > 40.0;
    until(|| status(&shim), doubled).await;
}

#[tokio::test]
async fn calls_that_were_refused_for_want_of_budget_stand_out() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\nbudget.per_second = 1\nbudget.wait_max = \"0s\"\n");
    let shim = Shim::start(&config).await;
    let list = || get(shim.public("/v2/conversion/stablecoins"));
    let mut answers = Vec::new();
    while answers.last() != Some(&StatusCode::TOO_MANY_REQUESTS) {
        assert!(answers.len() < 50, "{answers:?}");
        answers.push(list().await.0);
    }
    let reported = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
    assert_eq!(reported.row("budget"), "as configured; 1 calls REFUSED since start");
}
