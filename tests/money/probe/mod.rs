//! `probe`, as a process, before vendors that differ.

mod around;
mod lists;
mod pairs;
mod refused;
mod shadowed;

use std::collections::HashSet;
use std::time::Duration;

use conversion_shim::sandbox::{
    EmptyList, Fault, FaultKind, HiddenRecords, Mirror, Operation, PROFILE, ProfileFilter, RefMatch,
    RefusalBody, RepeatedRef, SECOND_PROFILE, TimeBounds, Variants,
};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use crate::identity::Deployment;
use crate::support::process::{Ran, Shim, run_with};
use crate::support::test_bed::{new_record, old_record};

const CREDENTIALS: &str = "auth.legacy.client_id = \"a\"\nauth.legacy.client_secret = \"secret\"\n\
                           auth.new.client_id = \"a\"\nauth.new.client_secret = \"secret\"";

const CONVERT: [&str; 6] = ["--profile-id", PROFILE, "--second-profile-id", SECOND_PROFILE, "--settle", "1s"];

/// A deployment with a ledger, and what its config must say.
async fn prepared() -> (Deployment, String) {
    let deployment = Deployment::new().await;
    let keys = format!("{}\n{CREDENTIALS}", deployment.open_for_new().await);
    deployment.write(&keys);
    (deployment, keys)
}

async fn probe(deployment: &Deployment, more: &[&str]) -> Ran {
    run_with(&deployment.config(), &[&["probe"], more].concat()).await
}

fn fact<'a>(found: &'a Value, name: &str) -> &'a Value {
    let facts = found["facts"].as_array().unwrap();
    facts.iter().find(|fact| fact["name"] == name).map_or(&Value::Null, |fact| &fact["value"])
}

/// How a fact was found, or why it was not.
fn how<'a>(found: &'a Value, name: &str) -> &'a str {
    let facts = found["facts"].as_array().unwrap();
    facts.iter().find(|fact| fact["name"] == name).map_or("", |fact| fact["how"].as_str().unwrap())
}

/// One choice of each variant.
type World = [usize; 9];

/// How many choices each variant has.
const CHOICES: World = [3, 2, 2, 2, 3, 3, 3, 4, 4];

/// Worlds that hold each pair of choices at least once, and at least 60 of them.
fn worlds() -> Vec<World> {
    let pairs_of = |world: &World| -> Vec<[usize; 4]> {
        let pairs = (0..world.len()).flat_map(|one| (one + 1..world.len()).map(move |other| (one, other)));
        pairs.map(|(one, other)| [one, world[one], other, world[other]]).collect()
    };
    let all: usize = CHOICES.iter().product();
    let world = |mut number: usize| {
        CHOICES.map(|choices| {
            let choice = number % choices;
            number /= choices;
            choice
        })
    };
    let (mut chosen, mut covered) = (Vec::new(), HashSet::new());
    // A stride without a common factor with the number of worlds visits each of them.
    for number in (0..all).map(|step| step * 1009 % all) {
        let pairs = pairs_of(&world(number));
        if pairs.iter().any(|pair| !covered.contains(pair)) || chosen.len() < 60 && number % 7 == 0 {
            covered.extend(pairs);
            chosen.push(world(number));
        }
    }
    let expected: usize =
        (0..9).flat_map(|one| (one + 1..9).map(move |other| CHOICES[one] * CHOICES[other])).sum();
    assert_eq!(covered.len(), expected);
    chosen
}

fn variants_of([ref_match, shared, plus, html, empty, mirror, filter, repeated, bounds]: World) -> Variants {
    Variants {
        ref_match: [RefMatch::Exact, RefMatch::Case, RefMatch::Trim][ref_match],
        shared_refs: shared == 1,
        plus_is_literal: plus == 1,
        html_not_found: html == 1,
        empty_list: [EmptyList::Items, EmptyList::Null, EmptyList::None][empty],
        mirror: [Mirror::Off, Mirror::SameId, Mirror::OtherId][mirror],
        profile_filter: [ProfileFilter::Source, ProfileFilter::Target, ProfileFilter::Either][filter],
        repeated_ref: [
            RepeatedRef::Conflict,
            RepeatedRef::WithoutExisting,
            RepeatedRef::WithoutProblem,
            RepeatedRef::Success,
        ][repeated],
        time_bounds: [
            TimeBounds::Inclusive,
            TimeBounds::Exclusive,
            TimeBounds::HalfOpen,
            TimeBounds::Milliseconds,
        ][bounds],
        ..Variants::default()
    }
}

