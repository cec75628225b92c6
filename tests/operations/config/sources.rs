//! The config through its front door: layers, where values come from, and everything that is refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::wire::binary::run_with;
use conversion_shim::cli::check::{write_problems, write_rows};
use conversion_shim::config::load::{Flag, Loaded, Overlay, Sources, load};
use conversion_shim::config::{ConfigProblem, ConfigRow, LedgerKind, Mode, Stage, explain};
use conversion_shim::translate::facts::{
    EmptyList, Facts, Mirror, ProfileFilter, QueryPlus, RefMatch, RefSpace,
};
use conversion_shim::translate::route::Route;

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shim.toml");
    std::fs::write(&path, text).unwrap();
    (dir, Sources { file: Some(path), ..Sources::default() })
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn set(flags: &[&str]) -> Sources {
    Sources { flags: flags.iter().map(|flag| flag.parse().unwrap()).collect(), ..Sources::default() }
}

fn row(loaded: &Loaded, key: &str) -> ConfigRow {
    explain(loaded).into_iter().find(|row| row.key == key).unwrap()
}

fn refused(sources: &Sources) -> Vec<ConfigProblem> {
    load(sources).expect_err("refused")
}

/// `key: message` of every problem.
fn messages(problems: &[ConfigProblem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
}

fn keys(problems: &[ConfigProblem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.key.as_str()).collect()
}

#[test]
fn the_defaults_alone_are_a_config_that_changes_nothing() {
    let loaded = load(&Sources::default()).unwrap();
    let config = &loaded.config;
    assert_eq!((config.listen.to_string().as_str(), config.base_path.as_str()), ("127.0.0.1:8080", "/v2"));
    assert_eq!((config.stage, config.modes), (Stage::Observe, Stage::Observe.modes()));
    assert_eq!(config.upstream.legacy.to_string(), "https://api.paxos.com/v2");
    assert_eq!(config.timeouts.of(Route::Create), Duration::from_secs(30));
    assert_eq!(config.limits.request_body_max, 1 << 20);
    assert!(config.tls.is_none() && config.ledger.is_none() && config.server.threads.get() > 0);
    assert!(explain(&loaded).iter().all(|row| row.source == "default"));
}

#[test]
fn each_layer_wins_over_the_ones_below_and_is_named() {
    let (_dir, mut sources) = file("[sandbox]\nsettle_after = \"3ms\"\n[limits]\nconnections_max = 3");
    let path = sources.file.clone().unwrap();
    let value = |sources: &Sources| {
        let row = row(&load(sources).unwrap(), "sandbox.settle_after");
        (row.value, row.source)
    };
    let file = sources.file.take();
    assert_eq!(value(&sources), ("3s".into(), "default".into()));
    sources.overlay = Some(Overlay::Sandbox);
    assert_eq!(value(&sources), ("2s".into(), "sandbox".into()));
    sources.file = file;
    assert_eq!(value(&sources), ("3ms".into(), format!("file {}", path.display())));
    sources.environment = environment(&[("SHIM_SANDBOX__SETTLE_AFTER", "4ms"), ("PATH", "/bin")]);
    assert_eq!(value(&sources), ("4ms".into(), "environment SHIM_SANDBOX__SETTLE_AFTER".into()));
    sources.flags = vec!["sandbox.settle_after=5ms".parse().unwrap()];
    assert_eq!(value(&sources), ("5ms".into(), "flag --set".into()));
    sources.flags.push(Flag::new("--settle-after", "sandbox.settle_after", "6ms"));
    assert_eq!(value(&sources), ("6ms".into(), "flag --settle-after".into()));
    let loaded = load(&sources).unwrap();
    assert_eq!(row(&loaded, "limits.connections_max").source, format!("file {}", path.display()));
    assert_eq!(row(&loaded, "listen").source, "default");
}

#[test]
fn the_sandbox_overlay_shows_the_translation_at_once() {
    let loaded = load(&Sources { overlay: Some(Overlay::Sandbox), ..Sources::default() }).unwrap();
    assert_eq!(loaded.config.modes, Stage::Sealed.modes());
}

#[test]
fn texts_from_the_environment_take_the_type_of_their_key() {
    let variables = [
        ("SHIM_CANARY__SALT", "0042"),
        ("SHIM_CANARY__PERCENT", "7"),
        ("SHIM_CANARY__PROFILES", "a, b,"),
        ("SHIM_FORWARDING__VIA", "true"),
    ];
    let loaded = load(&Sources { environment: environment(&variables), ..Sources::default() }).unwrap();
    let canary = &loaded.config.canary;
    assert_eq!((canary.salt.as_str(), canary.percent), ("0042", 7));
    assert!(canary.profiles.len() == 2 && canary.profiles.contains("b") && loaded.config.forwarding.via);
}

#[test]
fn all_problems_are_reported_at_once_with_key_and_source() {
    let (_dir, mut sources) = file(
        "listen = \"localhost\"\nbase_path = \"/v2/\"\nlisten_on = 1\nlimits = 3\n\
         [canary]\npercent = 101\nprofiles = [1]\n[timeouts]\nget = 10\nlist = \"0s\"\n[upstream.legcy]\n",
    );
    sources.environment = environment(&[("SHIM_TLS__KEY", "/k.pem"), ("SHIM_SERVER__THREADS", "many")]);
    sources.flags = vec!["log.filter=a=b=c".parse().unwrap(), "hold.retry_after=1500ms".parse().unwrap()];
    let problems = refused(&sources);
    assert_eq!(
        keys(&problems),
        [
            "limits",
            "listen_on",
            "upstream.legcy",
            "listen",
            "base_path",
            "timeouts.get",
            "timeouts.list",
            "hold.retry_after",
            "server.threads",
            "tls.key",
            "log.filter",
            "canary.profiles",
            "canary.percent",
        ]
    );
    let source = |key| &problems.iter().find(|problem| problem.key == key).unwrap().source;
    assert_eq!(source("tls.key"), "environment SHIM_TLS__KEY");
    assert_eq!(source("log.filter"), "flag --set");
    assert!(source("listen").starts_with("file /"));
    let messages = messages(&problems);
    assert!(messages.contains(&"timeouts.get: must be text, not a number".into()), "{messages:#?}");
    let mut out = Vec::new();
    write_problems(&problems, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), problems.len());
}

