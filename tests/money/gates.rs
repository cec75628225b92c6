//! Gates: no start and no reload goes further than the record without what that needs, and going back is never gated.

use std::cell::Cell;
use std::time::Duration;

use conversion_shim::ledger::{
    EvidenceKind, GateEvidence, Identity, Ledger, Settings, WalkKind, WalkRow, WalkState, WalkStep,
};
use conversion_shim::sandbox::Sandbox;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::ledger::ID;
use crate::support::process::{Config, Ran, Shim, run, run_with};
use crate::support::soon;
use crate::support::test_bed::vendor;

const ENFORCE: &str =
    "gate.enforce = true\ncanary.salt = \"s\"\ntimeouts.create = \"1s\"\nledger.timeout = \"10s\"\n";

/// Each fact that a step asks for, as a line of the config.
const FACTS: [&str; 6] = [
    "facts.ref_space = \"separate\"",
    "facts.mirror = \"no\"",
    "facts.mirror_back = \"no\"",
    "facts.empty_list = ['{\"items\":[]}']",
    "facts.ref_match = \"exact\"",
    "facts.query_plus = \"space\"",
];

pub(crate) fn facts(found_at: Timestamp) -> String {
    format!("{}\nfacts.found_at = \"{found_at}\"\n", FACTS.join("\n"))
}

pub(crate) struct Deployment {
    pub(crate) vendor: Sandbox,
    pub(crate) config: Config,
    /// Whether each config has facts about the vendor.
    pub(crate) knows_facts: Cell<bool>,
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let vendor = vendor().await;
        let config = Config::new(&vendor);
        Self { vendor, config, knows_facts: Cell::new(false) }
    }

    pub(crate) fn write(&self, more: &str) {
        let facts = if self.knows_facts.get() { facts(Timestamp::now()) } else { String::new() };
        self.config.write(&format!("{ENFORCE}{facts}{more}\n"));
    }

    /// As evidence and the ledger name the vendor.
    pub(crate) fn hosts(&self) -> String {
        let url = self.vendor.base_url();
        let host = url.trim_start_matches("http://").split('/').next().unwrap();
        format!("legacy={host} new={host}")
    }

    fn settings(&self) -> Settings {
        let identity = Identity { id: Some(ID.into()), create: false, ..Identity::default() };
        let url = format!("sqlite:{}", self.config.sqlite().display());
        Settings { identity, timeout: Duration::from_secs(20), ..Settings::new(url) }
    }

    async fn ledger(&self) -> Ledger {
        Ledger::open_beside(&self.settings()).await.unwrap()
    }

    async fn gate(&self, to: &str) -> (Option<i32>, Vec<(String, bool)>) {
        let ran = run_with(&self.config.path(), &["gate", "--to", to, "--format", "json"]).await;
        let found = ran.json();
        let conditions =
            found["conditions"].as_array().unwrap().iter().map(|condition| {
                (condition["condition"].as_str().unwrap().to_owned(), condition["met"] == true)
            });
        assert_eq!(found["met"], json!(ran.code == Some(0)), "{ran:?}");
        (ran.code, conditions.collect())
    }

    /// The conditions that are missing.
    pub(crate) async fn missing(&self, to: &str) -> Vec<String> {
        let (_, conditions) = self.gate(to).await;
        conditions.into_iter().filter(|(_, met)| !met).map(|(name, _)| name).collect()
    }

    /// Runs a statement past the program.
    pub(crate) async fn tamper(&self, sql: &str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.config.sqlite());
        let mut connection = options.connect().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The ledger is old enough.
    pub(crate) async fn age_ledger(&self) {
        self.tamper("UPDATE conversion_migrations SET installed_on = '2020-01-01 00:00:00'").await;
    }

    async fn record(&self, kind: EvidenceKind, numbers: Value, window: (Timestamp, Timestamp)) {
        let evidence = GateEvidence {
            kind,
            verdict: "go".into(),
            window: Some(window),
            numbers: numbers.to_string(),
            input_sha256: "0".repeat(64),
            output_sha256: "0".repeat(64),
            config: "0123456789ab".into(),
            operator: "test".into(),
        };
        self.ledger().await.record_evidence("default", evidence).await.unwrap();
    }

    /// Everything as it should be, but for how many lists had a record on both sides.
    pub(crate) async fn record_report(&self, pairs_of_lists: u64) {
        let route = |pairs: u64| {
            let always = [
                "records",
                "heartbeats",
                "missing_lines",
                "lost_lines",
                "cut_off",
                "newer_lines",
                "pairs_end",
                "hosts",
            ];
            let mut checks: serde_json::Map<_, _> = always
                .map(|name| (name.to_owned(), json!({ "found": 1, "passed": true })))
                .into_iter()
                .collect();
            for name in [
                "freshness_max",
                "money_max",
                "contract_share_max",
                "cosmetic_share_max",
                "transient_share_max",
                "progress_share_max",
                "error_disagreement_share_max",
                "failed_share_max",
                "not_comparable_share_max",
                "dropped_share_max",
                "idle_share_max",
            ] {
                checks.insert(name.to_owned(), json!({ "found": 0.0, "passed": true }));
            }
            checks.insert("judged_min".into(), json!({ "found": 2000.0, "passed": true }));
            checks.insert("counterparts_min".into(), json!({ "found": pairs as f64, "passed": true }));
            json!({ "verdict": "go", "checks": checks })
        };
        let routes =
            json!({ "routes": { "create": route(2000), "get": route(2000), "list": route(pairs_of_lists) } });
        let now = Timestamp::now();
        self.record(EvidenceKind::Report, routes, (now, now)).await;
    }

    /// A create went to new at that time.
    async fn create_on_new(&self, at: Timestamp) {
        let sql = format!(
            "INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, generation, begun, closed, created_at_us, updated_at_us) \
             VALUES ('default', 'first', 'new', 'fenced', '{}', 1, 1, 0, {at}, {at})",
            "a7".repeat(32),
            at = at.as_microsecond()
        );
        self.tamper(&sql).await;
    }

    async fn record_walk_that_found(&self, name: &str, found: Value) {
        let now = Timestamp::now();
        let is_clean = found.as_object().unwrap().values().all(|count| count == 0);
        let progress = json!({
            "position": 0, "claims_position": 0, "rows": [0, 0], "pages": [0, 0], "claims": 0, "adopted": 0, "resolved": 0,
            "without_reference": 0, "not_conversions": 0, "hashes": ["", ""], "found": found,
        });
        let row = WalkRow {
            walk: name.into(),
            sides: "both".into(),
            begin: Timestamp::UNIX_EPOCH,
            end: now,
            state: WalkState::Running,
            program: "test".into(),
            format: 1,
            progress: progress.to_string(),
            started_at: now,
            updated_at: now,
            judged: None,
        };
        let ledger = self.ledger().await;
        ledger.begin_walk("default", WalkKind::Reconcile, row).await.unwrap();
        let state = if is_clean { WalkState::Clean } else { WalkState::Findings };
        let step = WalkStep { state, progress: progress.to_string(), findings: Vec::new(), walked: None };
        assert!(ledger.save_walk(name, step).await.unwrap());
    }
}