/// The facts of a world.
fn facts_of(
    [ref_match, shared, plus, _, empty, mirror, filter, repeated, bounds]: World,
) -> Vec<(&'static str, Value)> {
    let forms = [json!(["{\"items\":[]}"]), json!(["{\"items\":null}"]), json!(["{}"])];
    vec![
        ("ref_match", json!(["exact", "case", "trimmed"][ref_match])),
        ("ref_space", json!(["separate", "shared"][shared])),
        ("query_plus", json!(["space", "literal"][plus])),
        ("empty_list", forms[empty].clone()),
        ("mirror", json!(["no", "same_id", "other_id"][mirror])),
        ("mirror_back", json!("no")),
        ("profile_filter", json!(["source", "target", "either"][filter])),
        ("repeat_on_new", json!(["409 with existing", "409", "409", "200"][repeated])),
        ("repeat_on_legacy", json!("409 with existing")),
        ("approvals", json!("none")),
        ("unasked_coding", json!("no")),
        ("order_legacy", json!(lists::DOCUMENTED)),
        ("order_new", json!(lists::DOCUMENTED)),
        ("time_bounds_legacy", json!(lists::BOUNDS[bounds].replace("gte", "begin").replace("lte", "end"))),
        ("time_bounds_new", json!(lists::BOUNDS[bounds])),
        ("error_form_legacy", json!("problem")),
        (
            "error_form_new",
            json!(if repeated == 2 { "status 409 without a problem document" } else { "problem" }),
        ),
    ]
}

#[tokio::test]
async fn every_fact_is_right_in_worlds_of_all_pairs_of_variants() {
    let worlds = worlds();
    assert!(worlds.len() >= 60, "{}", worlds.len());
    let (deployment, _) = prepared().await;
    // Lists that have a second page when the first world is probed.
    for second in ["01", "02", "03"] {
        let (ref_id, at) = (format!("seed-{second}"), format!("2026-11-30T10:00:{second}.123456Z"));
        deployment.vendor.inspector().seed_conversion(old_record(&ref_id, &at));
        deployment.vendor.inspector().seed_orchestration(new_record(&ref_id, &at));
    }
    for world in worlds {
        deployment.vendor.inspector().set_variants(variants_of(world));
        let ran = probe(&deployment, &[&CONVERT[..], &["--format", "json"]].concat()).await;
        assert_eq!(ran.code, Some(0), "{world:?}: {ran:?}");
        let found = ran.json();
        for (name, value) in &facts_of(world) {
            assert_eq!(fact(&found, name), value, "{name} in {world:?}: {found}");
        }
        for name in ["cursor_life_legacy", "cursor_life_new"] {
            assert!(
                fact(&found, name).as_str().unwrap().starts_with("at least"),
                "{name} in {world:?}: {found}"
            );
        }
        let problem = fact(&found, "not_found_form_new") == "problem";
        assert_eq!(problem, world[3] == 0, "{world:?}: {found}");
        assert!(found["calls"].as_u64().unwrap() <= 40, "{found}");
    }
}

