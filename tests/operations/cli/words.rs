//! What an operator reads: errors that name the key and the file, words that fit what happened.

use std::path::Path;

use serde_json::Value;

use crate::support::ledger;
use crate::support::wire::binary::run;

/// A config in a folder of its own.
fn config(folder: &Path, text: &str) -> String {
    let file = folder.join("shim.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_shadow_log_that_cannot_be_opened_ends_the_start_before_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let text = "listen = \"127.0.0.1:0\"\nadmin.listen = \"\"\nshadow.log = \"/nonexistent/shadow.log\"\nlog.format = \"json\"\n";
    let (code, out, err) = run(&["serve", "--config", &config(folder.path(), text)], "");
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("shadow.log") && err.contains("/nonexistent/shadow.log"), "{err}");
    assert!(!out.contains("\"serving\""), "{out}");
}

#[test]
fn a_ledger_file_that_cannot_be_read_is_named_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let url = format!("sqlite:{}", file.display());
    let config = config(folder.path(), &ledger::named(&url, false));
    let copy = folder.path().join("copy.db");
    let commands: [&[&str]; 7] = [
        &["ledger", "stats"],
        &["ledger", "show", "r"],
        &["ledger", "backup", copy.to_str().unwrap()],
        &["audit"],
        &["gate", "--to", "live"],
        &["trip", "now", "--why", "x"],
        &["ledger", "accept", "--why", "x"],
    ];
    let all_name_it = |what: &str, expected: i32| {
        for command in commands {
            let (code, _, err) = run(&[command, &["--config", &config]].concat(), "");
            assert_eq!(code, expected, "{what}: {command:?}: {err}");
            assert!(err.contains("ledger.url"), "{what}: {command:?}: {err}");
            assert!(err.contains(file.to_str().unwrap()), "{what}: {command:?}: {err}");
        }
    };
    all_name_it("missing", 3);
    assert!(!file.exists());
    std::fs::write(&file, "no database ".repeat(1000)).unwrap();
    all_name_it("not a database", 1);
}

#[test]
fn a_problem_of_the_config_says_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (line, words, never) in [
        ("ledger.path = \"x\"", "ledger.path: is not a key", "did you mean"),
        ("budget.nope = 1", "budget.nope: is not a key", "budget.endpoints"),
        ("stage = []", "not a list", "something else"),
        ("stage = {}", "not a table", "something else"),
        ("canary.profiles = [1]", "must be a list of texts, not a list with something else", "\n\n"),
        ("stge = \"x\"", "did you mean stage?", "\n\n"),
        ("ledger.tenat = \"x\"", "did you mean ledger.tenant?", "\n\n"),
    ] {
        let (code, _, err) = run(&["check", "--config", &config(folder.path(), line)], "");
        assert_eq!(code, 3, "{line}: {err}");
        assert!(err.contains(words) && !err.contains(never), "{line}: {err}");
    }
    let rows =
        "[[auth.callers]]\nname = \"\"\nscopes = [\"nope\"]\nwhat = 1\n[[drift.known]]\nwhere = 1\nwhy = 2\n";
    let (_, _, err) = run(&["check", "--config", &config(folder.path(), rows)], "");
    for words in ["what", "scopes", "where", "why"] {
        assert!(err.contains(words), "{words} is not in {err}");
    }
}

#[test]
fn standard_input_that_is_no_text_is_refused_as_a_file_is() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let mut child = Command::new(env!("CARGO_BIN_EXE_conversion-shim"))
        .args(["check", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"stage = \"\xff\"\n").unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn no_line_of_check_is_padded_by_the_longest_value() {
    let (code, out, _) = run(&["check"], "");
    assert_eq!(code, 0);
    let stage = out.lines().find(|line| line.starts_with("stage ")).unwrap();
    assert!(stage.len() < 120, "{stage:?}");
}

#[test]
fn probe_refuses_what_is_no_conversion_before_it_sends() {
    for (name, value) in [("--amount", "1e2"), ("--amount", "0"), ("--pair", "USD/USD"), ("--pair", "USD/")] {
        let (code, _, err) = run(&["probe", "--profile-id", "p", name, value], "");
        assert!(code == 2 && err.contains(name), "{name} {value}: {code} {err}");
    }
}

#[test]
fn a_simulation_of_no_step_is_refused() {
    let (code, out, err) = run(&["simulate", "--steps", "0"], "");
    assert!(code == 2 && err.contains("--steps") && out.is_empty(), "{code} {out} {err}");
}

pub(super) fn make_claim(url: &str) {
    use conversion_shim::ledger::{Fingerprint, Identity, Key, Ledger, Settings};
    use conversion_shim::translate::side::Side;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let identity = Identity { id: Some(ledger::ID.into()), ..Identity::default() };
        let opened = Ledger::open_beside(&Settings { identity, ..Settings::new(url) }).await.unwrap();
        let key = Key::new("default", "r").unwrap();
        opened.claim(key, Side::Legacy, &Fingerprint([1; 32])).await.unwrap();
        opened.shutdown().await;
    });
}

#[test]
fn reconcile_and_release_without_credentials_say_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let text = ledger::keys(&url, false);
    let config = config(folder.path(), &text);
    // A claim, as a create that got no answer leaves it.
    make_claim(&url);
    for command in [&["reconcile", "--from", "1h"][..], &["ledger", "release", "r", "--why", "x"]] {
        let (code, _, err) = run(&[command, &["--config", &config]].concat(), "");
        assert_ne!(code, 0);
        assert!(err.contains("[auth.lookup]"), "{command:?}: {err}");
    }
}

#[test]
fn conditions_of_a_gate_read_as_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let config = config(folder.path(), &ledger::keys(&url, false));
    let (_, out, err) = run(&["gate", "--to", "shadow", "--config", &config], "");
    let (_, live, _) = run(&["gate", "--to", "live", "--config", &config, "--format", "json"], "");
    let live: Value = serde_json::from_str(&live).unwrap_or_else(|_| panic!("{out} {err}"));
    assert!(!live.to_string().contains("and that no drift.known names"), "{live}");
}
