//! Names in the vendor's answers that this version does not know: each is named once, no value gets out, and one that may say something about
//! money keeps the next step back until somebody has looked at it.

use std::time::Duration;

use conversion_shim::sandbox::{
    EmptyList, Fault, FaultKind, Operation, RefusalBody, Sandbox, TOKEN, Variants,
};
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::process::{Config, Shim, run_with};
use crate::support::soon;
use crate::support::test_bed::{LEGACY, conversion, new_record, old_record, vendor};

const CREATED: &str = "2026-03-01T10:00:00Z";
/// What no output may hold: a client's key, and values.
const SECRETS: [&str; 4] = ["zz-client-key", "zz-client-value", "zz-vendor-value", "zz-nested-value"];

struct World {
    vendor: Sandbox,
    config: Config,
    shim: Shim,
}

impl World {
    async fn start(keys: &str) -> Self {
        Self::before(vendor().await, keys).await
    }

    async fn before(vendor: Sandbox, keys: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Config::new(&vendor);
        config.write(keys);
        let shim = Shim::start(&config).await;
        Self { vendor, config, shim }
    }

    /// Members of every orchestration that is created from now on.
    fn add_members(&self, members: Value) {
        let Value::Object(record_members) = members else { panic!("{members}") };
        self.vendor.inspector().set_variants(Variants { record_members, ..Variants::default() });
    }

