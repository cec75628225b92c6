//! The configs in `deploy/`, as the program reads them.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use super::read;
use super::seconds;

pub(crate) const COMPOSE: &str = "deploy/compose/config/conversion-shim.toml";
pub(crate) const KUBERNETES: &str = "deploy/kubernetes/conversion-shim.toml";
pub(crate) const SYSTEMD: &str = "config/production.example.toml";

/// What `check` says of a config: every key with its value. The secrets that it names are laid down for it, elsewhere.
pub(crate) fn settings(path: &str) -> HashMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = read(path);
    for (key, secret) in
        [("url_file", "postgres://shim@ledger/shim"), ("redaction_key_file", "0123456789abcdef")]
    {
        let named =
            config.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        let Some(named) = named.map(str::to_owned) else { continue };
        let laid = dir.path().join(key);
        std::fs::write(&laid, secret).unwrap();
        config = config.replace(&named, laid.to_str().unwrap());
    }
    let file = dir.path().join("conversion-shim.toml");
    std::fs::write(&file, config).unwrap();
    let ran = run(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(ran.0, Some(0), "{path}: {}", ran.1);
    let rows = ran.1.lines().map(|line| line.split_once("  ").unwrap_or((line, "")));
    rows.map(|(key, rest)| (key.to_owned(), rest.trim().split("  ").next().unwrap().to_owned())).collect()
}

/// The program's exit code, and what it printed.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_conversion-shim")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// How long requests in flight may take to end.
pub(crate) fn drain(settings: &HashMap<String, String>) -> Duration {
    seconds(&settings["server.drain_deadline"])
}

/// How many files the process must be able to open: two for each connection.
pub(crate) fn files(settings: &HashMap<String, String>) -> u64 {
    2 * settings["limits.connections_max"].parse::<u64>().unwrap()
}

/// The port of an address.
pub(crate) fn port(settings: &HashMap<String, String>, key: &str) -> u64 {
    settings[key].rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn every_config_starts_where_nothing_changes_for_anybody() {
    for path in [COMPOSE, KUBERNETES, SYSTEMD] {
        let settings = settings(path);
        assert_eq!(settings["stage"], "observe", "{path}");
        assert_eq!(settings["log.format"], "json", "{path}");
        assert!(!settings["canary.salt"].is_empty(), "{path}");
    }
}