#[tokio::test]
async fn what_a_vendor_shows_late_is_waited_for_and_what_is_unclear_is_no_fact() {
    let (deployment, _) = prepared().await;
    let lag = FaultKind::Lag(HiddenRecords::YoungerThan(Duration::from_millis(700)));
    let lag = deployment.vendor.faults().arm(Fault::new(lag).on(Side::New, Operation::List));
    let json = ["--profile-id", PROFILE, "--settle", "3s", "--format", "json"];
    let variants = Variants { mirror: Mirror::OtherId, ..Variants::default() };
    deployment.vendor.inspector().set_variants(variants);
    let ran = probe(&deployment, &json).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fact(&ran.json(), "mirror"), "other_id", "{ran:?}");
    deployment.vendor.faults().remove(&lag);

    deployment
        .vendor
        .inspector()
        .set_variants(Variants { empty_list: EmptyList::Html, ..Variants::default() });
    let ran = probe(&deployment, &["--profile-id", PROFILE, "--settle", "1s", "--format", "json"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for name in ["mirror", "mirror_back", "ref_match"] {
        assert_eq!(fact(&ran.json(), name), "not known", "{ran:?}");
    }
}

#[tokio::test]
async fn facts_count_for_the_hosts_that_they_were_found_on() {
    let (deployment, keys) = prepared().await;
    deployment.vendor.inspector().set_variants(Variants { ref_match: RefMatch::Case, ..Variants::default() });
    let file = deployment.path("facts.toml");
    let ran = probe(&deployment, &[&CONVERT[..], &["--out", file.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let named = format!("{keys}\nfacts.file = \"{}\"", file.display());
    let check = async |more: &str| {
        deployment.write(&format!("{named}\n{more}"));
        run_with(&deployment.config(), &["check"]).await
    };
    let used = check("").await;
    assert_eq!(used.code, Some(0), "{used:?}");
    let source = format!("file {}", file.display());
    let line = used.out.lines().find(|line| line.contains("facts.ref_match")).unwrap();
    assert!(line.contains("case") && line.contains(&source), "{line}");

    let refused = check("facts.ref_match = \"exact\"").await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains("facts.ref_match") && refused.err.contains("facts.toml"), "{refused:?}");
    assert_eq!(check("facts.ref_match = \"case\"").await.code, Some(0), "the same as the file");

    let text = std::fs::read_to_string(&file).unwrap();
    let host = deployment.vendor.base_url().split('/').nth(2).unwrap().to_owned();
    std::fs::write(&file, text.replace(&host, "api.example.com")).unwrap();
    let elsewhere = check("").await;
    assert_eq!(elsewhere.code, Some(0), "{elsewhere:?}");
    let line = elsewhere.out.lines().find(|line| line.contains("facts.ref_match")).unwrap();
    assert!(line.contains("(not known)") && !line.contains(&source), "{line}");

    for (content, word) in [
        ("", "cannot be read"),
        ("found_at = 3", "did not write"),
        (&text.replace("\n[facts]\n", "\n[facts]\nsurprise = \"x\"\n"), "facts.surprise"),
        (&text.replace("\"case\"", "\"guess\""), "guess"),
    ] {
        if content.is_empty() {
            std::fs::remove_file(&file).unwrap();
        } else {
            std::fs::write(&file, content).unwrap();
        }
        let refused = check("").await;
        assert_eq!(refused.code, Some(3), "{word}: {refused:?}");
        assert!(refused.err.contains(word), "{word}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_facts_that_changes_is_read_again() {
    let (deployment, keys) = prepared().await;
    let file = deployment.path("facts.toml");
    let ran = probe(&deployment, &[&CONVERT[..], &["--out", file.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    deployment.write(&format!(
        "listen = \"127.0.0.1:0\"\nstage = \"ready\"\n{keys}\nfacts.file = \"{}\"",
        file.display()
    ));
    let shim = Shim::serve(&["--config", deployment.config().to_str().unwrap()]).await;
    let reloaded = async |key: &str| {
        shim.line_that("a reload", |line| {
            line["message"] == "config reloaded"
                && line["keys"].as_str().is_some_and(|keys| keys.contains(key))
        })
        .await
    };
    // Not as the config file is replaced: in place.
    std::fs::write(&file, text.replace("ref_match = \"exact\"", "ref_match = \"case\"")).unwrap();
    reloaded("facts.ref_match").await;
    std::fs::write(&file, text.replace("ref_match = \"exact\"", "ref_match = \"guess\"")).unwrap();
    shim.logged("config refused, nothing changed").await;
    let found_at = text.lines().find(|line| line.starts_with("found_at")).unwrap();
    std::fs::write(&file, text.replace(found_at, "found_at = \"2026-01-01T00:00:00Z\"")).unwrap();
    reloaded("facts.found_at").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_facts_about_other_hosts_is_named_by_every_command() {
    let (deployment, keys) = prepared().await;
    let file = deployment.path("facts.toml");
    let ran = probe(&deployment, &["--read-only", "--out", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let here = deployment.vendor.base_url();
    let here = here.trim_start_matches("http://").trim_end_matches("/v2");
    std::fs::write(&file, text.replace(here, "127.0.0.1:1")).unwrap();
    let facts = format!("facts.file = \"{}\"", file.display());
    deployment.write(&format!("listen = \"127.0.0.1:0\"\nstage = \"ready\"\n{keys}\n{facts}"));
    let note = format!(
        "the file of facts {} is not used: it is about 127.0.0.1:1, 127.0.0.1:1, and the config has {here}, {here}",
        file.display()
    );
    for (command, code) in [(&["check", "--quiet"][..], 0), (&["gate", "--to", "ready"], 6)] {
        let ran = run_with(&deployment.config(), command).await;
        assert!(ran.code == Some(code) && ran.err.contains(&note), "{command:?}: {ran:?}");
        let line = ran.out.lines().find(|line| line.contains("reads on both, facts: "));
        assert!(line.is_none_or(|line| line.contains(&note)), "{line:?}");
        assert_eq!(line.is_some(), command[0] == "gate", "{ran:?}");
    }
    let shim = Shim::serve(&["--config", deployment.config().to_str().unwrap()]).await;
    let says = |line: &Value| line["message"].as_str().is_some_and(|message| message.starts_with(&note));
    shim.line_that("facts that are not used", says).await;
    // Once they are about these hosts, nothing is said.
    std::fs::write(&file, text).unwrap();
    shim.logged("config reloaded").await;
    let ran = run_with(&deployment.config(), &["check", "--quiet"]).await;
    assert!(ran.code == Some(0) && !ran.err.contains("not used"), "{ran:?}");
}

#[tokio::test]
async fn its_conversions_are_no_clients() {
    let (deployment, keys) = prepared().await;
    let lookup = "auth.lookup.client_id = \"a\"\nauth.lookup.client_secret = \"secret\"";
    deployment.write(&format!("{keys}\nstage = \"live\"\n{lookup}"));
    let ran = probe(&deployment, &[&CONVERT[..], &["--format", "json"]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let made = ran.json()["conversions"].as_array().unwrap().clone();
    assert!(made.iter().any(|made| made["side"] == "legacy") && made.len() > 3, "{ran:?}");
    // Records that a walk may already judge: it leaves the young ones for the next.
    let hours_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2)).to_string();
    let ref_id = made[0]["ref_id"].as_str().unwrap();
    deployment.vendor.inspector().seed_conversion(old_record(ref_id, &hours_ago));
    deployment.vendor.inspector().seed_orchestration(new_record(ref_id, &hours_ago));
    let all = ["reconcile", "--rate", "50", "--format", "json"];
    let walked = run_with(&deployment.config(), &all).await;
    assert_eq!(walked.code, Some(0), "{walked:?}");
    let stats = deployment.order(&["stats"]).await;
    assert_eq!(stats.row("claims"), "0", "{stats:?}");
}

#[tokio::test]
async fn it_reads_alone_where_it_may_not_convert() {
    let (deployment, _) = prepared().await;
    let ran = probe(&deployment, &["--read-only", "--format", "json"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fact(&ran.json(), "empty_list"), &json!(["{\"items\":[]}"]), "{ran:?}");
    let inspector = deployment.vendor.inspector();
    assert_eq!([Side::Legacy, Side::New].map(|side| inspector.arrived(side, Operation::Create)), [0, 0]);

    for (arguments, code, word) in [
        (&["--settle", "1s"][..], 2, "--profile-id"),
        (&["--write", "--profile-id", PROFILE], 2, "--i-understand-this-converts-money"),
        (&["--profile-id", "nobody", "--settle", "1s"], 1, "legacy"),
    ] {
        let ran = probe(&deployment, arguments).await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.err.contains(word), "{word}: {ran:?}");
    }
    // Nothing may be sent to a host that could hold money.
    let elsewhere = ["--profile-id", PROFILE, "--set", "upstream.new.url=https://api.example.com/v2"];
    let ran = probe(&deployment, &elsewhere).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("api.example.com") && ran.err.contains("--write"), "{ran:?}");
}

#[tokio::test]
async fn a_create_that_is_not_served_proves_nothing_about_references() {
    let (deployment, _) = prepared().await;
    deployment.vendor.inspector().set_variants(Variants { ref_match: RefMatch::Case, ..Variants::default() });
    for side in [Side::Legacy, Side::New] {
        // The first create of each side makes the record that is looked for, and on new one before it is that to the second profile.
        let before = if side == Side::New { 2 } else { 1 };
        let down = FaultKind::Status {
            code: http::StatusCode::SERVICE_UNAVAILABLE,
            retry_after: None,
            body: RefusalBody::Problem,
            applied: false,
        };
        let down = deployment
            .vendor
            .faults()
            .arm(Fault::new(down).on(side, Operation::Create).after(before).times(1));
        let ran = probe(&deployment, &[&CONVERT[..], &["--format", "json"]].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(fact(&ran.json(), "ref_match"), "not known", "{side}: {ran:?}");
        deployment.vendor.faults().remove(&down);
    }
}

#[tokio::test]
async fn what_was_sent_is_on_record_when_the_probe_ends_early() {
    let (deployment, _) = prepared().await;
    let broken = FaultKind::Reset { applied: true };
    deployment.vendor.faults().arm(Fault::new(broken).on(Side::New, Operation::Create));
    let ran = probe(&deployment, &CONVERT).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let log: Vec<Value> = ran.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sent =
        |side: &str| log.iter().filter(|line| line["target"] == "probe" && line["side"] == side).count();
    // Nothing more is converted on a side that gave no answer.
    assert_eq!((sent("legacy"), sent("new")), (2, 1), "{ran:?}");
    assert!(
        ran.out.contains("FINDING a create on the new side with ref_id Probe ")
            && ran.out.contains("may have converted"),
        "{ran:?}"
    );
    assert!(ran.out.contains("converted on legacy: ref_id Probe-Old"), "{ran:?}");
}
