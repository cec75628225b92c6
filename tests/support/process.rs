//! The binary as a process of its own, with a config file that a test may rewrite.
use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversion_shim::sandbox::Sandbox;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use super::ledger;

/// A config: the vendor and free ports, then what the test adds.
pub(crate) struct Config {
    directory: TempDir,
    base: String,
    /// Whether its SQLite ledger was opened for creates on the new API.
    opened: Cell<bool>,
}

impl Config {
    pub(crate) fn new(vendor: &Sandbox) -> Self {
        let mut base = String::from(
            "listen = \"127.0.0.1:0\"\nlog.format = \"json\"\nreload.poll_interval = \"100ms\"\n",
        );
        for (side, url) in
            [("legacy", vendor.base_url()), ("new", vendor.base_url()), ("oauth", vendor.token_url())]
        {
            writeln!(base, "upstream.{side}.url = \"{url}\"").unwrap();
        }
        Self { directory: tempfile::tempdir().unwrap(), base, opened: Cell::new(false) }
    }

    /// Where a SQLite ledger may be.
    pub(crate) fn sqlite(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("shim.toml")
    }

    /// A file beside the config.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes the config: the base, an admin listener on a free port, a SQLite ledger, and `more`. The ledger is made, and opened for
    /// creates on the new API before the first of them.
    pub(crate) fn write(&self, more: &str) {
        let opens = ["\"canary\"", "\"live\"", "\"sealed\"", "create = \"new\""];
        let first = opens.iter().any(|mode| more.contains(mode)) && !self.opened.replace(true);
        let url = format!("sqlite:{}", self.sqlite().display());
        if first || !self.sqlite().exists() {
            ledger::make(&url, self.opened.get());
        }
        let (id, opened) = (ledger::ID, self.opened.get());
        self.write_only(&format!(
            "ledger.url = \"{url}\"\nledger.id = \"{id}\"\nledger.new_in_use = {opened}\nadmin.listen = \"127.0.0.1:0\"\n{more}"
        ));
    }

    /// Writes the config: the base and `more`. Whole or not at all: the proxy may be reading it.
    pub(crate) fn write_only(&self, more: &str) {
        // Most tests begin where an operator arrives after weeks; those about gates mention them.
        let gates =
            if more.contains("gate.") || more.contains("[gate") { "" } else { "gate.enforce = false\n" };
        let new = self.file("new.toml", &format!("{}{gates}{more}", self.base));
        std::fs::rename(new, self.path()).unwrap();
    }
}

/// A running `serve`. Killed when dropped.
pub(crate) struct Shim {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    lines: watch::Receiver<usize>,
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Shim {
    pub(crate) async fn start(config: &Config) -> Self {
        Self::serve(&["--config", config.path().to_str().unwrap()]).await
    }

    pub(crate) async fn start_within(config: &Config, environment: &[(&str, &str)]) -> Self {
        Self::run(&["--config", config.path().to_str().unwrap()], environment).await
    }

    pub(crate) async fn serve(arguments: &[&str]) -> Self {
        Self::run(arguments, &[]).await
    }

    pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command.envs(environment.iter().copied());
        command.arg("serve").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (counted, lines) = watch::channel(0);
        let (out, into) = (child.stdout.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                into.lock().unwrap().push(line);
                counted.send_modify(|count| *count += 1);
            }
        });
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut shim = Self { child, log, lines, public: unset, admin: None };
        let serving = shim.logged("serving").await;
        shim.public = serving["address"].as_str().unwrap().parse().unwrap();
        let admin = shim.log().into_iter().find(|line| line["message"] == "admin listener ready");
        shim.admin = admin.map(|line| line["address"].as_str().unwrap().parse().unwrap());
        shim
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// The first line with this message, now or when it comes.
    pub(crate) async fn logged(&self, message: &str) -> Value {
        self.line_that(message, |line| line["message"] == message).await
    }

    /// The first line of that kind, now or when it comes.
    pub(crate) async fn line_that(&self, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut lines = self.lines.clone();
        let coming = async {
            loop {
                lines.mark_unchanged();
                if let Some(line) = self.log().into_iter().find(&is_it) {
                    return line;
                }
                if lines.changed().await.is_err() {
                    panic!("the process ended without {kind:?}: {:?}", self.log());
                }
            }
        };
        let line = tokio::time::timeout(Duration::from_secs(30), coming).await;
        line.unwrap_or_else(|_| panic!("no line {kind:?}: {:?}", self.log()))
    }

    pub(crate) fn public(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    pub(crate) fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin_address())
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the admin listener is on")
    }

    pub(crate) fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// The exit code, once it has ended by itself.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not end");
    }

    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().unwrap()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The text behind the first of the lines with this label.
    pub(crate) fn row(&self, label: &str) -> &str {
        let line = self.out.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix("  "));
        line.unwrap_or_else(|| panic!("no {label:?} in {self:?}")).trim_start()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command to its end.
pub(crate) async fn run(arguments: &[&str]) -> Ran {
    run_within(arguments, &[]).await
}

/// [`run`] with arguments that need not be UTF-8.
pub(crate) async fn run_raw(arguments: &[&OsStr]) -> Ran {
    run_within(arguments, &[]).await
}

/// [`run`] with further variables in its environment.
pub(crate) async fn run_within<A: AsRef<OsStr>>(arguments: &[A], environment: &[(&str, &str)]) -> Ran {
    let mut command = binary();
    command.args(arguments).envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command with a config file.
pub(crate) async fn run_with(config: &Path, arguments: &[&str]) -> Ran {
    run(&[arguments, &["--config", config.to_str().unwrap()]].concat()).await
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conversion-shim"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SHIM_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// All that a finished process wrote there.
pub(crate) fn read_all(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}