#[test]
fn one_problem_hides_no_other_of_its_list_or_section() {
    let (_dir, sources) = file(
        "[gate.override]\nto = \"live\"\nwho = \"\"\nwhy = \" \"\nuntil = \"tomorrow\"\n\
         [[budget.endpoints]]\npath = \"none\"\nper_second = 0\n[[budget.endpoints]]\npath = \"/some\"\n",
    );
    let problems = refused(&sources);
    for key in ["gate.override.who", "gate.override.why", "gate.override.until"] {
        assert!(keys(&problems).contains(&key), "{problems:#?}");
    }
    let rows = problems.iter().find(|problem| problem.key == "budget.endpoints").unwrap();
    let number = "per_second must be a number from 1 to 100000";
    let path = "path must begin with / and hold neither a query nor blanks";
    assert_eq!(rows.message, format!("number 1: {path}; {number}; number 2: {number}"));
}

#[test]
fn unknown_keys_are_refused_with_what_was_probably_meant() {
    for (written, meant) in [
        ("listn", "listen"),
        ("upstream.legcy.url", "upstream.legacy"),
        ("upstream.legacy.uri", "upstream.legacy.url"),
        ("limits.request_body_maximum", "limits.request_body_max"),
        ("retry_after", "hold.retry_after"),
        ("percent", "canary.percent"),
    ] {
        let problems = refused(&set(&[&format!("{written}=1")]));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].message.ends_with(&format!("did you mean {meant}?")), "{problems:?}");
    }
    assert!(refused(&set(&["zzzzzz=1"]))[0].message.ends_with("lists them all"));
    let (_dir, sources) = file("\"upstream.legacy.url\" = \"https://elsewhere\"");
    assert_eq!(refused(&sources).len(), 1, "a quoted name is no key");
}

