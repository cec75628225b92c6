//! The proxy as a process of its own: the same binary, a config file that is rewritten, a ledger beside it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::DemoError;
use super::exchange::Http;
use crate::admin::documents::StatusDocument;
use crate::config::{Stage, keys};
use crate::sandbox::Sandbox;

/// The part of the config that stays.
const BASE: &str = include_str!("../../config/demo.toml");
/// A debug build on a busy machine takes a while.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Warnings and errors of the proxy that are shown if it fails.
const COMPLAINTS_KEPT: usize = 5;
const CLIENT: &str = "demo";

/// A child process; killed when dropped.
struct Process(Child);

impl Process {
    /// Its end, which is no signal that could be awaited without a thread.
    async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            sleep(ASK_EVERY).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the proxy counted, over its restarts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProxyCounts {
    /// Creates without a conclusive answer.
    pub(super) unknown: u64,
    /// Of them, those of which a lookup found the outcome.
    pub(super) resolved: u64,
    /// Duplicate checks before a create.
    pub(super) checks: u64,
}

impl ProxyCounts {
    const fn plus(self, other: Self) -> Self {
        Self {
            unknown: self.unknown + other.unknown,
            resolved: self.resolved + other.resolved,
            checks: self.checks + other.checks,
        }
    }
}

pub(super) struct Proxy {
    program: PathBuf,
    folder: PathBuf,
    upstream: String,
    ledger_id: String,
    new_in_use: bool,
    process: Option<Process>,
    public: SocketAddr,
    admin: SocketAddr,
    complaints: Arc<Mutex<VecDeque<String>>>,
    http: Http,
    /// Of processes that were killed.
    before: ProxyCounts,
    /// Of this one, when it was asked last.
    now: ProxyCounts,
    pub(super) restarts: u64,
}

impl Proxy {
    /// Makes the ledger and serves in stage `observe`.
    pub(super) async fn start(folder: &Path, vendor: &Sandbox) -> Result<Self, DemoError> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (base, token) = (vendor.base_url(), vendor.token_url());
        let urls = [(keys::LEGACY_URL, &base), (keys::NEW_URL, &base), (keys::OAUTH_URL, &token)];
        let mut proxy = Self {
            program: std::env::current_exe().map_err(|error| DemoError::Proxy(error.to_string()))?,
            folder: folder.to_owned(),
            upstream: urls.map(|(key, url)| format!("{key} = \"{url}\"\n")).concat(),
            ledger_id: String::new(),
            new_in_use: false,
            process: None,
            public: any,
            admin: any,
            complaints: Arc::default(),
            http: Http::new(),
            before: ProxyCounts::default(),
            now: ProxyCounts::default(),
            restarts: 0,
        };
        proxy.write(Stage::Observe)?;
        proxy.ledger_id = proxy.command(&["ledger", "init", "--quiet"]).await?;
        proxy.write(Stage::Observe)?;
        proxy.serve().await?;
        Ok(proxy)
    }

    /// The base URL of both APIs.
    pub(super) fn url(&self) -> String {
        format!("http://{}/v2", self.public)
    }

    /// URL of the operators' page.
    pub(super) fn page(&self) -> String {
        format!("http://{}/", self.admin)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// Replaces the config file, whole or not at all: the proxy may be reading it.
    fn write(&self, stage: Stage) -> Result<(), DemoError> {
        let mut text = format!("{} = \"{stage}\"\n{}", keys::STAGE, self.upstream);
        let ledger = format!("sqlite:{}", self.folder.join("ledger.db").display());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} = {}", keys::LEDGER_URL, toml_text(&ledger));
        let _ = writeln!(text, "{} = \"{}\"", keys::LEDGER_ID, self.ledger_id);
        let _ = writeln!(text, "{} = {}\n\n{BASE}", keys::LEDGER_NEW_IN_USE, self.new_in_use);
        let next = self.folder.join("next.toml");
        fs::write(&next, text).and_then(|()| fs::rename(next, self.config())).map_err(DemoError::Folder)
    }

