//! The trip: one row holds creates on every replica, whatever is restarted, until an operator resets it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use conversion_shim::sandbox::{Operation, Sandbox};
use conversion_shim::translate::side::Side;
use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::ledger;
use crate::support::postgres::Postgres;
use crate::support::process::{Config, Ran, Shim, run, run_raw, run_with};
use crate::support::test_bed::{Answer, Caller, LEGACY, conversion, vendor};

/// In which every replica follows. They read the trip every second; a loaded machine may take longer for one.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(30);
const WHY: [&str; 2] = ["--why", "two payouts"];

fn caller(shim: &Shim) -> Caller {
    Caller::of(shim.public("").strip_prefix("http://").unwrap().parse().unwrap())
}

async fn trip(config: &Config, what: &str) -> Ran {
    let ran = run_with(&config.path(), &[&["trip", what][..], &WHY].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// A create without a reference: no claim guards it.
async fn bare(caller: &Caller) -> Answer {
    let mut body = conversion("");
    body.as_object_mut().unwrap().remove("ref_id");
    caller.post(&body).await
}

fn posts(vendor: &Sandbox) -> u64 {
    [Side::Legacy, Side::New].map(|side| vendor.inspector().arrived(side, Operation::Create)).iter().sum()
}

/// Waits until the replica holds what no claim guards; what a claim guards is held at once.
async fn held(caller: &Caller, ref_id: &str) {
    let claimed = caller.create(ref_id).await;
    let begun = Instant::now();
    while bare(caller).await.status != 503 {
        assert!(begun.elapsed() < FOLLOWED_WITHIN, "not followed");
        sleep(Duration::from_millis(50)).await;
    }
    for held in [claimed, bare(caller).await] {
        assert!(held.headers.contains_key("retry-after"), "{held:?}");
        let detail = held.problem(503)["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("conversions are held"), "{detail}");
    }
}

/// Waits until the replica serves creates.
pub(crate) async fn served(caller: &Caller) {
    let begun = Instant::now();
    while bare(caller).await.status != 200 {
        assert!(begun.elapsed() < FOLLOWED_WITHIN, "not followed");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn status(shim: &Shim) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(shim.admin("/status")).send().await.unwrap().json().await.unwrap()
}

async fn text(shim: &Shim, path: &str) -> String {
    reqwest::get(shim.admin(path)).await.unwrap().text().await.unwrap()
}

/// What an operator sees of it.
async fn is_shown(shim: &Shim) {
    let line = shim.line_that("a trip", |line| line["target"] == "trip").await;
    assert_eq!(line["level"], "ERROR", "{line}");
    let trip = status(shim).await["trip"].clone();
    assert_eq!((&trip["state"], trip.get("doubles")), (&Value::from("set"), None), "{trip}");
    assert!(trip["why"].as_str().unwrap().ends_with(": two payouts"), "{trip}");
    assert!(text(shim, "/metrics").await.contains("\nconversion_shim_tripped 1.0\n"));
    assert!(text(shim, "/").await.contains("<strong>tripped</strong>"));
    let reported = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
    assert!(reported.row("TRIPPED").contains("two payouts"), "{reported:?}");
    // Reads go on, so clients are still sent here.
    assert_eq!(reqwest::get(shim.admin("/readyz")).await.unwrap().status(), 200);
}

async fn every_replica_holds_until_the_reset(stage: &str) {
    let Some(postgres) = Postgres::shared() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let opens = stage == "live";
    let keys = ledger::keys(&postgres.fresh_database(), opens);
    let keys = format!(
        "{keys}stage = \"{stage}\"\nreplicas = 2\nadmin.listen = \"127.0.0.1:0\"\nbudget.per_second = 1000\n"
    );
    config.write_only(&keys);
    let mut replicas = [Shim::start(&config).await, Shim::start(&config).await];
    let id = caller(&replicas[0]).create("before").await.id();
    assert_eq!(status(&replicas[1]).await["trip"]["state"], "clear");
    assert!(text(&replicas[1], "/metrics").await.contains("\nconversion_shim_tripped 0.0\n"));
    // While the config cannot be written.
    std::fs::set_permissions(config.path(), std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(trip(&config, "now").await.out.starts_with("tripped"));
    for (number, replica) in replicas.iter().enumerate() {
        held(&caller(replica), &format!("held{number}")).await;
        is_shown(replica).await;
        assert_eq!(caller(replica).get(&id).await.status, 200, "reads go on");
        assert_eq!(caller(replica).ask(Method::GET, LEGACY, String::new()).await.status, 200);
    }
    assert!(trip(&config, "now").await.out.starts_with("it was tripped before"));
    // From the first request of a new process on, and through a reload.
    replicas[0] = Shim::start(&config).await;
    let sent = posts(&vendor);
    assert_eq!(bare(&caller(&replicas[0])).await.status, 503);
    assert_eq!(caller(&replicas[0]).create("restarted").await.status, 503);
    config.write_only(&format!("{keys}timeouts.get = \"7s\"\n"));
    for replica in &replicas {
        replica.logged("config reloaded").await;
        assert_eq!(caller(replica).create("reloaded").await.status, 503);
    }
    assert_eq!(posts(&vendor), sent, "nothing was sent");
    let reset = trip(&config, "reset").await.out;
    assert!(
        reset.starts_with("reset: 2 trips\n  by ") && reset.matches(": two payouts\n").count() == 2,
        "{reset}"
    );
    for replica in &replicas {
        served(&caller(replica)).await;
        assert_ne!(caller(replica).create("held0").await.status, 503);
    }
    assert!(trip(&config, "reset").await.out.starts_with("no trip was set"));
    let audit = run_with(&config.path(), &["audit"]).await.out;
    for row in ["  trip  by ", "  trip-reset  by "] {
        assert!(audit.lines().any(|line| line.contains(row) && line.contains(": two payouts")), "{audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_on_the_old_api_are_held_on_every_replica() {
    every_replica_holds_until_the_reset("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_on_the_new_api_are_held_on_every_replica() {
    every_replica_holds_until_the_reset("live").await;
}

/// A trip that was read stays set while the ledger cannot be asked, and one that could not be read is not "not set".
#[tokio::test]
async fn what_cannot_be_read_is_not_known() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"ready\"\nledger.timeout = \"200ms\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(status(&shim).await["trip"]["state"], "clear");
    let away = config.sqlite().with_extension("away");
    std::fs::rename(config.sqlite(), &away).unwrap();
    let begun = Instant::now();
    while status(&shim).await["trip"]["state"] != "unknown" {
        assert!(begun.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!text(&shim, "/metrics").await.contains("conversion_shim_tripped "), "absent, not 0");
    let shown = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
    assert!(shown.row("trip").ends_with("doubles: not known, the ledger is down"), "{shown:?}");
}

#[tokio::test]
async fn a_trip_needs_a_reason_and_a_ledger() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write_only("stage = \"observe\"\n");
    for what in ["now", "reset"] {
        let ran = run_with(&config.path(), &["trip", what]).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let ran = run_with(&config.path(), &["trip", what, "--why", "x"]).await;
        assert!(ran.code == Some(3) && ran.err.contains("ledger.url"), "{ran:?}");
    }
}

/// The on-call may have broken the config a minute ago.
#[tokio::test]
async fn a_config_that_cannot_be_served_can_be_tripped() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendor = vendor().await;
    for broken in [
        "stagee = \"x\"\n",
        "replicas = 0\n",
        "timeouts.create = \"9x\"\n",
        "facts.file = \"/nowhere\"\n",
        "shadow.redaction_key_file = \"/nowhere\"\n",
        "gate.override = { to = \"zz\" }\n",
        "stage = \n",
        "[[[\n",
        "stage = \"\"\"never ends\n",
        "ledger.pool_max = 0\n",
        "ledger.pol_max = 3\n",
        "ledger.timeout = \"3\"\n",
        "ledger.native_creates = \"x\"\n",
        "ledger.tenant = \" \"\n",
    ] {
        let config = Config::new(&vendor);
        config.write("stage = \"observe\"\n");
        let shim = Shim::start(&config).await;
        config.write(broken);
        let refused = run_with(&config.path(), &["serve"]).await;
        assert_eq!(refused.code, Some(3), "{broken}: {refused:?}");
        let ran = trip(&config, "now").await;
        assert_eq!(ran.code, Some(0), "{broken}: {ran:?}");
        if let Some(key) = broken.split(' ').next().filter(|key| key.starts_with("ledger.")) {
            assert!(ran.err.contains(key), "{broken}: {ran:?}");
        }
        is_shown(&shim).await;
    }
}

/// The other sections are not read, so no rule between them and the ledger may be applied.
#[tokio::test]
async fn a_valid_config_with_rules_between_its_sections_can_be_tripped() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    for keys in [
        "ledger.only_door = true\nauth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"\n",
        "reconcile.every = \"15m\"\nauth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"\n",
        "stage = \"live\"\n",
    ] {
        config.write(keys);
        let valid = run_with(&config.path(), &["check"]).await;
        assert_eq!(valid.code, Some(0), "{keys}: {valid:?}");
        let ran = trip(&config, "now").await;
        assert!(ran.out.starts_with("tripped") && ran.err.is_empty(), "{keys}: {ran:?}");
        trip(&config, "reset").await;
    }
}

#[tokio::test]
async fn a_config_file_that_is_not_utf_8_or_has_a_broken_header_can_be_tripped() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("");
    let text = std::fs::read_to_string(config.path()).unwrap();
    let keys: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("ledger.")).collect();
    let header =
        format!("listen = \"127.0.0.1:0\"\n[ledger\n{}\n[log]\nformat = \"json\"\n", keys.join("\n"));
    for broken in [[b"# Z\xfcrich\n", text.as_bytes()].concat(), header.into_bytes()] {
        std::fs::write(config.path(), broken).unwrap();
        let ran = trip(&config, "now").await;
        assert!(ran.err.contains(config.path().to_str().unwrap()), "what was not read is named: {ran:?}");
        config.write("");
        assert!(trip(&config, "reset").await.out.starts_with("reset"), "it was tripped");
    }
}

#[tokio::test]
async fn a_config_file_that_names_no_ledger_says_why() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("");
    let ledger = config.sqlite();
    let unterminated = config.file(
        "unterminated.toml",
        &format!("ledger.url = \"sqlite:{}\nledger.id = \"test\"\n", ledger.display()),
    );
    let folder = config.path().parent().unwrap().to_owned();
    for (file, why) in [
        (std::path::PathBuf::from("/nonexistent.toml"), "No such file"),
        (folder, "directory"),
        (unterminated, "line 1"),
    ] {
        let ran = run_with(&file, &[&["trip", "now"][..], &WHY].concat()).await;
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.err.contains(file.to_str().unwrap()) && ran.err.contains(why), "{ran:?}");
        assert!(!ran.err.contains("(default)"), "{ran:?}");
    }
}

/// Each of them is named for as long as the trip stands, and none is released unseen.
#[tokio::test(flavor = "multi_thread")]
async fn every_trip_is_named_until_the_reset() {
    let Some(postgres) = Postgres::shared() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let keys = ledger::keys(&postgres.fresh_database(), true);
    let on_postgres = format!("{keys}admin.listen = \"127.0.0.1:0\"\nstage = \"live\"\n");
    for place in [None, Some(on_postgres)] {
        let vendor = vendor().await;
        let config = Config::new(&vendor);
        match place {
            None => config.write("stage = \"live\"\n"),
            Some(keys) => config.write_only(&keys),
        }
        every_trip_is_named(&vendor, &config).await;
    }
}

async fn every_trip_is_named(vendor: &Sandbox, config: &Config) {
    let shim = Shim::start(config).await;
    let token = config.file("token", conversion_shim::sandbox::TOKEN);
    let reconcile = async || {
        let ran =
            run_with(&config.path(), &["reconcile", "--rate", "50", "--token-file", token.to_str().unwrap()])
                .await;
        assert_eq!(ran.code, Some(6), "{ran:?}");
    };
    let seed = |ref_id: &str, minutes: i64| {
        let made = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes)).to_string();
        vendor.inspector().seed_conversion(crate::support::test_bed::old_record(ref_id, &made));
        vendor.inspector().seed_orchestration(crate::support::test_bed::new_record(ref_id, &made));
    };
    // A create on new before the doubles.
    let made = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(300)).to_string();
    vendor.inspector().seed_orchestration(crate::support::test_bed::new_record("first", &made));
    reconcile().await;
    let refs: Vec<_> = (1..=7).map(|number| format!("lv-{number}")).collect();
    seed(&refs[0], 100);
    seed(&refs[1], 90);
    reconcile().await;
    assert!(trip(config, "now").await.out.starts_with("it was tripped before"));
    refs[2..].iter().for_each(|ref_id| seed(ref_id, 60));
    reconcile().await;
    let shown = async {
        loop {
            let ran = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
            if refs.iter().all(|ref_id| ran.out.contains(&format!("double of {ref_id}"))) {
                return ran;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let ran = tokio::time::timeout(FOLLOWED_WITHIN, shown).await.expect("each is named by `status`");
    assert!(ran.row("TRIPPED").contains("8 trips") && ran.out.contains(": two payouts"), "{ran:?}");
    let trips = status(&shim).await["trip"].clone();
    assert_eq!((&trips["total"], trips["trips"].as_array().unwrap().len()), (&Value::from(8), 8), "{trips}");
    let page = text(&shim, "/").await;
    assert!(page.contains(&refs[6]), "the page names them");
    let reset = trip(config, "reset").await;
    assert!(reset.out.starts_with("reset: 8 trips\n"), "{reset:?}");
    assert!(refs.iter().all(|ref_id| reset.out.contains(&format!("double of {ref_id}\n"))), "{reset:?}");
    let audit = run_with(&config.path(), &["audit"]).await.out;
    assert!(audit.lines().any(|line| line.contains("  trip-reset  ") && line.contains(&refs[6])), "{audit}");
    // One after the reset does not bring the others back.
    assert!(trip(config, "now").await.out.starts_with("tripped"));
    let reset = trip(config, "reset").await;
    assert!(reset.out.starts_with("reset: by ") && reset.out.lines().count() == 1, "{reset:?}");
}

/// A terminal's encoding, or half a character that was cut off, must not keep creates from being stopped.
#[tokio::test]
async fn a_reason_in_any_encoding_trips() {
    let config = Config::new(&vendor().await);
    config.write("stage = \"observe\"\n");
    let why = OsStr::from_bytes(b"\xff two payouts \xc3");
    let path = config.path();
    let words = ["trip", "now", "--why"].map(OsStr::new);
    let ran = run_raw(&[&words[..], &[why, OsStr::new("--config"), path.as_os_str()]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let reset = run_with(&path, &["trip", "reset", "--why", "seen"]).await;
    assert!(reset.out.contains("\u{fffd} two payouts \u{fffd}"), "{reset:?}");
}