#[test]
fn a_renamed_key_is_refused_with_its_new_name_from_every_source() {
    let renamed = [
        ("budget.fence_share", "0.25", "budget.lookup_share"),
        ("retirement.deprecated_at", "\"2026-04-01T00:00:00Z\"", "deprecation.deprecated_at"),
        ("retirement.link", "\"https://example.com/\"", "deprecation.link"),
        ("retirement.sunset_at", "\"2027-01-01T00:00:00Z\"", "deprecation.sunset_at"),
    ];
    let lines: String = renamed.iter().map(|(old, value, _)| format!("{old} = {value}\n")).collect();
    let (_dir, in_file) = file(&lines);
    let variable = |key: &str| format!("SHIM_{}", key.to_uppercase().replace('.', "__"));
    let variables = renamed.map(|(old, value, _)| (variable(old), value.trim_matches('"').into()));
    let in_environment = Sources { environment: variables.to_vec(), ..Sources::default() };
    let flags = renamed.map(|(old, value, _)| Flag::new("--set", old, value.trim_matches('"')));
    let by_flag = Sources { flags: flags.to_vec(), ..Sources::default() };
    for (sources, named) in
        [(in_file, "file "), (in_environment, "environment SHIM_"), (by_flag, "flag --set")]
    {
        let problems = refused(&sources);
        assert_eq!(
            messages(&problems),
            renamed.map(|(old, _, new)| format!("{old}: was renamed to {new}")),
            "{named}"
        );
        assert!(problems.iter().all(|problem| problem.source.starts_with(named)), "{problems:?}");
    }
    let (_dir, empty_section) = file("[retirement]\n");
    assert_eq!(messages(&refused(&empty_section)), ["retirement: was renamed to deprecation"]);
    let (_dir, unknown) = file("[retirement]\nbegin = 1\n");
    assert_eq!(keys(&refused(&unknown)), ["retirement.begin"]);
    assert!(refused(&unknown)[0].message.starts_with("is not a key"), "no section has such a key");
}

#[test]
fn a_file_that_is_not_toml_is_one_problem_with_its_place_and_without_its_text() {
    let (_dir, sources) = file("stage = \"canary\"\n[ledger]\nurl = \"postgres://u:hunter2@h/d\n");
    let problems = refused(&sources);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.starts_with("not TOML: line 3, column "), "{problems:?}");
    assert!(!format!("{problems:?}").contains("hunter2"));
}

#[test]
fn a_file_that_is_not_there_does_not_hide_other_problems() {
    let mut sources = set(&["listen=nowhere", "stage=canary"]);
    sources.file = Some(PathBuf::from("/nonexistent/shim.toml"));
    let problems = refused(&sources);
    assert_eq!(keys(&problems), ["", "listen"], "and no rule judges what the file would have said");
    assert_eq!(problems[0].source, "file /nonexistent/shim.toml");
}

#[test]
fn a_mode_that_a_route_does_not_have_is_refused_with_those_it_has() {
    let problems = refused(&set(&["routes.list=hold", "routes.create=both", "routes.cancel=shadow"]));
    assert_eq!(
        messages(&problems),
        [
            "routes.create: \"both\" is not a mode of create; it has legacy, shadow, hold, canary, new",
            "routes.list: \"hold\" is not a mode of list; it has legacy, shadow, both, new",
            "routes.cancel: \"shadow\" is not a mode of cancel; it has legacy, both, new",
        ]
    );
}