/// What `gate` says of the facts.
async fn facts_line(deployment: &Deployment) -> String {
    let ran = run_with(&deployment.config.path(), &["gate", "--to", "ready"]).await;
    ran.out.lines().find(|line| line.contains("reads on both, facts: ")).unwrap().to_owned()
}

/// Waits until the page says what that stage needs. It leaves the panel out while the ledger does not answer in time.
async fn shows_next(shim: &Shim, stage: &str) {
    let stage = format!("<strong>{stage}</strong>");
    soon(async {
        loop {
            let page = reqwest::get(shim.admin("/")).await.unwrap().text().await.unwrap();
            if page.contains("What the next stage needs") && page.contains(&stage) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Waits until a reload is refused for each of these.
async fn refused(shim: &Shim, seen: usize, expected: &[&str]) {
    soon(async {
        loop {
            let log = shim.log();
            let refused =
                log.iter().skip(seen).filter(|line| line["message"] == "config refused, nothing changed");
            let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
            let problems: Vec<_> =
                refused.map(|line| format!("{}: {}", text(line, "key"), text(line, "problem"))).collect();
            if expected.iter().all(|part| problems.iter().any(|problem| problem.contains(part))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn stage(shim: &Shim, expected: &str) {
    soon(async {
        while status(shim).await["stage"] != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

pub(crate) async fn status(shim: &Shim) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(shim.admin("/status")).send().await.unwrap().json().await.unwrap()
}

/// Waits until the furthest modes are on record: a moment after they are in force.
async fn until_recorded(deployment: &Deployment, to: &str) {
    soon(async {
        while !deployment.gate(to).await.1.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Waits until the replica has said that it reads both, and has done so for a second.
async fn prepared(deployment: &Deployment) {
    let prepared = async {
        while deployment.missing("canary").await.contains(&"replicas".into()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), prepared).await.unwrap();
}

/// It goes as far as `live`.
async fn a_canary_of_all_profiles_is_gated(deployment: &Deployment, shim: &Shim, canary: &str) {
    let seen = shim.log().len();
    deployment.write(&format!("{canary}canary.percent = 100\n"));
    refused(shim, seen, &["the step \"all creates on new\" lacks reconcile"]).await;
    deployment.write(canary);
}

async fn the_window_of_a_reconcile_is_judged(deployment: &Deployment) {
    let (now, day) = (Timestamp::now(), SignedDuration::from_hours(24));
    let seen = json!({ "rows": [1, 1], "claims": 1 });
    deployment.record(EvidenceKind::Reconcile, seen.clone(), (now - day * 30, now - day * 29)).await;
    assert!(deployment.missing("sealed").await.contains(&"reconcile".into()), "the window ends too early");
    deployment.record(EvidenceKind::Reconcile, seen, (now - day * 30, now)).await;
    assert!(!deployment.missing("sealed").await.contains(&"reconcile".into()));
}

async fn each_fact_is_asked_for(deployment: &Deployment) {
    for left_out in FACTS {
        deployment.write(&format!("stage = \"observe\"\n{}", facts(Timestamp::now()).replace(left_out, "")));
        assert_eq!(deployment.missing("ready").await, ["facts"], "{left_out}");
        let name = left_out.split(['.', ' ']).nth(1).unwrap();
        let line = facts_line(deployment).await;
        assert!(line.contains(&format!("{name} not known")), "{line}");
        assert_eq!(line.matches("not known").count(), 1, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_on_both_need_facts_and_an_old_enough_ledger() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"observe\"");
    let shim = Shim::start(&deployment.config).await;
    assert_eq!(deployment.gate("shadow").await, (Some(0), vec![]), "nothing new is used");
    let text: Ran = run_with(&deployment.config.path(), &["gate", "--to", "ready"]).await;
    assert_eq!(text.code, Some(6));
    assert!(text.out.contains("MISSING  reads on both, facts: "), "{text:?}");
    assert!(text.out.contains("met      reads on both, ledger_id: "), "{text:?}");
    // A stage, and a `[routes]` entry by hand.
    for (next, key) in
        [("stage = \"ready\"", "stage"), ("stage = \"observe\"\nroutes.get = \"both\"", "routes.get")]
    {
        let seen = shim.log().len();
        deployment.write(next);
        let lacks = format!("{key}: the step \"reads on both\" lacks ");
        refused(&shim, seen, &[&format!("{lacks}facts: "), &format!("{lacks}ledger_age: ")]).await;
        assert_eq!(status(&shim).await["modes"]["get"], "legacy", "{next}");
    }
    // A start is gated as well.
    drop(shim);
    deployment.write("stage = \"ready\"");
    let ran = run_with(&deployment.config.path(), &["serve"]).await;
    assert!(ran.code == Some(3) && ran.err.contains("lacks facts: "), "{ran:?}");
    deployment.write("stage = \"observe\"");
    let shim = Shim::start(&deployment.config).await;
    deployment.age_ledger().await;
    let ahead = Timestamp::now() + SignedDuration::from_hours(1);
    deployment.write(&format!("stage = \"observe\"\n{}", facts(ahead)));
    assert_eq!(deployment.missing("ready").await, ["facts"], "not found out yet");
    let old = Timestamp::now() - SignedDuration::from_hours(31 * 24);
    deployment.write(&format!("stage = \"observe\"\n{}", facts(old)));
    assert_eq!(deployment.missing("ready").await, ["facts"], "too old");
    let line = facts_line(&deployment).await;
    assert!(line.contains("query_plus space (too old: 31d)") && line.contains("at most 30d old"), "{line}");
    each_fact_is_asked_for(&deployment).await;
    deployment.write(&format!("stage = \"ready\"\n{}", facts(Timestamp::now())));
    assert_eq!(deployment.gate("ready").await.0, Some(0));
    stage(&shim, "ready").await;
    until_recorded(&deployment, "ready").await;
    // Going back is not gated, nor is what is on record, nor a restart, whatever became of the facts.
    deployment.write("stage = \"observe\"");
    stage(&shim, "observe").await;
    deployment.write("stage = \"ready\"");
    stage(&shim, "ready").await;
    drop(shim);
    let shim = Shim::start(&deployment.config).await;
    stage(&shim, "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_on_new_need_evidence_for_each_step() {
    let deployment = Deployment::new().await;
    let facts = facts(Timestamp::now());
    deployment.write(&format!("stage = \"observe\"\n{facts}"));
    deployment.age_ledger().await;
    deployment.write(&format!("stage = \"ready\"\n{facts}"));
    let shim = Shim::start(&deployment.config).await;
    until_recorded(&deployment, "ready").await;
    assert_eq!(deployment.missing("hold").await, [""; 0], "hold sends nothing");
    let missing = deployment.missing("canary").await;
    assert!(missing.contains(&"report".into()) && missing.contains(&"open_new".into()), "{missing:?}");

    deployment.record_report(3).await;
    assert!(deployment.missing("canary").await.contains(&"report".into()), "each route has to be go");
    deployment.record_report(2000).await;
    deployment.tamper("UPDATE ledger_evidence SET at_us = at_us - 700000000000").await;
    assert!(deployment.missing("canary").await.contains(&"report".into()), "eight days old");
    deployment.record_report(2000).await;
    // `Config::write` opens the ledger before a stage that creates on new.
    let seen = shim.log().len();
    deployment.write(&format!("stage = \"live\"\n{facts}"));
    refused(&shim, seen, &["the step \"all creates on new\" lacks reconcile"]).await;
    prepared(&deployment).await;
    let canary = format!("stage = \"canary\"\n{facts}");
    deployment.write(&canary);
    stage(&shim, "canary").await;
    until_recorded(&deployment, "canary").await;

    assert_eq!(deployment.missing("live").await, ["reconcile"]);
    a_canary_of_all_profiles_is_gated(&deployment, &shim, &canary).await;
    let hour = SignedDuration::from_hours(1);
    let first = Timestamp::now() - hour;
    deployment.create_on_new(first).await;
    let late = (first + SignedDuration::from_mins(1), Timestamp::now());
    // Rows of both sides, as a walk counts them.
    let seen = json!({ "rows": [1, 1], "claims": 1 });
    deployment.record(EvidenceKind::Reconcile, seen.clone(), late).await;
    assert_eq!(deployment.missing("live").await, ["reconcile", "unresolved"], "the window begins too late");
    deployment.record(EvidenceKind::Reconcile, seen.clone(), (first - hour, Timestamp::now())).await;
    deployment.tamper("UPDATE ref_claims SET record_id = 'known'").await;
    let tripped = run_with(&deployment.config.path(), &["trip", "now", "--why", "a test"]).await;
    assert_eq!((tripped.code, deployment.missing("live").await), (Some(0), vec!["trip".to_owned()]));
    run_with(&deployment.config.path(), &["trip", "reset", "--why", "a test"]).await;
    deployment.record_walk_that_found("lost", json!({ "lost": 1 })).await;
    assert_eq!(deployment.missing("live").await, ["reconcile"], "money was found since");
    deployment.record(EvidenceKind::Reconcile, seen.clone(), (first - hour, Timestamp::now())).await;
    deployment.write(&format!("stage = \"live\"\n{facts}"));
    stage(&shim, "live").await;
    until_recorded(&deployment, "live").await;
    let missing = deployment.missing("sealed").await;
    assert_eq!(missing, ["reconcile", "all_on_new", "legacy_open", "usage"], "a week is not over");
    the_window_of_a_reconcile_is_judged(&deployment).await;
    shows_next(&shim, "sealed").await;
}

/// The on-call's first response must not wait for evidence. The reads that come with it do not count as a step.
#[tokio::test(flavor = "multi_thread")]
async fn creates_can_be_stopped_at_any_time() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"shadow\"");
    let shim = Shim::start(&deployment.config).await;
    assert_eq!(deployment.gate("hold").await, (Some(0), vec![]));
    deployment.write("stage = \"hold\"");
    stage(&shim, "hold").await;
    let seen = shim.log().len();
    deployment.write("stage = \"ready\"");
    refused(&shim, seen, &["the step \"reads on both\" lacks facts: "]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_do_not_report_or_do_not_read_both_keep_creates_off_new() {
    let deployment = Deployment::new().await;
    let facts = facts(Timestamp::now());
    deployment.write(&format!("stage = \"observe\"\n{facts}"));
    let shim = Shim::start(&deployment.config).await;
    assert!(deployment.missing("canary").await.contains(&"replicas".into()), "it reads legacy alone");
    deployment.age_ledger().await;
    deployment.write(&format!("stage = \"ready\"\n{facts}"));
    stage(&shim, "ready").await;
    prepared(&deployment).await;
    deployment.tamper("UPDATE ledger_processes SET seen_at_us = seen_at_us - 60000000").await;
    drop(shim);
    assert!(deployment.missing("canary").await.contains(&"replicas".into()), "none reports");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_is_loud_and_ends() {
    let deployment = Deployment::new().await;
    let over = |to: &str, until: Timestamp| {
        format!(
            "stage = \"ready\"\n[gate]\nenforce = true\noverride = {{ to = \"{to}\", who = \"alice\", why = \"INC-7\", until = \"{until}\" }}"
        )
    };
    let hour = SignedDuration::from_hours(1);
    let write = |more: &str| deployment.config.write(more);
    write("gate.enforce = true\nstage = \"observe\"\n");
    let shim = Shim::start(&deployment.config).await;
    for not_enough in [over("shadow", Timestamp::now() + hour), over("ready", Timestamp::now() - hour)] {
        let seen = shim.log().len();
        write(&not_enough);
        refused(&shim, seen, &["lacks facts"]).await;
    }
    write(&over("canary", Timestamp::now() + hour));
    stage(&shim, "ready").await;
    let line = shim.line_that("an override", |line| line["message"] == "the gate is overridden").await;
    assert_eq!((&line["who"], &line["why"]), (&json!("alice"), &json!("INC-7")));
    until_recorded(&deployment, "ready").await;
    let audit = run_with(&deployment.config.path(), &["audit"]).await.out;
    assert!(audit.lines().any(|line| line.contains("  override  by config ") && line.contains("by alice to canary until ")), "{audit}");
    let advisories = status(&shim).await["advisories"].clone();
    let kinds: Vec<_> =
        advisories.as_array().unwrap().iter().map(|advisory| advisory["kind"].clone()).collect();
    assert!(
        kinds.contains(&json!("gate_overridden")) && !kinds.contains(&json!("gates_off")),
        "{advisories}"
    );
    drop(shim);
    // Without its reason it is no override.
    write("stage = \"ready\"\ngate.override.to = \"ready\"\n");
    let ran = run_with(&deployment.config.path(), &["check"]).await;
    assert_eq!(ran.code, Some(3));
    for key in ["gate.override.who", "gate.override.why", "gate.override.until"] {
        assert!(ran.err.contains(key), "{key}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_are_enforced_unless_the_config_says_otherwise() {
    let deployment = Deployment::new().await;
    deployment.config.write("gate.retry_window = \"7d\"\nstage = \"ready\"\n");
    let ran = run_with(&deployment.config.path(), &["serve"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    for condition in ["facts", "ledger_age"] {
        assert!(ran.err.contains(&format!("the step \"reads on both\" lacks {condition}: ")), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_an_advisory_stands() {
    let deployment = Deployment::new().await;
    deployment.config.write("stage = \"ready\"\n");
    let shim = Shim::start(&deployment.config).await;
    let advisories = status(&shim).await["advisories"].clone();
    assert!(
        advisories.as_array().unwrap().iter().any(|advisory| advisory["kind"] == "gates_off"),
        "{advisories}"
    );
    let metrics = reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("conversion_shim_advisory_active{advisory=\"gates_off\"} 1"), "{metrics}");
}

/// Over all replicas and restarts: the ledger keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_needs_the_old_api_keeps_it_from_being_sealed() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"observe\"\nusage.client_header = \"x-client\"");
    let shim = Shim::start(&deployment.config).await;
    let list = |client: &'static str, query: &str| {
        let url = shim.public(&format!("{}{query}", crate::support::test_bed::LEGACY));
        let client = reqwest::Client::new().get(url).header("x-client", client);
        client.bearer_auth(conversion_shim::sandbox::TOKEN).send()
    };
    for (client, query) in [("treasury", "?updated_at.begin=2026-01-01T00:00:00Z"), ("plain", "?limit=1")] {
        assert_eq!(list(client, query).await.unwrap().status(), 200);
    }
    let usage = async || {
        let ran = run_with(&deployment.config.path(), &["gate", "--to", "sealed"]).await;
        ran.out.lines().find(|line| line.contains("sealed, usage: ")).unwrap().to_owned()
    };
    let kept = async {
        while !usage().await.contains("header treasury (change_filter)") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), kept).await.unwrap();
    assert!(usage().await.starts_with("MISSING") && !usage().await.contains("plain"), "{}", usage().await);
    // Another use later forgets none of it.
    let url = shim.public(&format!("{}/no-such-id", crate::support::test_bed::LEGACY));
    let cancel = reqwest::Client::new().delete(url).header("x-client", "treasury");
    cancel.bearer_auth(conversion_shim::sandbox::TOKEN).send().await.unwrap();
    let kept = async {
        while !usage().await.contains("header treasury (cancel, change_filter)") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), kept).await.unwrap();
    drop(shim);
    what_it_used_outlives_the_process(&deployment).await;
    // Kept for eight days, and unused for as long.
    for column in ["last_seen_us", "blocked_us"] {
        deployment
            .tamper(&format!("UPDATE ledger_usage SET {column} = {column} - 691200000000 WHERE {column} > 0"))
            .await;
    }
    assert!(
        usage().await.starts_with("MISSING") && usage().await.contains("0 clients used"),
        "not kept for long enough"
    );
    deployment
        .tamper("UPDATE ledger_settings SET at_us = at_us - 691200000000 WHERE name = 'usage_since'")
        .await;
    assert!(usage().await.starts_with("met"), "{}", usage().await);
}

/// What was counted since the last write to the ledger is not lost with an orderly end.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_used_last_is_kept_by_an_orderly_end() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"observe\"\nusage.client_header = \"x-client\"");
    let mut shim = Shim::start(&deployment.config).await;
    let url =
        shim.public(&format!("{}?updated_at.begin=2026-01-01T00:00:00Z", crate::support::test_bed::LEGACY));
    let client = reqwest::Client::new().get(url).header("x-client", "treasury");
    client.bearer_auth(conversion_shim::sandbox::TOKEN).send().await.unwrap();
    shim.signal("-TERM");
    assert_eq!(shim.ended().await, Some(0));
    let ran = run_with(&deployment.config.path(), &["gate", "--to", "sealed"]).await;
    assert!(ran.out.contains("header treasury (change_filter)"), "{ran:?}");
}

/// `usage` of a new process, which saw no client itself.
async fn what_it_used_outlives_the_process(deployment: &Deployment) {
    let shim = Shim::start(&deployment.config).await;
    let admin = shim.admin_address().to_string();
    let usage = async |more: &[&str]| run(&[&["usage", "--admin", &admin], more].concat()).await;
    let all = usage(&[]).await;
    assert!(
        all.row("ON RECORD").starts_with("in the ledger, over all replicas and restarts since "),
        "{all:?}"
    );
    let line = |name: &str| all.out.lines().find(|line| line.contains(name)).unwrap().to_owned();
    let treasury = line("header treasury, last ");
    assert!(
        treasury.contains("; BLOCKING: cancel, last ") && treasury.contains("; change_filter, last "),
        "{all:?}"
    );
    assert!(!line("header plain, last ").contains("BLOCKING"), "{all:?}");
    let json = usage(&["--json"]).await.json();
    assert_eq!(json["on_record"]["clients"].as_array().unwrap().len(), 2, "{json}");
    let one = usage(&["--client", "treasury"]).await;
    assert_eq!(one.code, Some(5), "this process has not seen it: {one:?}");
    assert!(one.row("ON RECORD").starts_with("header treasury, last "), "{one:?}");
}
