//! A bad config is refused with every problem, each with its key and with what was probably meant.

use std::path::Path;

use crate::support::wire::binary::run;

/// `check` of a config: its exit code and what it complains about.
fn check(text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "shim.toml", text);
    let (code, _, err) = run(&["check", "--config", &file], "");
    (code, err)
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn every_problem_of_a_row_is_named() {
    for (rows, all) in [
        (
            "[[shadow.ignore]]\npath = \"a..b\"\nreason = \"x\"\nexpires = \"soon\"\nwhat = 1\n",
            &["empty part", "\"soon\" is not a day", "owner is missing", "what is not a key"][..],
        ),
        (
            "[[budget.endpoints]]\npath = \"x\"\nper_second = 0\nfoo = 1\nbar = 2\n",
            &[
                "foo is not a key",
                "bar is not a key",
                "path must begin with /",
                "per_second must be a number from 1",
            ],
        ),
        (
            "[[drift.known]]\npath = \"x\"\nowner = 1\n",
            &["\"x\" is not one such as", "reason is missing", "owner must be text"],
        ),
    ] {
        let (code, err) = check(rows);
        assert_eq!(code, 3, "{rows}: {err}");
        for words in all {
            assert!(err.contains(words), "{words:?} is not in {err}");
        }
    }
}

#[test]
fn what_is_close_is_suggested_and_nothing_else() {
    for (line, expected) in [
        (
            "upstream.legacy.ulr = \"x\"",
            "upstream.legacy.ulr: is not a key; did you mean upstream.legacy.url?",
        ),
        ("ledger.ulr = \"x\"", "ledger.ulr: is not a key; did you mean ledger.url?"),
        ("ledger.Url = \"x\"", "ledger.Url: is not a key; did you mean ledger.url?"),
        ("routes.Get = \"x\"", "routes.Get: is not a key; did you mean routes.get?"),
        ("gate.override.wy = \"x\"", "gate.override.wy: is not a key; did you mean gate.override.why?"),
        ("mode = \"shadow\"", "mode: is not a key; did you mean stage?"),
        ("poll_interval = \"1s\"", "poll_interval: is not a key; did you mean reload.poll_interval?"),
        ("ledger.xyz = 1", "ledger.xyz: is not a key; config/default.toml lists them all"),
    ] {
        let (code, err) = check(line);
        assert!(code == 3 && err.contains(expected), "{line}: {err}");
    }
}

#[test]
fn a_date_without_quotes_is_called_a_date() {
    for (text, key) in [
        ("deprecation.sunset_at = 2026-01-01T00:00:00Z", "deprecation.sunset_at"),
        ("gate.override.until = 2026-01-01", "gate.override.until"),
        ("[[shadow.ignore]]\npath = \"a\"\nreason = \"x\"\nowner = \"x\"\nexpires = 2026-01-01\n", "expires"),
    ] {
        let (code, err) = check(text);
        assert!(code == 3 && err.contains(key), "{err}");
        assert!(err.contains("must be text, not a date: write it in quotes"), "{err}");
    }
}

#[test]
fn a_variable_without_a_name_and_a_list_in_brackets_are_refused_by_name() {
    let with = |name: &str, value: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conversion-shim"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SHIM_")) {
            command.env_remove(name);
        }
        let ended = command.arg("check").env(name, value).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
    };
    for (name, value, expected) in [
        ("SHIM_", "1", "\"\": is not a key"),
        ("SHIM_CANARY__PROFILES", "[\"x\"]", "canary.profiles: must be a list of texts, not text"),
        ("SHIM_CANARY__PROFILES", "[\"x\"]", "separated by commas, without brackets"),
    ] {
        let (code, _, err) = with(name, value);
        assert!(code == 3 && err.contains(expected), "{name}: {code} {err}");
    }
    let (code, out, _) = with("SHIM_CANARY__PROFILES", "x, y");
    assert!(
        code == 0
            && out
                .lines()
                .any(|line| line.starts_with("canary.profiles ") && line.contains('x') && line.contains('y')),
        "{out}"
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let marked = |name: &str, text: &str| write(folder.path(), name, format!("\u{feff}{text}\n"));
    let url = marked("url", "sqlite:ledger.db");
    let (code, err) = check(&format!("ledger.url_file = \"{url}\"\nledger.id = \"x\"\n"));
    assert_eq!(code, 0, "{err}");
    let empty = marked("empty", "");
    let (code, err) = check(&format!("shadow.redaction_key_file = \"{empty}\"\n"));
    assert!(code == 3 && err.contains("shadow.redaction_key_file: names an empty file"), "{err}");
}

#[test]
fn a_url_of_two_lines_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["sqlite:ledger.db\nsqlite:other.db\n", "postgres://host/one\npostgres://host/two\n"] {
        let file = write(folder.path(), "url", url);
        let (code, err) = check(&format!("ledger.url_file = \"{file}\"\nledger.id = \"x\"\n"));
        assert!(code == 3 && err.contains("more than one line"), "{url}: {code} {err}");
        assert!(!err.contains("host"), "{err}");
    }
}

#[test]
fn a_file_without_a_token_is_called_empty() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "shim.toml", "ledger.url = \"sqlite:ledger.db\"\n");
    for text in ["", " \n", "\u{feff}\n"] {
        let token = write(folder.path(), "token", text);
        let command = ["ledger", "release", "r", "--why", "x", "--token-file", &token, "--config", &config];
        let (code, _, err) = run(&command, "");
        assert!(code == 1 && err.contains("is empty") && err.contains(&token), "{code} {err}");
    }
}