#[test]
fn a_route_overrides_its_stage_and_an_empty_one_does_not() {
    let loaded = load(&set(&["stage=hold", "routes.create=legacy", "routes.get="])).unwrap();
    assert_eq!((loaded.config.modes.create, loaded.config.modes.get), (Mode::Legacy, Mode::Both));
    assert_eq!(row(&loaded, "routes.get").value, "both (by stage)");
}

const SQLITE: &str = "ledger.url=sqlite:/tmp/ledger.db";
const ID: &str = "ledger.id=0198c0de";
const OPEN: &str = "ledger.new_in_use=true";

#[test]
fn the_refusals_of_the_cutover_hold() {
    let cases: &[(&[&str], &[&str])] = &[
        // 1: creates on new that a reader would not see
        (&["stage=canary", SQLITE, ID, OPEN, "routes.get=legacy"], &["routes.get"]),
        (
            &["stage=live", SQLITE, ID, OPEN, "routes.list=legacy", "routes.cancel=legacy"],
            &["routes.list", "routes.cancel"],
        ),
        (&["routes.create=new"], &["stage", "stage", "stage", "routes.create"]),
        // 2: readers of new alone while creates may go to legacy
        (&["stage=hold", "routes.get=new"], &["routes.get"]),
        (&["stage=sealed", "routes.create=legacy"], &["stage", "stage", "stage"]),
        (&["stage=canary", SQLITE, ID, OPEN, "routes.cancel=new"], &["routes.cancel"]),
        // 2: some readers look on both sides, others on new alone
        (&["stage=live", SQLITE, ID, OPEN, "routes.get=new"], &["routes.get"]),
        (
            &["stage=live", SQLITE, ID, OPEN, "routes.list=new", "routes.cancel=new"],
            &["routes.list", "routes.cancel"],
        ),
        (&["stage=sealed", SQLITE, ID, OPEN, "routes.cancel=both"], &["routes.cancel"]),
        (
            &[
                "stage=observe",
                SQLITE,
                ID,
                OPEN,
                "routes.create=new",
                "routes.get=new",
                "routes.list=both",
                "routes.cancel=both",
            ],
            &["routes.get", "routes.list", "routes.cancel"],
        ),
        // 3: two sides and no ledger
        (&["stage=canary"], &["stage"]),
        (&["stage=live"], &["stage"]),
        (&["stage=sealed", "routes.get=both", "routes.list=both", "routes.cancel=both"], &["stage"]),
        (&["stage=hold", "routes.create=new"], &["routes.create"]),
        // 3: a ledger that could be exchanged unnoticed, or was not opened for it
        (&["stage=canary", SQLITE], &["ledger.id", "ledger.new_in_use"]),
        (&["stage=live", SQLITE, ID], &["ledger.new_in_use"]),
        (&["stage=sealed", SQLITE, OPEN], &["ledger.id"]),
        (&["ledger.id=a b", SQLITE], &["ledger.id"]),
        // 4: a ledger that only one process can use
        (&["replicas=2", SQLITE], &["replicas"]),
        // several rules at once
        (&["stage=canary", "routes.get=shadow", "routes.list=new"], &["routes.get", "routes.list", "stage"]),
        // canary needs a salt that all replicas share
        (&["canary.percent=1"], &["canary.salt"]),
        (&["canary.percent=100"], &["canary.salt"]),
        // others
        (&["admin.listen=127.0.0.1:8080"], &["admin.listen"]),
        (&["ledger.url=sqlite::memory:"], &["ledger.url"]),
    ];
    for (flags, expected) in cases {
        assert_eq!(keys(&refused(&set(flags))), *expected, "{flags:?}");
    }
}

#[test]
fn mixed_reads_are_refused_with_what_to_do() {
    let problems = refused(&set(&["stage=live", SQLITE, ID, OPEN, "routes.get=new"]));
    assert_eq!(
        messages(&problems),
        [
            "routes.get: new is the mode of get and both that of list and cancel: a record of the old API would be found by \
             one route and be a 404 by another; set get, list and cancel all to both, or all to new"
        ]
    );
    assert_eq!(problems[0].source, "flag --set");
}

