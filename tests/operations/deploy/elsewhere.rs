//! A config that is looked at on another machine than the one that serves it: the operator's, where its secrets are not.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::read;
use super::settings::{COMPOSE, KUBERNETES, settings};

/// A command that ended.
struct Ran {
    code: Option<i32>,
    out: String,
    complaint: String,
}

/// Runs the program with this text on standard input.
fn run(arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conversion-shim"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), complaint: text(output.stderr) }
}

/// A config file, and a folder to name files in.
fn config(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("conversion-shim.toml");
    std::fs::write(&path, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

/// The keys of the lines that are about one.
fn named(complaint: &str) -> BTreeSet<&str> {
    complaint
        .lines()
        .filter_map(|line| line.split_once(": ").map(|(key, _)| key))
        .filter(|key| key.contains('.'))
        .collect()
}

#[test]
fn the_shipped_configs_can_be_checked_where_their_secrets_are_not() {
    for path in [COMPOSE, KUBERNETES] {
        let ran = run(&["check", "--config", path], "");
        assert_eq!(ran.code, Some(0), "{path}: {}", ran.complaint);
        assert_eq!(
            named(&ran.complaint),
            BTreeSet::from(["ledger.url_file", "shadow.redaction_key_file"]),
            "{path}: {}",
            ran.complaint
        );
        let with_secrets = settings(path);
        for line in ran.out.lines() {
            let (key, rest) = line.split_once("  ").unwrap();
            let value = rest.trim().split("  ").next().unwrap();
            if !key.ends_with("_file") {
                assert_eq!(value, with_secrets[key], "{path}: {key}");
            }
        }
        let url = ran.out.lines().find(|line| line.starts_with("ledger.url ")).unwrap();
        assert!(url.contains("(set)") && url.ends_with("ledger-url, not readable here"), "{url}");
        // Who serves it needs them.
        let ran = run(&["serve", "--config", path], "");
        assert_eq!(ran.code, Some(3), "{}", ran.complaint);
        assert!(
            ran.complaint.contains("ledger.url_file: names a file that cannot be read"),
            "{}",
            ran.complaint
        );
    }
}

#[test]
fn a_secret_that_cannot_be_read_counts_as_set() {
    let files = "stage = \"live\"\nreplicas = 4\n[ledger]\nurl_file = \"DIR/a\"\nid = \"made\"\n\
        new_in_use = true\n[shadow]\nredaction_key_file = \"DIR/b\"\n[auth]\nmode = \"client_credentials\"\nlegacy = { client_id = \"x\", client_secret_file = \"DIR/c\" }\n\
        new = { client_id = \"x\", client_secret_file = \"DIR/d\" }\n[[auth.callers]]\nname = \"t\"\nscopes = [\"read\"]\n\
        token_sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
        [tracing]\nendpoint = \"https://collector\"\nauthorization_file = \"DIR/e\"\n";
    let (_dir, path) = config(files);
    let ran = run(&["check", "--config", &path], "");
    assert_eq!((ran.code, named(&ran.complaint).len()), (Some(0), 5), "{}", ran.complaint);
    // The same without it says what is missing.
    let (_dir, path) = config("stage = \"live\"\nreplicas = 4\n");
    assert_eq!(run(&["check", "--config", &path], "").code, Some(3));
}

#[test]
fn a_secret_that_can_be_read_and_is_wrong_is_refused() {
    let (dir, path) = config("[ledger]\nurl_file = \"DIR/url\"\n[shadow]\nredaction_key_file = \"DIR\"\n");
    for (content, refused) in [("", "names an empty file"), ("mysql://x", "postgres://")] {
        std::fs::write(dir.path().join("url"), content).unwrap();
        let ran = run(&["check", "--config", &path], "");
        assert_eq!(ran.code, Some(3), "{}", ran.complaint);
        assert!(ran.complaint.contains(refused), "{}", ran.complaint);
        // A folder is there, and can never be the key.
        assert!(named(&ran.complaint).contains("shadow.redaction_key_file"), "{}", ran.complaint);
    }
}

#[test]
fn commands_need_the_secrets_that_they_use_and_no_others() {
    assert_eq!(run(&["report", "--config", KUBERNETES], "").code, Some(6), "there is nothing to judge by");
    let ran = run(&["status", "--config", KUBERNETES, "--set", "admin.listen=127.0.0.1:1"], "");
    assert_eq!(ran.code, Some(1), "nobody is asked: {}", ran.complaint);
    let ran = run(&["ledger", "stats", "--config", KUBERNETES], "");
    assert_eq!(ran.code, Some(3), "{}", ran.complaint);
    assert_eq!(named(&ran.complaint), BTreeSet::from(["ledger.url_file"]), "{}", ran.complaint);
    let (dir, path) =
        config("[ledger]\nurl_file = \"DIR/url\"\n[shadow]\nredaction_key_file = \"DIR/key\"\n");
    std::fs::write(dir.path().join("url"), format!("sqlite:{}/none.db", dir.path().display())).unwrap();
    let ran = run(&["ledger", "stats", "--config", &path], "");
    assert_eq!(ran.code, Some(3), "the ledger is asked, and is not there: {}", ran.complaint);
}

#[test]
fn a_config_can_be_checked_before_it_is_a_file() {
    let ran = run(&["check", "--config", "-"], &read(KUBERNETES));
    assert_eq!(ran.code, Some(0), "{}", ran.complaint);
    let stage = ran.out.lines().find(|line| line.starts_with("stage ")).unwrap();
    assert!(stage.ends_with("standard input"), "{stage}");
    let ran = run(&["check", "--config", "-"], "stage = \"sealed\"\nstage = \"live\"\n");
    assert_eq!(ran.code, Some(3), "{}", ran.complaint);
    assert!(
        ran.complaint.contains("line 2") && ran.complaint.contains("standard input"),
        "{}",
        ran.complaint
    );
}

#[test]
fn a_quiet_check_says_only_what_is_wrong() {
    let ran = run(&["check", "--quiet", "--config", "config/production.example.toml"], "");
    assert_eq!((ran.code, ran.out.as_str(), ran.complaint.as_str()), (Some(0), "", ""));
    let ran = run(&["check", "--quiet", "--config", "-"], "stage = \"later\"\n");
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""));
    assert!(ran.complaint.contains("later"), "{}", ran.complaint);
}
