//! Debian's Chromium without a window, spoken to over the two pipes of its debugging protocol.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest wait for one answer.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: Option<String>,
    number: u64,
    /// The page that was opened.
    page: String,
    /// What the page complained of.
    pub(crate) complaints: Vec<Value>,
    _dir: TempDir,
}

impl Browser {
    /// `None`, with a message, when this machine has no Chromium. In CI (`CI` is set) that is a failure.
    pub(crate) fn start() -> Option<Self> {
        if Command::new("chromium").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "chromium is missing, and this is CI");
            eprintln!("skipped: no chromium on this machine");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let made = Command::new("mkfifo").args([path("commands"), path("messages")]).status().unwrap();
        assert!(made.success());
        // The protocol's pipes are descriptors 3 and 4; the shell puts them there.
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
            --remote-debugging-pipe --user-data-dir=\"$1/profile\" about:blank 3<\"$1/commands\" 4>\"$1/messages\"";
        let mut child = Command::new("sh");
        child.args(["-c", script, "sh"]).arg(dir.path());
        let child = child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let commands = File::options().write(true).open(path("commands")).unwrap();
        let messages = listen(File::open(path("messages")).unwrap());
        let mut it = Self {
            child,
            commands,
            messages,
            session: None,
            number: 0,
            page: String::new(),
            complaints: Vec::new(),
            _dir: dir,
        };
        let target = it.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = it.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        it.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            it.call(domain, json!({}));
        }
        Some(it)
    }

    /// Sends a command and waits for its answer; complaints that come before it are kept.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = self.next();
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    fn next(&mut self) -> Value {
        let message = self.messages.recv_timeout(WAIT_MAX).expect("the browser answers in time");
        let event = message["method"].as_str().unwrap_or_default();
        // Whatever is logged, thrown, or asked for beyond the page itself is one complaint too many.
        let loaded = message["params"]["request"]["url"].as_str().is_some_and(|url| url != self.page);
        if event.starts_with("Log.entryAdded")
            || event.starts_with("Runtime.exception")
            || event == "Runtime.consoleAPICalled"
            || loaded
        {
            self.complaints.push(message.clone());
        }
        message
    }

    /// Opens a page, in a window of that width, light or dark, and returns when it is loaded.
    pub(crate) fn open(&mut self, url: &str, width: u32, scheme: &str) {
        let scheme = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": scheme}));
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        url.clone_into(&mut self.page);
        self.call("Page.navigate", json!({"url": url}));
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    /// What an expression is in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The whole page as a PNG, for a person.
    pub(crate) fn screenshot(&mut self, file: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true}));
        let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, png).unwrap();
    }
}

fn listen(messages: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(messages).split(0).map_while(Result::ok) {
            if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