/// However the modes are set, and by whichever layer: no ledger knows what the old API holds.
#[test]
fn creates_on_new_alone_need_a_ledger_but_at_the_embedded_vendor() {
    let alone = ["routes.get=new", "routes.list=new", "routes.cancel=new"];
    for (flags, key) in [
        (vec!["stage=sealed"], "stage"),
        (vec!["stage=sealed", "gate.enforce=false"], "stage"),
        ([&["stage=live"], &alone[..]].concat(), "stage"),
        ([&["routes.create=new"], &alone[..]].concat(), "routes.create"),
    ] {
        let problems = refused(&set(&flags));
        assert_eq!(keys(&problems), [key], "{flags:?}: {problems:?}");
        assert!(problems[0].message.contains("ledger.url"), "{problems:?}");
        let embedded = Sources { overlay: Some(Overlay::Sandbox), ..set(&flags) };
        load(&embedded).unwrap_or_else(|problems| panic!("{flags:?}: {problems:?}"));
    }
    let (_dir, in_file) = file("stage = \"sealed\"\n");
    let by_environment =
        Sources { environment: environment(&[("SHIM_STAGE", "sealed")]), ..Sources::default() };
    for sources in [in_file, by_environment] {
        assert_eq!(keys(&refused(&sources)), ["stage"]);
    }
    // What uses both APIs needs one there too.
    let mixed = Sources { overlay: Some(Overlay::Sandbox), ..set(&["stage=live"]) };
    assert_eq!(keys(&refused(&mixed)), ["stage"]);
}

#[test]
fn every_step_of_a_cutover_is_accepted() {
    for flags in [
        &["stage=observe"][..],
        &["stage=shadow"],
        &["stage=ready"],
        &["stage=hold"],
        &["stage=canary", SQLITE, ID, OPEN],
        &["stage=live", SQLITE, ID, OPEN],
        &["stage=sealed", SQLITE, ID, OPEN],
        &["stage=sealed", SQLITE, ID, OPEN, "routes.get=both", "routes.list=both", "routes.cancel=both"],
        &["stage=live", SQLITE, ID, OPEN, "routes.get=new", "routes.list=new", "routes.cancel=new"],
        &["stage=live", SQLITE, ID, OPEN, "routes.create=legacy"],
        &["stage=live", "ledger.url=postgres://host/database", ID, OPEN, "replicas=3"],
        &["stage=ready", "routes.create=legacy"],
        &["replicas=2"],
    ] {
        load(&set(flags)).unwrap_or_else(|problems| panic!("{flags:?}: {problems:?}"));
    }
}

#[test]
fn once_a_create_went_to_new_no_reader_goes_back() {
    let observe = load(&set(&["stage=observe", "routes.list=both"])).unwrap();
    assert_eq!(observe.config.check_against_history(false), []);
    let problems = observe.config.check_against_history(true);
    assert_eq!(keys(&problems), ["stage", "stage"]);
    assert!(problems[0].message.starts_with("get is legacy") && problems[0].source == "flag --set");
    let back = load(&set(&["stage=live", "routes.create=legacy", SQLITE])).unwrap();
    assert_eq!(back.config.check_against_history(true), []);
}

