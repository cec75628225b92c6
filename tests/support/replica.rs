//! One running process of the binary: its log lines as they come, its signals, its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::watch;

use super::soon;

/// Killed when dropped.
pub(crate) struct Replica {
    child: Child,
    address: SocketAddr,
    log: watch::Receiver<Vec<Value>>,
    errors: Option<JoinHandle<String>>,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) errors: String,
}

impl Replica {
    /// Starts `serve` and returns when it serves, or when it has ended instead.
    pub(crate) async fn start(config: &Path) -> Result<Self, Ended> {
        Self::start_in(Path::new("."), config).await
    }

    /// [`Self::start`] with that working directory.
    pub(crate) async fn start_in(directory: &Path, config: &Path) -> Result<Self, Ended> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_conversion-shim"))
            .current_dir(directory)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut errors = child.stderr.take().unwrap();
        let (sender, log) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if line["target"] == "access" {
                    // One a request, and nobody asks for them.
                    continue;
                }
                sender.send_modify(|seen: &mut Vec<Value>| seen.push(line));
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut replica = Self { child, address: SocketAddr::from(([0; 4], 0)), log, errors: Some(errors) };
        let serving = replica.line_after(0, |line| line["message"] == "serving").await;
        match serving {
            Some(line) => {
                replica.address = line["address"].as_str().unwrap().parse().unwrap();
                Ok(replica)
            }
            None => Err(replica.ended().await),
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many lines it has logged: the place from which to wait for the next.
    pub(crate) fn lines(&self) -> usize {
        self.log.borrow().len()
    }

    /// How many such lines it has logged so far.
    pub(crate) fn logged(&self, is: impl Fn(&Value) -> bool) -> usize {
        self.log.borrow().iter().filter(|line| is(line)).count()
    }

    /// The first such line after the first `from`; `None` when the process ends without one.
    pub(crate) async fn line_after(&self, from: usize, is: impl Fn(&Value) -> bool) -> Option<Value> {
        soon(self.line_at_last(from, is)).await
    }

    /// As [`line_after`](Self::line_after), without a deadline.
    pub(crate) async fn line_at_last(&self, from: usize, is: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut log = self.log.clone();
        let find = |lines: &Vec<Value>| lines.iter().skip(from).find(|line| is(line)).cloned();
        let lines = log.wait_for(|lines| find(lines).is_some()).await.ok()?;
        find(&lines)
    }

    /// Ends it at once, at whatever it is doing, and returns when it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its own end.
    pub(crate) async fn ended(mut self) -> Ended {
        let waiting = tokio::task::spawn_blocking(move || {
            // Its output ends when it does; a bounded wait for that comes first.
            let errors = self.errors.take().map(|errors| errors.join().unwrap()).unwrap_or_default();
            let code = self.child.wait().unwrap().code();
            Ended { code, errors }
        });
        soon(waiting).await.unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
