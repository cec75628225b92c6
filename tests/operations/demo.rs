//! `demo` as a stranger runs it: to its end, with a double that somebody planted, and interrupted.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use conversion_shim::sandbox::{PROFILE, TOKEN};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::soon;

/// A running `demo --fast`, with temporary files in a folder of its own. Killed when dropped.
struct Demo {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
    temporary: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        // For this test's own client. The first of the tests wins, which is all that is needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temporary = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_conversion-shim"))
            .args(["demo", "--fast"])
            .args(arguments)
            .env("TMPDIR", temporary.path())
            // The config of the demo is its own.
            .env("SHIM_STAGE", "sealed")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                sender.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        Self { child, lines, temporary }
    }

    /// The first line with these words, once it is there.
    async fn line(&self, words: &str) -> String {
        let find = |lines: &Vec<String>| lines.iter().find(|line| line.contains(words)).cloned();
        let mut lines = self.lines.clone();
        let found = soon(lines.wait_for(|lines| find(lines).is_some())).await;
        let found = found.map(|lines| find(&lines).unwrap());
        found.unwrap_or_else(|_| panic!("it ended without {words:?}: {:#?}", self.lines.borrow()))
    }

    /// The word behind that one in the first line.
    async fn url(&self, label: &str) -> String {
        let line = self.line(label).await;
        let mut words = line.split_whitespace().map(|word| word.trim_end_matches(','));
        words.find(|word| *word == label).unwrap();
        words.next().unwrap().to_owned()
    }

    /// The address of the vendor, without the base path of its APIs.
    async fn vendor(&self) -> String {
        self.url("vendor").await.strip_suffix("/v2").unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The processes that it started and that still run.
    fn children(&self) -> Vec<PathBuf> {
        let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let parent = |process: &PathBuf| {
            let stat = std::fs::read_to_string(process.join("stat")).ok()?;
            // Behind the name, which may hold anything, come the state and the parent.
            stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
        };
        processes.filter(|process| parent(process) == Some(self.child.id())).collect()
    }

    /// Its exit code, once it has ended by itself, and all lines.
    async fn ended(mut self) -> (Option<i32>, Vec<String>, TempDir) {
        let mut lines = self.lines.clone();
        // The output ends with the process.
        soon(async { while lines.changed().await.is_ok() {} }).await;
        let code = self.child.wait().unwrap().code();
        let temporary = std::mem::replace(&mut self.temporary, tempfile::tempdir().unwrap());
        (code, lines.borrow().clone(), temporary)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_empty(folder: &TempDir) -> bool {
    std::fs::read_dir(folder.path()).unwrap().next().is_none()
}

/// References, conversions, twice, lost.
fn counts(line: &str) -> [usize; 4] {
    let numbers: Vec<_> = line.split(", ").map(|part| part.split_once(' ').unwrap()).collect();
    let words: Vec<_> = numbers.iter().map(|(_, word)| *word).collect();
    assert_eq!(words, ["references", "conversions", "twice", "lost"], "{line}");
    let numbers: Vec<_> = numbers.iter().map(|(number, _)| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[tokio::test]
async fn it_walks_to_the_end_and_keeps_its_page_on_request() {
    let demo = Demo::start(&["--seed", "7", "--page"]);
    let result = demo.line(" references, ").await;
    let [references, conversions, twice, lost] = counts(&result);
    assert_eq!((conversions, twice, lost), (references, 0, 0), "{result}");
    assert!(references > 50, "{result}");
    let page = demo.url("page").await;
    let status: Value = reqwest::get(format!("{page}status")).await.unwrap().json().await.unwrap();
    assert_eq!(status["stage"], "sealed");
    assert!(demo.lines.borrow().iter().any(|line| line.contains(&page) && line.contains("until Ctrl-C")));
    demo.signal("INT");
    let (code, lines, temporary) = demo.ended().await;
    assert_eq!((code, lines.last()), (Some(0), Some(&result)), "{lines:#?}");
    assert!(is_empty(&temporary));

    let text = lines.join("\n");
    let mut after = text.as_str();
    for step in ["observe", "shadow", "ready", "canary", "live", "hold", "back", "live", "sealed"] {
        after = after.split_once(&format!(" s {step}: ")).unwrap_or_else(|| panic!("no {step}: {text}")).1;
    }
    assert_eq!(text.matches("SIGKILL to the proxy").count(), 2, "{text}");
    assert!(text.contains("the vendor is back") && !text.contains('\x1b'), "{text}");
    // Each of the numbers that the faults are for.
    let number = |label: &str| -> u64 {
        let (_, after) = text.split_once(label).unwrap_or_else(|| panic!("no {label:?}: {text}"));
        after.split_whitespace().next().unwrap().parse().unwrap()
    };
    for label in ["         retries  ", "outcomes  ", "duplicate checks  "] {
        assert!(number(label) > 0, "{label}: {text}");
    }
}

#[tokio::test]
async fn a_planted_double_is_counted_and_fails_it() {
    let demo = Demo::start(&["--seed", "8"]);
    // From here on the new API loses no answers for a while.
    demo.line(" s hold: ").await;
    let (vendor, http) = (demo.vendor().await, reqwest::Client::new());
    let books_now: Value =
        reqwest::get(format!("{vendor}/sandbox/inspector")).await.unwrap().json().await.unwrap();
    let by_ref = books_now["conversions_by_ref"].as_object().unwrap();
    let (reference, _) = by_ref.iter().find(|(_, sides)| sides["legacy"] == 1).unwrap();
    // Past the proxy, on the other side: the only way to make a double.
    let profile = json!({ "profile": { "profile_id": PROFILE } });
    let create =
        http.post(format!("{vendor}/v2/orchestration/orchestrations")).bearer_auth(TOKEN).json(&json!({
            "ref_id": reference, "source_amount": "1", "source_asset": "USD", "destination_asset": "PYUSD",
            "source": profile, "destination": profile,
        }));
    assert_eq!(create.send().await.unwrap().status(), StatusCode::OK);
    let (code, lines, temporary) = demo.ended().await;
    let result = lines.last().unwrap();
    let [references, conversions, twice, lost] = counts(result);
    assert_eq!((code, conversions, twice, lost), (Some(6), references + 1, 1, 0), "{lines:#?}");
    assert!(is_empty(&temporary));
}

/// The amounts of the first creates of two clients.
async fn first_amounts(demo: &Demo) -> [String; 2] {
    let (vendor, http) = (demo.vendor().await, reqwest::Client::new());
    let amount = async |reference: &str| {
        let url = format!("{vendor}/v2/conversion/stablecoins?ref_id={reference}");
        let found: Value = http.get(url).bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap();
        found["items"][0]["amount"].as_str().unwrap_or_default().to_owned()
    };
    [amount("client-1-1").await, amount("client-2-1").await]
}

#[tokio::test]
async fn an_interrupt_leaves_no_process_and_no_folder_and_a_seed_is_a_plan() {
    let mut plans = Vec::new();
    for (seed, signal) in [("7", "INT"), ("7", "TERM"), ("9", "HUP")] {
        let demo = Demo::start(&["--seed", seed]);
        // All clients have created something, and the proxy is about to be killed, or just was.
        demo.line(" s SIGKILL").await;
        plans.push(first_amounts(&demo).await);
        assert!(!is_empty(&demo.temporary), "its folder is there");
        demo.line(" s the proxy serves again").await;
        let children = demo.children();
        assert_eq!(children.len(), 1, "{children:?}");
        demo.signal(signal);
        let (code, lines, temporary) = demo.ended().await;
        assert_eq!(code, Some(1), "{lines:#?}");
        assert!(!lines.last().unwrap().contains("references"), "{lines:#?}");
        assert!(is_empty(&temporary), "{signal} leaves its folder");
        assert!(children.iter().all(|child| !child.exists()), "{signal} leaves its process");
    }
    assert_eq!(plans[0], plans[1]);
    assert_ne!(plans[0], plans[2]);
    assert!(plans.iter().flatten().all(|amount| !amount.is_empty()), "{plans:?}");
}
