//! The program as its users run it: what it prints, where, and the exit code.

use crate::support::wire::binary::{Binary, run};
use crate::support::wire::conversion;

#[test]
fn help_is_written_for_a_person_and_documents_the_exit_codes() {
    let (code, out, _) = run(&["--help"], "");
    assert_eq!(code, 0);
    for word in ["serve", "check", "translate", "--sandbox", "Exit codes", "  4  "] {
        assert!(out.contains(word), "{word} is not in {out}");
    }
    for command in ["serve", "check", "translate"] {
        assert_eq!(run(&[command, "--help"], "").0, 0, "{command}");
    }
}

#[test]
fn invalid_arguments_are_code_2() {
    for arguments in
        [&["sevre"][..], &[], &["serve", "--sandbx"], &["check", "--set", "stage"], &["translate", "GET"]]
    {
        let (code, out, complaint) = run(arguments, "");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        let named = complaint.starts_with("conversion-shim: invalid arguments: ");
        assert_eq!(named, !arguments.is_empty(), "{complaint}");
        assert!(!complaint.is_empty());
    }
}

/// A walk over nothing is clean, and would be evidence.
#[test]
fn a_reconcile_without_a_window_is_code_2() {
    for (from, to) in [("1h", "2h"), ("1h", "1h"), ("2090-01-01T00:00:00Z", "1h")] {
        let (code, out, complaint) = run(&["reconcile", "--from", from, "--to", to], "");
        assert_eq!((code, out.as_str()), (2, ""), "{from} {to}");
        assert!(complaint.contains("--from must be before --to"), "{complaint}");
    }
    assert_eq!(run(&["reconcile", "--from", "5m"], "").0, 2, "the default end is ten minutes ago");
}

#[test]
fn serve_without_a_config_refuses_and_says_what_to_do() {
    let (code, out, complaint) = run(&["serve"], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        complaint.contains("serve --sandbox") && complaint.contains("serve --config FILE"),
        "{complaint}"
    );
}

#[test]
fn check_prints_every_value_with_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, "stage = \"ready\"\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, out, complaint) =
        run(&["check", "--config", file, "--listen", "127.0.0.1:1", "--set", "replicas=2"], "");
    assert_eq!((code, complaint.as_str()), (0, ""));
    let row = |key: &str| -> Vec<&str> {
        let line = out.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no {key} in {out}"))
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect()
    };
    assert_eq!(row("listen"), ["listen", "127.0.0.1:1", "flag --listen"]);
    assert_eq!(row("stage"), ["stage", "ready", &format!("file {file}")]);
    assert_eq!(row("replicas"), ["replicas", "2", "flag --set"]);
    assert_eq!(row("base_path"), ["base_path", "/v2", "default"]);
}

#[test]
fn every_problem_of_a_config_is_printed_and_exits_with_3() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, "stge = \"sealed\"\nbase_path = \"v2\"\n[upstream.legcy]\nurl = \"x\"\n").unwrap();
    for command in ["check", "serve"] {
        let (code, out, complaint) = run(&[command, "--config", file.to_str().unwrap()], "");
        assert_eq!((code, out.as_str()), (3, ""), "{command}");
        for words in ["did you mean stage?", "base_path", "did you mean upstream.legacy?"] {
            assert!(complaint.contains(words), "{words} is not in {complaint}");
        }
    }
    assert_eq!(run(&["check", "--config", "/nowhere/shim.toml"], "").0, 3);
}

#[test]
fn a_ledger_that_serve_cannot_open_is_refused_by_check_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    let path = dir.path().join("ledger.db").display().to_string();
    let urls = [
        format!("sqlite:{path}?mode=rwc"),
        format!("sqlite:{path}#x"),
        "postgres://user:hidden@host/db?sslmode=bogus".into(),
        "postgres://user:hidden@host/db?pool=3".into(),
        "postgres://user:hidden@host:port/db".into(),
    ];
    for url in urls {
        std::fs::write(
            &file,
            format!("listen = \"127.0.0.1:0\"\nadmin.listen = \"\"\nledger.url = \"{url}\"\n"),
        )
        .unwrap();
        for command in ["check", "serve"] {
            let (code, out, complaint) = run(&[command, "--config", file.to_str().unwrap()], "");
            assert_eq!((code, out.as_str()), (3, ""), "{command} {url}");
            assert!(complaint.contains("ledger.url") && !complaint.contains("hidden"), "{complaint}");
        }
    }
}

#[tokio::test]
async fn a_port_in_use_is_code_1_and_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, "").unwrap();
    let (code, _, complaint) = run(
        &["serve", "--config", file.to_str().unwrap(), "--listen", &address, "--set", "admin.listen="],
        "",
    );
    assert_eq!(code, 1);
    assert!(complaint.contains(&format!("listen {address}")), "{complaint}");
}