    fn child(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--config").arg(self.config()).stdin(Stdio::null());
        // The config of the demo is its file alone.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SHIM_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs a command of this program, and returns what it printed.
    async fn command(&self, arguments: &[&str]) -> Result<String, DemoError> {
        let [out, err] = ["command.out", "command.err"].map(|name| self.folder.join(name));
        let failed =
            |error: &dyn std::fmt::Display| DemoError::Proxy(format!("`{}`: {error}", arguments.join(" ")));
        let file = |path| File::create(path).map_err(DemoError::Folder);
        let child = self.child(arguments).stdout(file(&out)?).stderr(file(&err)?).spawn();
        let mut process = Process(child.map_err(|error| failed(&error))?);
        let ended = timeout(START_TIMEOUT, process.ended()).await.map_err(|late| failed(&late))?;
        let status = ended.map_err(|error| failed(&error))?;
        let printed = fs::read_to_string(if status.success() { &out } else { &err });
        let printed = printed.map_err(DemoError::Folder)?.trim().to_owned();
        if status.success() { Ok(printed) } else { Err(failed(&printed)) }
    }

    /// Starts the process, on the addresses that it had, and returns when it serves.
    async fn serve(&mut self) -> Result<(), DemoError> {
        let listen = self.public.to_string();
        let admin = format!("{}={}", keys::ADMIN_LISTEN, self.admin);
        let failed = |error: std::io::Error| DemoError::Proxy(error.to_string());
        let errors = File::create(self.folder.join("serve.err")).map_err(DemoError::Folder)?;
        let mut command = self.child(&["serve", "--listen", &listen, "--set", &admin]);
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().map_err(failed)?;
        let (found, mut addresses) = mpsc::unbounded_channel();
        if let Some(out) = child.stdout.take() {
            let complaints = self.complaints.clone();
            std::thread::spawn(move || follow(out, &found, &complaints));
        }
        self.process = Some(Process(child));
        let serving = async {
            while let Some((message, address)) = addresses.recv().await {
                match message {
                    Message::Admin => self.admin = address,
                    Message::Serving => return Some(address),
                }
            }
            None
        };
        match timeout(START_TIMEOUT, serving).await {
            Ok(Some(address)) => self.public = address,
            _ => return Err(self.failed("it does not serve")),
        }
        Ok(())
    }

    /// What went wrong, with what the process logged of it.
    fn failed(&self, what: &str) -> DemoError {
        let mut text = what.to_owned();
        let logged = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = fs::read_to_string(self.folder.join("serve.err")).unwrap_or_default();
        for line in logged.iter().map(String::as_str).chain(errors.lines().take(COMPLAINTS_KEPT)) {
            text.push('\n');
            text.push_str(line);
        }
        DemoError::Proxy(text)
    }

    /// Runs `ledger open-new`, without which no create may go to the new API.
    pub(super) async fn open_new(&mut self) -> Result<(), DemoError> {
        self.command(&["ledger", "open-new", "--why", "the demo"]).await?;
        self.new_in_use = true;
        Ok(())
    }

    /// Rewrites the config and returns when the proxy has taken it over.
    pub(super) async fn go_to(&mut self, stage: Stage) -> Result<(), DemoError> {
        self.write(stage)?;
        let taken_over = async {
            while self.stage().await.as_deref() != Some(stage.as_str()) {
                sleep(ASK_EVERY).await;
            }
        };
        let late = timeout(RELOAD_TIMEOUT, taken_over).await;
        late.map_err(|_| self.failed(&format!("it does not go to stage {stage}")))
    }

    async fn stage(&self) -> Option<String> {
        let reply = self.http.get(&format!("{}status", self.page()), CLIENT).await?;
        let status: StatusDocument = serde_json::from_value(reply.json()).ok()?;
        Some(status.stage)
    }

    /// Ends the process as a crash does. What it counted since it was asked last is lost with it.
    pub(super) async fn kill(&mut self) {
        self.before = self.counts().await;
        self.now = ProxyCounts::default();
        self.process = None;
    }

    pub(super) async fn restart(&mut self) -> Result<(), DemoError> {
        self.restarts += 1;
        self.serve().await
    }

    /// From the metrics; as they were last while the proxy does not answer.
    pub(super) async fn counts(&mut self) -> ProxyCounts {
        if let Some(reply) = self.http.get(&format!("{}metrics", self.page()), CLIENT).await {
            let metrics = reply.text();
            let found = ["resolution=\"found\"", "resolution=\"conflict\""];
            self.now = ProxyCounts {
                unknown: sum(&metrics, "conversion_shim_unknown_outcomes_total", ""),
                resolved: found
                    .iter()
                    .map(|label| sum(&metrics, "conversion_shim_unknown_outcome_resolutions_total", label))
                    .sum(),
                checks: sum(&metrics, "conversion_shim_duplicate_checks_total", ""),
            };
        }
        self.before.plus(self.now)
    }
}

/// The sum of a metric over its label sets with that label.
fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let values = metrics.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        labels.contains(label).then(|| value.parse::<u64>().ok()).flatten()
    });
    values.sum()
}

/// A line of the log that has an address.
enum Message {
    Admin,
    Serving,
}

/// Reads the log of a process to its end.
fn follow(
    out: impl Read,
    found: &mpsc::UnboundedSender<(Message, SocketAddr)>,
    complaints: &Mutex<VecDeque<String>>,
) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let logged: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = || logged["address"].as_str()?.parse().ok();
        let message = match logged["message"].as_str() {
            Some("admin listener ready") => Some(Message::Admin),
            Some("serving") => Some(Message::Serving),
            _ => None,
        };
        if let Some((message, address)) = message.zip(address()) {
            // Nobody waits any more once it serves.
            let _ = found.send((message, address));
        } else if matches!(logged["level"].as_str(), Some("WARN" | "ERROR")) {
            let mut kept = complaints.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_back(line);
            while kept.len() > COMPLAINTS_KEPT {
                kept.pop_front();
            }
        }
    }
}

/// A TOML string. JSON escapes what TOML does, in the same way.
fn toml_text(text: &str) -> serde_json::Value {
    text.into()
}