#[test]
fn secrets_show_nowhere() {
    let (dir, mut sources) = file("[ledger]\nurl = \"postgres://u:hunter2@h/d\"\n");
    sources.environment = environment(&[("SHIM_LEDGER__TENANT", "t")]);
    let loaded = load(&sources).unwrap();
    let ledger = loaded.config.ledger.as_ref().unwrap();
    assert_eq!((ledger.url.reveal(), ledger.kind), ("postgres://u:hunter2@h/d", LedgerKind::Postgres));
    assert_eq!(row(&loaded, "ledger.url").value, "(set)");
    let mut shown = Vec::new();
    write_rows(&explain(&loaded), &mut shown).unwrap();
    let shown = format!("{}{loaded:?}{:#?}{}", String::from_utf8(shown).unwrap(), loaded.config, ledger.url);
    assert!(!shown.contains("hunter2"));

    sources.environment = environment(&[("SHIM_LEDGER__URL", "mysql://hunter2")]);
    sources.flags = vec![
        "upstream.new.url=https://u:hunter2@h/v2".parse().unwrap(),
        "tls.key=-----BEGIN hunter2".parse().unwrap(),
        "hunter=hunter2".parse().unwrap(),
    ];
    let problems = refused(&sources);
    assert_eq!(keys(&problems), ["hunter", "upstream.new.url", "tls.key", "ledger.url"]);
    assert!(!format!("{problems:?}{sources:?}").contains("hunter2"));
    drop(dir);
}

#[test]
fn a_password_may_come_by_file_or_environment_but_not_by_flag() {
    for url in ["postgres://u:hunter2@h/d", "postgres://h/d?password=hunter2"] {
        assert_eq!(keys(&refused(&set(&[&format!("ledger.url={url}")]))), ["ledger.url"]);
        let variables = environment(&[("SHIM_LEDGER__URL", url)]);
        load(&Sources { environment: variables, ..Sources::default() }).unwrap();
    }
    load(&set(&["ledger.url=postgres://u@h/d"])).unwrap();
}

#[test]
fn the_ledgers_url_can_be_a_mounted_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    std::fs::write(&path, "postgres://u:hunter2@h/d\n").unwrap();
    let url_file = format!("ledger.url_file={}", path.display());
    let loaded = load(&set(&["stage=live", ID, OPEN, &url_file])).unwrap();
    assert_eq!(loaded.config.ledger.as_ref().unwrap().url.reveal(), "postgres://u:hunter2@h/d");
    assert_eq!(row(&loaded, "ledger.url").source, format!("file {}", path.display()));

    assert_eq!(keys(&refused(&set(&[SQLITE, &url_file]))), ["ledger.url_file"]);
    std::fs::write(&path, "\n").unwrap();
    assert_eq!(keys(&refused(&set(&["stage=live", ID, OPEN, &url_file]))), ["ledger.url_file"]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(keys(&refused(&set(&["stage=live", ID, OPEN, &url_file]))), ["ledger.url_file"]);
}

#[test]
fn the_hash_names_the_effective_config_without_its_secrets() {
    let hash = |flags: &[&str]| load(&set(flags)).unwrap().hash().to_owned();
    let plain = hash(&[]);
    assert!(plain.len() == 12 && plain.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(plain, hash(&["timeouts.create=30000ms"]), "another spelling is the same config");
    assert_ne!(plain, hash(&["timeouts.create=31s"]));
    assert_eq!(hash(&["ledger.url=sqlite:/a"]), hash(&["ledger.url=sqlite:/b"]));
}

#[test]
fn the_production_example_is_accepted_and_changes_nothing_yet() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/production.example.toml");
    let loaded = load(&Sources { file: Some(path), ..Sources::default() }).unwrap();
    assert_eq!(loaded.config.modes, Stage::Observe.modes());
    assert!(loaded.config.tls.is_some() && loaded.config.ledger.is_some());
}

#[test]
fn a_set_flag_without_a_key_is_refused() {
    assert!("stage".parse::<Flag>().is_err() && "=x".parse::<Flag>().is_err());
    assert_eq!("a=b=c".parse::<Flag>().unwrap().value, "b=c");
}