    async fn create(&self, ref_id: &str) -> (StatusCode, Value) {
        let mut body = conversion(ref_id);
        body["metadata"] = json!({ SECRETS[0]: SECRETS[1] });
        let client = reqwest::Client::new().post(self.shim.public(LEGACY)).bearer_auth(TOKEN);
        let answer = client.body(body.to_string()).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn read(&self, more: &str) -> StatusCode {
        let url = self.shim.public(&format!("{LEGACY}{more}"));
        reqwest::Client::new().get(url).bearer_auth(TOKEN).send().await.unwrap().status()
    }

    async fn admin(&self, path: &str) -> String {
        reqwest::get(self.shim.admin(path)).await.unwrap().text().await.unwrap()
    }

    /// Path and type of every name that was logged, sorted.
    fn logged(&self) -> Vec<String> {
        let log = self.shim.log();
        let lines = log.iter().filter(|line| line["target"] == "drift" && !line["path"].is_null());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut named: Vec<_> =
            lines.map(|line| format!("{} {}", text(&line["path"]), text(&line["type"]))).collect();
        named.sort();
        named
    }

    async fn names(&self, path: &str) {
        self.shim
            .line_that("an unknown name", |line| line["target"] == "drift" && line["path"] == path)
            .await;
    }

    /// The line of `gate` about unknown names.
    async fn gate(&self, to: &str) -> String {
        let ran = run_with(&self.config.path(), &["gate", "--to", to]).await;
        ran.out.lines().find(|line| line.contains(", drift: ")).unwrap().to_owned()
    }

    /// Waits until `gate` says so: names are put on record every ten seconds.
    async fn gate_until(&self, to: &str, is_so: impl Fn(&str) -> bool) -> String {
        let said = async {
            loop {
                let line = self.gate(to).await;
                if is_so(&line) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), said).await.unwrap()
    }

    async fn stage(&self, expected: &str) {
        soon(async {
            while serde_json::from_str::<Value>(&self.admin("/status").await).unwrap()["stage"] != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

const LIVE: &str = "stage = \"live\"";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_is_logged_once_and_keeps_the_next_step_back_until_it_is_known() {
    let world = World::start(LIVE).await;
    assert!(world.gate("sealed").await.starts_with("met "), "nothing was seen yet");
    world.add_members(json!({
        "settlement_window": "zz-vendor-value", "status": "ON_HOLD", "customer_id": "known",
        "source": { "label": { "any": "zz-nested-value" }, "profile": { "tier": 3 } },
    }));
    let (status, record) = world.create("first").await;
    assert_eq!((status, &record["status"]), (StatusCode::OK, &json!("CREATED")));
    let expected = [
        "new.record.settlement_window string",
        "new.record.source.label object",
        "new.record.source.profile.tier number",
        "new.status.ON_HOLD string",
    ];
    world.names("new.status.ON_HOLD").await;
    assert_eq!(world.logged(), expected);
    // Whatever reads them again: they are not new any more.
    world.create("first").await;
    world.create("second").await;
    assert_eq!(world.read(&format!("/{}", record["id"].as_str().unwrap())).await, StatusCode::OK);
    assert_eq!(world.read("?limit=5").await, StatusCode::OK);
    assert_eq!(world.logged(), expected);

    let metrics = world.admin("/metrics").await;
    for line in
        ["conversion_shim_drift_total{kind=\"member\"} 3", "conversion_shim_drift_total{kind=\"status\"} 1"]
    {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let status: Value = serde_json::from_str(&world.admin("/status").await).unwrap();
    assert_eq!(status["drift"]["names"].as_array().unwrap().len(), expected.len(), "{status}");
    let page = world.admin("/").await;
    assert!(page.contains("new.record.source.profile.tier") && page.contains("to look at"), "{page}");

    let all_named = |line: &str| expected.iter().all(|name| line.contains(name.split(' ').next().unwrap()));
    let line = world.gate_until("sealed", all_named).await;
    assert!(line.starts_with("MISSING") && line.contains("4 names"), "{line}");
    for output in [metrics, status.to_string(), page, line, format!("{:?}", world.shim.log())] {
        assert!(SECRETS.iter().all(|secret| !output.contains(secret)), "{output}");
    }

    let paths = expected.map(|name| name.split(' ').next().unwrap());
    let three = paths[..3].iter().map(|path| known(path)).collect::<String>();
    world.config.write(&format!("{LIVE}\n{three}"));
    let line = world.gate("sealed").await;
    assert!(line.starts_with("MISSING") && line.contains("1 name ") && line.contains(paths[3]), "{line}");
    world.config.write(&format!("{LIVE}\n{three}{}", known(paths[3])));
    assert!(world.gate("sealed").await.starts_with("met "), "each of them is known");
    // Going back asks for none of it.
    world.config.write("stage = \"hold\"\ngate.enforce = true");
    world.stage("hold").await;
    world.config.write(&format!("{LIVE}\ngate.enforce = true"));
    world.stage("live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_lists_refusals_and_content_types_are_looked_at_as_well() {
    let world = World::start("stage = \"ready\"").await;
    let inspector = world.vendor.inspector();
    let (mut old, mut new) = (old_record("old", CREATED), new_record("new", CREATED));
    old["fee"] = json!(null);
    new["destination"]["profile"]["legs"] = json!([]);
    inspector.seed_conversion(old);
    inspector.seed_orchestration(new);
    assert_eq!(world.read("?limit=5").await, StatusCode::OK);
    world.names("new.record.destination.profile.legs").await;
    assert_eq!(world.logged(), ["legacy.record.fee null", "new.record.destination.profile.legs array"]);

    let members = Map::from_iter([("shard".to_owned(), json!(false))]);
    let cut = FaultKind::WithoutRows { members };
    let cut = world.vendor.faults().arm(Fault::new(cut).on(Side::New, Operation::List));
    world.read("?limit=5").await;
    world.names("new.list.shard").await;
    world.vendor.faults().remove(&cut);

    let refusal = FaultKind::Status {
        code: StatusCode::FORBIDDEN,
        retry_after: None,
        body: RefusalBody::UnknownType,
        applied: false,
    };
    let refusal = world.vendor.faults().arm(Fault::new(refusal).on(Side::New, Operation::Get));
    world.read("/00000000-0000-4000-8000-000000000000").await;
    world.names("new.problem_type.velocity-limit").await;
    world.names("new.problem.trace").await;
    world.vendor.faults().remove(&refusal);

    inspector.set_variants(Variants { empty_list: EmptyList::Html, ..Variants::default() });
    world.read("?ref_id=nobody").await;
    world.names("new.content_type.text/html").await;
    // Only records, statuses and lists may say something about money.
    let status: Value = serde_json::from_str(&world.admin("/status").await).unwrap();
    let names = status["drift"]["names"].as_array().unwrap();
    let money: Vec<_> = names.iter().filter(|name| name["money"] == true).map(|name| &name["path"]).collect();
    assert_eq!(
        money,
        ["legacy.record.fee", "new.list.shard", "new.record.destination.profile.legs"],
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_in_a_conflict_is_looked_at_like_any_other() {
    for (stage, side, known, status) in [
        ("ready", Side::Legacy, "CREATED", "legacy.status.ON_HOLD string"),
        ("live", Side::New, "PROCESSING", "new.status.ON_HOLD string"),
    ] {
        let world = World::start(&format!("stage = \"{stage}\"")).await;
        let inspector = world.vendor.inspector();
        // Another client's, so that nothing but the conflict shows it.
        let seed = |ref_id: &str, status: &str, name: Option<&str>| {
            let mut record =
                if side == Side::Legacy { old_record(ref_id, CREATED) } else { new_record(ref_id, CREATED) };
            record["status"] = json!(status);
            name.into_iter().for_each(|name| record[name] = json!("zz-vendor-value"));
            if side == Side::Legacy {
                inspector.seed_conversion(record)
            } else {
                inspector.seed_orchestration(record)
            };
        };
        seed("plain", known, None);
        seed("taken", "ON_HOLD", Some("settlement_window"));
        assert_eq!(world.create("plain").await.0, StatusCode::CONFLICT);
        assert_eq!(world.create("taken").await.0, StatusCode::CONFLICT);
        let member = format!("{side}.record.settlement_window");
        world.names(&format!("{side}.status.ON_HOLD")).await;
        assert_eq!(world.logged(), [format!("{member} string"), status.to_owned()], "{stage}");
        let log = world.shim.log();
        assert!(!log.iter().any(|line| line.to_string().contains(SECRETS[2])), "no value gets out");
        let lists = inspector.arrived(side, Operation::List);
        assert_eq!(lists, 0, "{stage}: only the conflict showed it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_answers_are_looked_at_whoever_asked() {
    let own = "auth.lookup.client_id = \"a\"\nauth.lookup.client_secret = \"secret\"";
    let add = |vendor: &Sandbox, name: &str| {
        let token_members = Map::from_iter([(name.to_owned(), json!("zz-vendor-value"))]);
        vendor.inspector().set_variants(Variants { token_members, ..Variants::default() });
    };
    let vendor = vendor().await;
    // Before the start, which fetches a token to compare the newest page of new.
    add(&vendor, "tenant_hint");
    let keys = format!("stage = \"live\"\nauth.token_path = \"/oauth2/token\"\n{own}");
    let world = World::before(vendor, &keys).await;
    world.names("oauth.token.tenant_hint").await;
    // A client's own request, whose scopes are rewritten.
    add(&world.vendor, "session_state");
    let form = "grant_type=client_credentials&client_id=c&client_secret=s&scope=conversion:read_conversion_stablecoin";
    let request = reqwest::Client::new().post(world.shim.public("/oauth2/token"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["session_state"], "zz-vendor-value", "it is passed on: {answer}");
    world.names("oauth.token.session_state").await;
    assert_eq!(world.logged(), ["oauth.token.session_state string", "oauth.token.tenant_hint string"]);
    let log = world.shim.log();
    assert!(!log.iter().any(|line| line.to_string().contains(SECRETS[2])), "no value gets out");
    let status: Value = serde_json::from_str(&world.admin("/status").await).unwrap();
    let names = status["drift"]["names"].as_array().unwrap();
    assert!(names.iter().all(|name| name["money"] == false), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_end_stay_bounded_and_odd_ones_are_not_shown() {
    let world = World::start(LIVE).await;
    let odd = format!("zz-nested-value {}", "x".repeat(60));
    // One entry acknowledges one name, also of those that are not shown.
    let shown = ["a\nb", &odd].map(unshown);
    world.add_members(json!({ odd: 1, "a\nb": 1 }));
    world.create("odd").await;
    world.names(&shown[1]).await;
    let mut all = shown.clone().map(|path| format!("{path} number"));
    all.sort();
    assert_eq!(world.logged(), all);
    world.gate_until("sealed", |line| line.contains("2 names")).await;
    world.config.write(&format!("{LIVE}\n{}", known(&shown[0])));
    let line = world.gate("sealed").await;
    assert!(line.starts_with("MISSING") && line.contains("1 name ") && line.contains(&shown[1]), "{line}");
    for batch in 0..5 {
        let names = (0..200).map(|number| (format!("name_{batch}_{number}"), json!(number)));
        world.add_members(Value::Object(names.collect()));
        assert_eq!(world.create(&format!("batch-{batch}")).await.0, StatusCode::OK);
    }
    let full = |line: &Value| line["message"].as_str().unwrap().contains("list of unknown names is full");
    world.shim.line_that("the end of the list", |line| line["target"] == "drift" && full(line)).await;
    assert_eq!(world.logged().len(), 200);
    let status: Value = serde_json::from_str(&world.admin("/status").await).unwrap();
    assert_eq!(
        (status["drift"]["names"].as_array().unwrap().len(), &status["drift"]["full"]),
        (200, &json!(true))
    );
    // Those that are not on the list cannot be known.
    let line = world.gate_until("sealed", |line| line.contains("the list of names is full")).await;
    assert!(line.starts_with("MISSING"), "{line}");
    the_list_is_emptied(&world).await;
}

/// What is acknowledged makes room for the rest.
async fn the_list_is_emptied(world: &World) {
    let logged = world.logged();
    let paths = logged.iter().map(|name| known(name.rsplit_once(' ').unwrap().0));
    world.config.write(&format!("{LIVE}\n{}", paths.collect::<String>()));
    world.gate_until("sealed", |line| line.starts_with("met ")).await;
    // The last answer again has names that were left out.
    world.create("again").await;
    let line = world.gate_until("sealed", |line| line.contains("new.record.name_4_")).await;
    assert!(line.starts_with("MISSING"), "{line}");
}

fn known(path: &str) -> String {
    format!("[[drift.known]]\npath = \"{path}\"\nreason = \"CHG-1\"\nowner = \"ops\"\n")
}

/// The path of a member that is not shown.
fn unshown(name: &str) -> String {
    let digest = const_hex::encode(Sha256::digest(name));
    format!("new.record.(not shown {})", &digest[..6])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_lists_what_shadow_read() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("shadow.jsonl");
    let keys = format!("stage = \"shadow\"\nshadow.log = \"{}\"\nbudget.shadow_share = 0.9", log.display());
    let mut world = World::start(&keys).await;
    let (mut old, mut new) = (old_record("same", CREATED), new_record("same", CREATED));
    old["fee"] = json!("zz-vendor-value");
    new["window"] = json!("zz-vendor-value");
    world.vendor.inspector().seed_conversion(old);
    world.vendor.inspector().seed_orchestration(new);
    assert_eq!(world.read("?limit=5").await, StatusCode::OK);
    world.names("legacy.record.fee").await;
    world.names("new.record.window").await;
    world.shim.signal("-TERM");
    assert_eq!(world.shim.ended().await, Some(0));
    let file = log.to_str().unwrap();
    let json = run_with(&world.config.path(), &["report", "--format", "json", file]).await.json();
    let paths: Vec<_> = json["drift"].as_array().unwrap().iter().map(|seen| seen["path"].clone()).collect();
    assert_eq!(paths, ["legacy.record.fee", "new.record.window"], "{json}");
    let page = directory.path().join("report.html");
    let text = run_with(&world.config.path(), &["report", "--html", page.to_str().unwrap(), file]).await.out;
    let page = std::fs::read_to_string(page).unwrap();
    for shown in [&text, &page] {
        assert!(shown.contains("Unknown names") && shown.contains("new.record.window"), "{shown}");
        assert!(!shown.contains("zz-vendor-value"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_name_needs_a_path_a_reason_and_an_owner() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    for (table, word) in [
        ("path = \"new.record.x\"\nreason = \"r\"", "owner is missing"),
        ("path = \"new.record.x\"\nreason = \" \"\nowner = \"o\"", "reason is empty"),
        ("path = \"x\"\nreason = \"r\"\nowner = \"o\"", "new.record.label"),
        ("path = \"new.record.x\"\nreason = \"r\"\nowner = \"o\"\nuntil = \"u\"", "until is not a key"),
    ] {
        config.write(&format!("stage = \"observe\"\n[[drift.known]]\n{table}\n"));
        let ran = run_with(&config.path(), &["check"]).await;
        assert!(ran.code == Some(3) && ran.err.contains(word), "{word}: {ran:?}");
    }
}