#[test]
fn the_sandbox_starts_with_nothing_and_prints_requests_that_work() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shim = runtime.block_on(Binary::sandbox());
    let mut curls = runtime.block_on(shim.lines("curl -H", 5));
    curls.retain(|line| line.starts_with("curl "));
    assert_eq!(curls.len(), 5, "{curls:#?}");
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return; // Nothing to paste them into on this machine.
    }
    for curl in curls {
        let pasted = curl
            .replacen("curl ", "curl -sS --noproxy '*' --max-time 20 --fail ", 1)
            .replace("curl -s ", "curl -s --noproxy '*' ");
        let ran = std::process::Command::new("sh").args(["-c", &pasted]).output().unwrap();
        let out = String::from_utf8(ran.stdout).unwrap();
        assert!(
            ran.status.success() && out.starts_with('{'),
            "{curl}\n{out}{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

#[test]
fn translate_shows_the_new_call() {
    let body = conversion("r").to_string();
    for arguments in [&["translate"][..], &["translate", "POST", "/v2/conversion/stablecoins"]] {
        let (code, out, complaint) = run(arguments, &body);
        assert_eq!((code, complaint.as_str()), (0, ""));
        assert!(out.starts_with("POST /v2/orchestration/orchestrations\n\n{"), "{out}");
        assert!(
            out.contains("\"source_amount\": \"100\"") && out.contains("\"destination_asset\": \"PYUSD\""),
            "{out}"
        );
    }
    let list = "/v2/conversion/stablecoins?created_at.begin=2026-04-20T11:00:00Z&limit=5";
    let (code, out, _) = run(&["translate", "GET", list], "");
    assert_eq!(
        (code, out.as_str()),
        (0, "GET /v2/orchestration/orchestrations?created_at.gte=2026-04-20T11:00:00Z&limit=5\n")
    );
    let (code, out, _) = run(&["translate", "GET", "/v2/conversion/stablecoins/one"], "");
    assert_eq!((code, out.as_str()), (0, "GET /v2/orchestration/orchestrations/one\n"));
}

#[test]
fn translate_shows_an_orchestration_as_a_conversion() {
    let orchestration = r#"{"id":"i","ref_id":"r","source_asset":"USD","destination_asset":"PYUSD","source_amount":"100",
        "status":"COMPLETED","updated_at":"2026-05-01T00:00:00Z"}"#;
    let (code, out, complaint) = run(&["translate", "--back"], orchestration);
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert!(out.contains("\"amount\": \"100\"") && out.contains("\"status\": \"SETTLED\""), "{out}");
    let (code, _, note) = run(&["translate", "--back"], &orchestration.replace("COMPLETED", "DREAMING"));
    assert!(code == 0 && note.contains("DREAMING"), "{note}");
}

#[test]
fn what_cannot_be_translated_is_code_4_and_says_why() {
    for (arguments, input, word) in [
        (&["translate"][..], "{}", "profile_id"),
        (&["translate"], "not json", "body"),
        (&["translate", "GET", "/v2/profiles"], "", "pass it through"),
        (&["translate", "DELETE", "/v2/conversion/stablecoins/i"], "", "cannot cancel"),
        (&["translate", "GET", "/v2/conversion/stablecoins?limit=0"], "", "limit"),
        (
            &["translate", "--back"],
            r#"{"id":"i","source_asset":"USD","destination_asset":"USD"}"#,
            "SameAsset",
        ),
        (&["translate", "--back"], "[]", ""),
    ] {
        let (code, out, complaint) = run(arguments, input);
        assert_eq!((code, out.as_str()), (4, ""), "{arguments:?} {input}");
        assert!(complaint.contains(word), "{complaint}");
    }
}

#[test]
fn the_config_of_a_gate_may_come_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let text = crate::support::ledger::keys(&url, false);
    let (code, out, complaint) = run(&["gate", "--to", "live", "--config", "-"], &text);
    assert!(code == 6 && out.contains("MISSING"), "{code} {complaint}");
}

#[test]
fn translate_says_what_becomes_of_a_write_outside_the_four_routes() {
    let (code, _, complaint) = run(&["translate", "PUT", "/v2/conversion/stablecoins"], "");
    assert!(code == 4 && complaint.contains("404") && complaint.contains("ledger"), "{code} {complaint}");
    let (_, _, complaint) = run(&["translate", "GET", "/v2/profiles"], "");
    assert!(complaint.contains("pass it through"), "{complaint}");
}

#[test]
fn a_backup_that_cannot_be_written_blames_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let config = folder.path().join("shim.toml");
    std::fs::write(&config, crate::support::ledger::keys(&url, false)).unwrap();
    let config = config.to_str().unwrap();
    let (code, _, complaint) = run(&["ledger", "backup", "/nonexistent/x.db", "--config", config], "");
    assert!(code == 1 && complaint.contains("/nonexistent"), "{complaint}");
    assert!(!complaint.contains("not available"), "{complaint}");
}
