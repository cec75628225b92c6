//! How commands end, and what they say then.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::ledger;
use crate::support::wire::binary::run;
use crate::support::wire::conversion;

/// A config with a ledger in a folder of its own.
fn config(folder: &Path, more: &str) -> String {
    let url = format!("sqlite:{}", folder.join("ledger.db").display());
    let file = folder.join("shim.toml");
    fs::write(&file, format!("{}{more}", ledger::keys(&url, false))).unwrap();
    file.display().to_string()
}

/// The exit code and the complaint of a command whose reader has closed its end, or whose disk is full.
fn unread(arguments: &[&str], input: &str, is_full: bool) -> (i32, String) {
    let stdout = if is_full {
        Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap())
    } else {
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(closed)
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_conversion-shim"));
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    let ran = child.wait_with_output().unwrap();
    (ran.status.code().unwrap(), String::from_utf8(ran.stderr).unwrap())
}

/// A reader that closes its end, as `head` does, has what it wanted: the exit code is that of the command. A file that is cut off is a
/// failure.
#[test]
fn a_reader_that_stops_early_changes_no_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let log = folder.path().join("log");
    fs::write(&log, "").unwrap();
    let body = conversion("r").to_string();
    let commands: [(&[&str], &str, i32); 14] = [
        (&["--help"], "", 0),
        (&["--version"], "", 0),
        (&["man"], "", 0),
        (&["completions", "bash"], "", 0),
        (&["check", "--config", &config], "", 0),
        (&["ledger", "stats", "--config", &config], "", 0),
        (&["ledger", "show", "nothing", "--config", &config], "", 5),
        (&["ledger", "init", "--config", &config], "", 0),
        (&["audit", "--config", &config], "", 0),
        (&["audit", "--format", "json", "--config", &config], "", 0),
        (&["translate"], &body, 0),
        (&["gate", "--to", "live", "--config", &config], "", 6),
        (&["report", log.to_str().unwrap()], "", 6),
        (&["simulate", "--steps", "10"], "", 0),
    ];
    for (arguments, input, expected) in commands {
        let (code, complaint) = unread(arguments, input, false);
        assert_eq!(
            (code, complaint.contains("standard output")),
            (expected, false),
            "{arguments:?}: {complaint}"
        );
        let (code, complaint) = unread(arguments, input, true);
        assert!(code == 1 && complaint.contains("standard output: "), "{arguments:?}: {complaint}");
    }
}

#[test]
fn a_demo_whose_reader_stops_early_ends_with_its_verdict() {
    let (code, complaint) = unread(&["demo", "--fast"], "", false);
    assert_eq!((code, complaint.as_str()), (0, ""));
}

#[test]
fn a_report_for_another_ledger_is_refused_like_a_config_and_says_why_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let other =
        fs::read_to_string(&config).unwrap().replace(ledger::ID, "ffffffff-1f0f-4fff-8fff-ffffffffffff");
    fs::write(&config, other).unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "").unwrap();
    let (code, out, err) = run(&["report", "--record", log.to_str().unwrap(), "--config", &config], "");
    assert!(code == 3 && out.is_empty(), "{code}: {err}");
    assert_eq!(err.matches("ledger.id: is ").count(), 1, "{err}");
}

#[test]
fn a_man_page_of_no_command_is_code_2() {
    for name in [&["man", "sevre"][..], &["man", "ledger", "shw"], &["man", "ledger shw"]] {
        let (code, out, err) = run(name, "");
        assert!(code == 2 && out.is_empty() && err.contains("no command"), "{name:?}: {code} {err}");
    }
    let (code, out, _) = run(&["man", "ledger", "show"], "");
    assert_eq!(code, 0);
    // As the help writes it.
    assert_eq!(run(&["man", "ledger show"], ""), (0, out, String::new()));
}

#[test]
fn a_ledger_url_has_one_text_for_one_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shim.toml");
    for url in ["sqlite:", "sqlite:x?mode=rwc", "postgres://user:hidden@host/db?pool=3", "mysql://x"] {
        fs::write(&file, format!("ledger.url = \"{url}\"\n")).unwrap();
        let config = file.to_str().unwrap();
        let said = |command: &[&str]| {
            let (code, _, err) = run(&[command, &["--config", config]].concat(), "");
            assert_eq!(code, 3, "{command:?} {url}: {err}");
            err
        };
        let checked = said(&["check"]);
        for command in [&["ledger", "stats"][..], &["audit"], &["gate", "--to", "live"]] {
            assert_eq!(said(command), checked, "{command:?} {url}");
        }
    }
}

#[test]
fn a_ledger_that_is_dated_ahead_of_the_clock_has_no_negative_age() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{ConnectOptions as _, Connection as _};
        let file = folder.path().join("ledger.db");
        let mut ledger = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        let later = "UPDATE conversion_migrations SET installed_on = datetime('now', '+2 days')";
        sqlx::query(later).execute(&mut ledger).await.unwrap();
        ledger.close().await.unwrap();
    });
    let (code, out, err) = run(&["gate", "--to", "canary", "--config", &config], "");
    assert_eq!(code, 6, "{err}");
    let line = out.lines().find(|line| line.contains("ledger_age")).unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains("ahead of this machine's clock") && !line.contains("-1d"), "{line}");
}

#[test]
fn help_and_claims_are_in_words_that_fit() {
    for arguments in [&["ledger", "--help"][..], &["ledger", "stats", "--help"]] {
        let (_, out, _) = run(arguments, "");
        assert!(!out.contains("whole table"), "{out}");
    }
    let (_, out, _) = run(&["ledger", "stats", "--help"], "");
    assert!(out.contains("100,000"), "{out}");
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    super::words::make_claim(&format!("sqlite:{}", folder.path().join("ledger.db").display()));
    let (code, out, err) = run(&["ledger", "show", "r", "--config", &config], "");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1 begun") && !out.contains("still due before anything is sent"), "{out}");
}