#[test]
fn a_budget_that_cannot_be_kept_is_refused() {
    let refused_for = |flags: &[(&str, &str)]| {
        let flags = flags.iter().map(|(key, value)| Flag::new("--set", *key, *value)).collect();
        messages(&refused(&Sources { flags, ..Sources::default() }))
    };
    assert_eq!(
        refused_for(&[("replicas", "51")]),
        ["budget.per_second: is less than one a second for each of the 51 replicas"]
    );
    assert_eq!(
        refused_for(&[
            ("budget.lookup_share", "0.95"),
            ("budget.cooldown_share", "0"),
            ("budget.cooldown_max", "1m")
        ]),
        [
            "budget.lookup_share: is more than 0.9 and leaves too little for clients' lists",
            "budget.cooldown_share: is less than 0.01 and would stop all calls",
            "budget.cooldown_max: is shorter than budget.cooldown",
        ]
    );
}

#[test]
fn facts_are_not_known_unless_they_are_given() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.config.facts, Facts::default());
    assert_eq!(row(&loaded, "facts.mirror").value, "(not known)");
    let (_dir, sources) = file(
        "[facts]\nmirror = \"same_id\"\nmirror_back = \"no\"\nprofile_filter = \"target\"\nref_match = \"trimmed\"\n\
         empty_list = [\"{}\", '{\"items\":null}', '{\"items\":[]}']\nref_space = \"separate\"\nquery_plus = \"literal\"",
    );
    let loaded = load(&sources).unwrap();
    let known = Facts {
        ref_space: RefSpace::Separate,
        mirror: Mirror::SameId,
        mirror_back: Mirror::No,
        profile_filter: ProfileFilter::Target,
        ref_match: RefMatch::Trimmed,
        empty_list: EmptyList { array: true, absent: true, null: true },
        query_plus: QueryPlus::Literal,
    };
    assert_eq!(loaded.config.facts, known);
    assert_eq!(row(&loaded, "facts.profile_filter").value, "target");
    let environment =
        environment(&[("SHIM_FACTS__EMPTY_LIST", "{\"items\":null}"), ("SHIM_FACTS__REF_MATCH", "case")]);
    let loaded = load(&Sources { environment, ..Sources::default() }).unwrap();
    assert_eq!(loaded.config.facts.empty_list, EmptyList { null: true, ..EmptyList::default() });
    assert_eq!(loaded.config.facts.ref_match, RefMatch::Case);
}

#[test]
fn a_fact_that_does_not_exist_is_refused_with_those_that_do() {
    let problems = refused(&set(&[
        "facts.mirror=yes",
        "facts.mirror_back=same",
        "facts.profile_filter=any",
        "facts.ref_match=Exact",
        "facts.empty_list={},null",
        "facts.ref_space=both",
        "facts.query_plus=plus",
    ]));
    assert_eq!(
        messages(&problems),
        [
            "facts.ref_space: \"both\" is none of shared, separate",
            "facts.mirror: \"yes\" is none of same_id, other_id, no",
            "facts.mirror_back: \"same\" is none of same_id, other_id, no",
            "facts.profile_filter: \"any\" is none of source, target, either",
            "facts.ref_match: \"Exact\" is none of exact, case, trimmed",
            "facts.empty_list: \"null\" is none of {\"items\":[]}, {}, {\"items\":null}",
            "facts.query_plus: \"plus\" is none of space, literal",
        ]
    );
}

/// What the process was given is not left out, whatever its bytes.
#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStringExt as _;
    let odd = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    for (name, value, named) in [
        (
            OsString::from("SHIM_STAGE"),
            odd(b"liv\xff"),
            "stage: the value is not UTF-8 (environment SHIM_STAGE)",
        ),
        (OsString::from("SHIM_LEDGER__URL"), odd(b"sqlite:/\xff"), "ledger.url: the value is not UTF-8"),
        (odd(b"SHIM_STAG\xff"), OsString::from("live"), "is not a key"),
    ] {
        let (code, out, err) = run_with(&["check", "--config", "/dev/null"], &name, &value);
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
        assert!(err.contains(named), "{err}");
    }
    // Another program's.
    let (code, _, err) = run_with(&["check", "--config", "/dev/null"], OsStr::new("OTHER"), &odd(b"\xff"));
    assert_eq!(code, 0, "{err}");
}
