//! `docs/upgrade.md` against the names of 0.1.0, which are in files beside this one: each is known today, or the page says what
//! became of it.

use std::collections::BTreeSet;

use conversion_shim::config::load::{Sources, load};

const KEYS: &str = include_str!("keys-0.1.0.toml");
const METRICS: &str = include_str!("metrics-0.1.0.txt");
const ALERTS: &str = include_str!("alerts-0.1.0.txt");

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The rows below one heading of the page, as old and new.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let section = page.split(&format!("### {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let lines = section.split("\n### ").next().unwrap().lines();
    lines.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")).skip(1).collect()
}

/// The names that the page does not list and that are gone.
fn unexplained<'a>(old: &'a str, today: &str, rows: &[(&str, &str)]) -> Vec<&'a str> {
    let words = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect()
    };
    let known = words(today);
    let renamed = words(&rows.iter().map(|(old, _)| *old).collect::<Vec<_>>().join(" "));
    old.lines().filter(|name| !known.contains(*name) && !renamed.contains(*name)).collect()
}

#[test]
fn every_key_of_0_1_0_is_accepted_or_listed_with_its_new_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, KEYS).unwrap();
    let problems = load(&Sources { file: Some(file), ..Sources::default() }).expect_err("renamed keys");
    let page = read("docs/upgrade.md");
    let listed = rows(&page, "Config keys");
    let refused: BTreeSet<_> =
        problems.iter().map(|problem| (problem.key.clone(), problem.message.clone())).collect();
    let key = |cell: &str| cell.trim_matches('`').to_owned();
    let expected = listed.iter().filter(|(old, _)| !old.contains('['));
    let expected: BTreeSet<_> =
        expected.map(|(old, new)| (key(old), format!("was renamed to {}", key(new)))).collect();
    assert_eq!(refused, expected);
}

#[test]
fn every_metric_of_0_1_0_is_exported_or_listed_with_its_new_name() {
    let (today, page) = (read("docs/metrics.md"), read("docs/upgrade.md"));
    let listed = rows(&page, "Metrics and labels");
    assert_eq!(unexplained(METRICS, &today, &listed), Vec::<&str>::new());
    let known = |new: &&(&str, &str)| {
        new.1.split('`').all(|quoted| !quoted.starts_with("conversion_shim") || today.contains(name(quoted)))
    };
    assert_eq!(listed.iter().filter(|row| !known(row)).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
}

fn name(quoted: &str) -> &str {
    quoted.split('{').next().unwrap()
}

#[test]
fn every_alert_of_0_1_0_is_there_or_listed_with_its_new_name() {
    let page = read("docs/upgrade.md");
    let listed = rows(&page, "Alerts");
    let today = read("deploy/prometheus/alerts.yaml");
    assert_eq!(unexplained(ALERTS, &today, &listed), Vec::<&str>::new());
    for (_, new) in listed {
        assert!(today.contains(&format!("alert: {}\n", new.trim_matches('`'))), "there is no {new}");
    }
}

#[test]
fn one_version_is_named_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    for path in
        ["deploy/README.md", "deploy/Dockerfile", "deploy/compose.yaml", "deploy/kubernetes/deployment.yaml"]
    {
        let text = read(path);
        let tags: Vec<_> = text
            .split("conversion-shim:")
            .skip(1)
            .filter(|rest| rest.starts_with(char::is_numeric))
            .collect();
        assert!(!tags.is_empty(), "{path} names no version");
        assert!(
            tags.iter().all(|tag| tag.starts_with(version)),
            "{path} names another version than {version}"
        );
    }
    let changes = read("CHANGELOG.md");
    let newest = changes.lines().find_map(|line| line.strip_prefix("## [")).unwrap();
    let (newest, date) = newest.split_once("] - ").unwrap();
    assert_eq!(newest, version);
    assert!(date.len() == 10 && date.starts_with("20"), "{date} is no date");
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        read("rust-toolchain.toml").contains(&format!("\"{oldest}.")),
        "CI does not use the oldest Rust, {oldest}"
    );
    assert!(
        read("docs/releasing.md").contains(&format!("Rust:** {oldest} is")),
        "docs/releasing.md names another Rust"
    );
    assert!(read("docs/upgrade.md").contains(&format!(" to {version}\n")), "docs/upgrade.md is silent");
}
