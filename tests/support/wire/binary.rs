//! The real program, as a process: what it prints, the signals it gets, how it ends.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::ledger;
use crate::support::soon;

/// Runs a command to its end: exit code, standard output, standard error.
pub(crate) fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A program that refuses before it reads has closed its end; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    texts(child.wait_with_output().unwrap())
}

fn texts(ended: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
}

/// As [`run`], with an input that is open already.
pub(crate) fn run_on(arguments: &[&str], input: Stdio) -> (i32, String, String) {
    texts(command(arguments).stdin(input).output().unwrap())
}

/// As [`run`] without an input, with a variable in the environment.
pub(crate) fn run_with(arguments: &[&str], name: &OsStr, value: &OsStr) -> (i32, String, String) {
    texts(command(arguments).env(name, value).output().unwrap())
}

fn command(arguments: &[&str]) -> Command {
    launched(&[], arguments)
}

fn launched(launcher: &[&str], arguments: &[&str]) -> Command {
    let mut line = [launcher, &[env!("CARGO_BIN_EXE_conversion-shim")], arguments].concat().into_iter();
    let mut command = Command::new(line.next().unwrap());
    command.args(line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SHIM_")) {
        command.env_remove(name);
    }
    command
}

/// `serve` on a free port.
pub(crate) struct Binary {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    printed: OutputLines,
}

/// Every line so far, of both outputs.
#[derive(Clone)]
struct OutputLines {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
}

impl OutputLines {
    fn listen(&self, output: impl Read + Send + 'static) {
        let printed = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                printed.lines.lock().unwrap().push(line);
                printed.count.send_modify(|count| *count += 1);
            }
        });
    }
}

impl Binary {
    /// Serves with that config file, in `dir`, and these flags.
    pub(crate) async fn serve(dir: TempDir, config: &str, flags: &[(&str, &str)]) -> Self {
        let file = dir.path().join("shim.toml");
        let goes_to_new = config.contains("\"sealed\"") || flags.contains(&("stage", "sealed"));
        let ledger = if goes_to_new && !config.contains("ledger") {
            let url = format!("sqlite:{}", dir.path().join("ledger.db").display());
            // Nothing is asked here of how it came so far.
            format!("{}gate.enforce = false\n", ledger::keys(&url, true))
        } else {
            String::new()
        };
        std::fs::write(&file, format!("{ledger}{config}")).unwrap();
        let flags: Vec<_> = flags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let file = file.to_str().unwrap().to_owned();
        let mut arguments = vec!["--config", &file];
        arguments.extend(flags.iter().flat_map(|flag| ["--set", flag]));
        Self::start(dir, &arguments).await
    }

    /// Serves with that config file, in `dir`, before the embedded vendor.
    pub(crate) async fn serve_sandbox(dir: TempDir, config: &str) -> Self {
        let file = dir.path().join("shim.toml");
        std::fs::write(&file, config).unwrap();
        let file = file.to_str().unwrap().to_owned();
        Self::start(dir, &["--sandbox", "--set", "sandbox.listen=127.0.0.1:0", "--config", &file]).await
    }

    /// Serves as a newcomer starts it, with the embedded vendor.
    pub(crate) async fn sandbox() -> Self {
        Self::start(tempfile::tempdir().unwrap(), &["--sandbox", "--set", "sandbox.listen=127.0.0.1:0"]).await
    }

    async fn start(dir: TempDir, more: &[&str]) -> Self {
        Self::run_by(&[], dir, more).serving().await
    }

    /// Begins to serve, and waits for nothing. `launcher` is a program with its arguments that runs the rest of its command line.
    pub(crate) fn run_by(launcher: &[&str], dir: TempDir, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
        arguments.extend(["--set", "admin.listen=", "--set", "log.format=json"]);
        arguments.extend(more);
        let mut child = launched(launcher, &arguments).spawn().unwrap();
        let printed = OutputLines { lines: Arc::default(), count: watch::Sender::new(0) };
        printed.listen(child.stdout.take().unwrap());
        printed.listen(child.stderr.take().unwrap());
        Self { child, address: ([127, 0, 0, 1], 0).into(), dir, printed }
    }

    /// Waits until it serves.
    pub(crate) async fn serving(mut self) -> Self {
        self.address = self.address_in("\"message\":\"serving\"").await;
        self
    }

    /// The address in the first line with these words.
    pub(crate) async fn address_in(&self, words: &str) -> SocketAddr {
        let line: Value = serde_json::from_str(&self.line(words).await).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line that holds all these words, once it is there.
    pub(crate) async fn line(&self, words: &str) -> String {
        self.lines(words, 1).await.remove(0)
    }

    /// The lines that hold these words, once there are so many.
    pub(crate) async fn lines(&self, words: &str, count: usize) -> Vec<String> {
        let mut changes = self.printed.count.subscribe();
        let matching = || -> Vec<String> {
            let all = self.printed.lines.lock().unwrap();
            all.iter().filter(|line| line.contains(words)).cloned().collect()
        };
        let waiting = async { changes.wait_for(|_| matching().len() >= count).await.map(drop) };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
        assert!(waited.is_ok(), "no {count} lines with {words:?} in {:#?}", self.output());
        matching()
    }

    /// All that was printed so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.printed.lines.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, once it has ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let waiting = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                // The end of a process is no signal that std would wait for with a deadline.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        soon(waiting).await
    }

    /// The most memory that it ever had, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
