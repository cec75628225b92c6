//! What a command writes never takes the place of what it or the proxy needs: the ledger, the config, secrets and its own inputs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::ledger;
use crate::support::wire::binary::{run, run_on};

const REPORT: &str = "UniqueTxID,ProfileID,Resource,ResourceID,TransactionType,Direction,Amount,Assets,ResourceTimestamp\n\
     1,p,CONVERSION,c,CONVERSION_CREATION,DEBIT,1,USD,2025-10-09T08:53:21Z\n";

/// What is needed, by all its names.
const KEPT: [&str; 16] = [
    "ledger.db",
    "ledger.db-wal",
    "ledger.db-shm",
    "ledger.db-journal",
    "ledger.db.lock",
    "link.html",
    "hard.html",
    "sub/../ledger.db",
    "also/ledger.db",
    "also/ledger.db-wal",
    "shim.toml",
    "config.html",
    "secret",
    "shadow.jsonl",
    "shadow.jsonl.1",
    "shadow.jsonl.2",
];

/// A config with all that it names, in a folder.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let secret = files.write("secret", "hush");
        files.write("token", "bearer");
        files.write("report.csv", REPORT);
        files.write("shadow.jsonl", "");
        files.write("shadow.jsonl.1", "older");
        files.write("log.jsonl", "{}\n");
        let url = format!("sqlite:{}", files.path("ledger.db").display());
        let keys = ledger::keys(&url, false);
        files.write(
            "shim.toml",
            &format!(
                "{keys}shadow.log = \"{}\"\nauth.lookup.client_id = \"x\"\nauth.lookup.client_secret_file = \"{secret}\"\n\
                 upstream.legacy.url = \"http://127.0.0.1:9\"\nupstream.new.url = \"http://127.0.0.1:9\"\n\
                 upstream.oauth.url = \"http://127.0.0.1:9\"\n",
                files.path("shadow.jsonl").display()
            ),
        );
        fs::create_dir(files.path("sub")).unwrap();
        symlink(files.path("ledger.db"), files.path("link.html")).unwrap();
        symlink(files.folder.path(), files.path("also")).unwrap();
        fs::hard_link(files.path("ledger.db"), files.path("hard.html")).unwrap();
        fs::hard_link(files.path("shim.toml"), files.path("config.html")).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        all.sort();
        all
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn no_output_takes_the_place_of_what_is_needed() {
    let files = Files::new();
    let before = files.content();
    let [config, token, report, log] =
        ["shim.toml", "token", "report.csv", "log.jsonl"].map(|name| files.path(name));
    let (config, token, report, log) = (text(&config), text(&token), text(&report), text(&log));
    let reconcile = ["reconcile", "--token-file", token, "--report", report, "--html"];
    let shadow = ["report", log, "--html"];
    let facts = ["probe", "--read-only", "--token-file", token, "--out"];
    let pairs = ["probe", "--profile-id", "p", "--token-file", token, "--pairs", "1", "--pairs-log"];
    let all: [(&[&str], &[&str]); 4] = [
        (&reconcile, &["token", "report.csv"]),
        (&shadow, &["log.jsonl"]),
        (&facts, &["token"]),
        (&pairs, &["token"]),
    ];
    for (command, inputs) in all {
        let flag = command.last().unwrap();
        for name in KEPT.iter().chain(inputs) {
            let target = files.path(name);
            let (code, out, err) = run(&[command, &[text(&target), "--config", config]].concat(), "");
            assert_eq!((code, out.as_str()), (2, ""), "{command:?} {name}: {err}");
            assert!(
                err.contains(&format!("{flag}: ")) && err.contains(text(&target)),
                "{command:?} {name}: {err}"
            );
            let after = files.content();
            assert!(before == after, "{command:?} {name}: {err}");
        }
    }
    for name in ["ledger.db-wal", "ledger.db-shm", "ledger.db-journal"] {
        let (code, _, err) = run(&["ledger", "backup", text(&files.path(name)), "--config", config], "");
        assert!(code == 2 && err.contains(name), "{name}: {code} {err}");
        assert!(!files.path(name).exists());
    }
}

#[test]
fn comparisons_of_pairs_are_appended_only_to_such() {
    let files = Files::new();
    let config = files.path("shim.toml");
    for (name, content) in [
        ("notes.txt", "what I must not lose\n"),
        ("other.jsonl", "{\"level\":\"INFO\",\"message\":\"serving\"}\n"),
        ("cut", "{\"target\":\"shadow\",\"kind\":\"pa"),
    ] {
        let target = files.write(name, content);
        let probe = ["probe", "--profile-id", "p", "--pairs", "1", "--pairs-log", &target];
        let (code, out, err) = run(&[&probe[..], &["--config", text(&config)]].concat(), "");
        assert_eq!((code, out.as_str()), (2, ""), "{name}: {err}");
        assert!(err.contains("--pairs-log: ") && err.contains(&target), "{name}: {err}");
        assert_eq!(fs::read_to_string(&target).unwrap(), content);
    }
}

#[test]
fn an_input_that_the_shell_opened_stays() {
    let files = Files::new();
    let (log, config) = (files.path("log.jsonl"), files.path("shim.toml"));
    fs::hard_link(&log, files.path("other name")).unwrap();
    for page in ["log.jsonl", "other name"] {
        let page = files.path(page);
        let arguments = ["report", "--html", text(&page), "--config", text(&config)];
        let (code, out, err) = run_on(&arguments, fs::File::open(&log).unwrap().into());
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("the standard input"), "{err}");
        assert_eq!(fs::read_to_string(&log).unwrap(), "{}\n");
    }
}
