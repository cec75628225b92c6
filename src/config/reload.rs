//! Reloads the config while the proxy runs: detects a change, checks the new config, and swaps one pointer or nothing.
//!
//! Compares contents instead of watching file events, which miss the symlink swap of a mounted Kubernetes volume. Checks on
//! a timer, on SIGHUP, and on request through a [`ReloadHandle`]. The files that hold secrets, and facts.file, are compared with the
//! config file and read with it. It reads no certificates: their owner is notified through [`ReloadHandle::files_changed`].

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::layers::Digest256;
use super::load::{Loaded, explain, load, name_sources};
use super::problem::{ConfigProblem, are_same};
use super::reload_history::{ConfigChange, ReloadHistory};
use super::restart_required;
use super::snapshot::Config;
use super::sources::Sources;
use super::watched_files::{Contents, FileThread, WatchedFile};

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The effective config is the configured one.
    Unchanged,
    /// A new snapshot is in effect.
    Accepted {
        /// Its [`Config::hash`].
        hash: String,
    },
    /// The config is refused; the old one stays in effect.
    Refused(Vec<ConfigProblem>),
    /// The config file cannot be read; the old config stays in effect.
    Unreadable,
}

/// Called before every swap for the rules that need the ledger: see [`Config::check_against_history`]. Returns a problem if
/// the ledger cannot be asked.
pub type ReloadGuard =
    Box<dyn Fn(Arc<Config>) -> Pin<Box<dyn Future<Output = Vec<ConfigProblem>> + Send>> + Send + Sync>;

/// Keeps the snapshot up to date. Made by [`watcher`], driven by [`Watcher::run`].
pub struct Watcher {
    sources: Sources,
    running: Loaded,
    current: Arc<ArcSwap<Config>>,
    guard: ReloadGuard,
    /// The content at the last check. The first check always reads the file, so a change since the start is not missed.
    seen: Option<Digest256>,
    /// The content of the files that the config names at the last check; `None` before the first.
    named: Option<Digest256>,
    /// Why the config file could not be read at the last check.
    unreadable: Option<String>,
    /// Why the last check refused the config. While it is not empty every check loads again, because the cause may lie
    /// outside the file: in the ledger, or in a secret's file.
    refused: Vec<ConfigProblem>,
    watched: Vec<WatchedFile>,
    requests: mpsc::Receiver<ReloadRequest>,
    outcomes: watch::Sender<ReloadOutcome>,
    history: watch::Sender<ReloadHistory>,
    files: watch::Sender<u64>,
    checks: watch::Sender<u64>,
    thread: FileThread,
    hangups: Signal,
}

struct ReloadRequest {
    trigger: Trigger,
    reply: oneshot::Sender<ReloadOutcome>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// The timer: skips unchanged content and logs a problem once.
    Timer,
    /// SIGHUP or a request: loads and logs in any case.
    Explicit,
}

/// Observes a running [`Watcher`]. Tests also ask it for a check, instead of waiting for the timer.
#[derive(Clone)]
#[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "tests read `requests` and `outcomes`"))]
pub struct ReloadHandle {
    requests: mpsc::Sender<ReloadRequest>,
    outcomes: watch::Receiver<ReloadOutcome>,
    history: watch::Receiver<ReloadHistory>,
    files: watch::Receiver<u64>,
    checks: watch::Receiver<u64>,
}

#[cfg(feature = "testing")]
impl ReloadHandle {
    /// Checks now, as SIGHUP does. `None` when the watcher has stopped.
    pub async fn reload(&self) -> Option<ReloadOutcome> {
        self.request(Trigger::Explicit).await
    }

    /// Checks now, as the timer does. `None` when the watcher has stopped.
    pub async fn poll(&self) -> Option<ReloadOutcome> {
        self.request(Trigger::Timer).await
    }

    /// The outcome of every check; a slow observer sees only the latest.
    #[must_use]
    pub fn outcomes(&self) -> watch::Receiver<ReloadOutcome> {
        self.outcomes.clone()
    }

    async fn request(&self, trigger: Trigger) -> Option<ReloadOutcome> {
        let (reply, outcome) = oneshot::channel();
        self.requests.send(ReloadRequest { trigger, reply }).await.ok()?;
        outcome.await.ok()
    }
}

impl ReloadHandle {
    /// Totals and the last reloads; a slow observer misses none of them.
    #[must_use]
    pub fn history(&self) -> watch::Receiver<ReloadHistory> {
        self.history.clone()
    }

    /// Increases with every check: by the timer, by SIGHUP, on request. For what else is to be looked at then.
    #[must_use]
    pub fn checks(&self) -> watch::Receiver<u64> {
        self.checks.clone()
    }

    /// Increases whenever the content of a watched file changes. The first check counts too, because a file may have
    /// changed since it was read at start.
    #[must_use]
    pub fn files_changed(&self) -> watch::Receiver<u64> {
        self.files.clone()
    }
}

/// A watcher for the sources of `loaded`, and a handle to it. It swaps `current`. `files` are watched in addition (TLS): see
/// [`ReloadHandle::files_changed`].
///
/// # Errors
/// If no handler for SIGHUP can be installed. From here on none is missed.
pub fn watcher(
    sources: Sources,
    loaded: Loaded,
    current: Arc<ArcSwap<Config>>,
    files: Vec<PathBuf>,
    guard: ReloadGuard,
) -> io::Result<(Watcher, ReloadHandle)> {
    let (request_sender, requests) = mpsc::channel(1);
    let (outcomes, outcome_receiver) = watch::channel(ReloadOutcome::Unchanged);
    let (history, history_receiver) = watch::channel(ReloadHistory::new());
    let (changed, changed_receiver) = watch::channel(0);
    let (checks, checks_receiver) = watch::channel(0);
    let watcher = Watcher {
        sources,
        running: loaded,
        current,
        guard,
        seen: None,
        named: None,
        unreadable: None,
        refused: Vec::new(),
        watched: files.into_iter().map(WatchedFile::new).collect(),
        requests,
        outcomes,
        history,
        files: changed,
        checks,
        thread: FileThread::default(),
        hangups: signal(SignalKind::hangup())?,
    };
    let handle = ReloadHandle {
        requests: request_sender,
        outcomes: outcome_receiver,
        history: history_receiver,
        files: changed_receiver,
        checks: checks_receiver,
    };
    Ok((watcher, handle))
}

impl Watcher {
    /// Checks for changes until the task is dropped.
    pub async fn run(mut self) {
        loop {
            // Read anew in each round, so that a reload may change it.
            let interval = tokio::time::sleep(self.running.config.reload.poll_interval);
            tokio::select! {
                () = interval => self.check(Trigger::Timer).await,
                Some(()) = self.hangups.recv() => self.check(Trigger::Explicit).await,
                Some(ReloadRequest { trigger, reply }) = self.requests.recv() => {
                    let outcome = self.check(trigger).await;
                    // The reload is done even if the requester is gone.
                    let _ = reply.send(outcome.clone());
                    outcome
                }
            };
        }
    }

    async fn check(&mut self, trigger: Trigger) -> ReloadOutcome {
        let contents = self.contents().await;
        let outcome = match contents {
            Ok(contents) => {
                // No short circuit: every file's digest must be updated.
                let changed = self.watched.iter_mut().zip(contents.watched);
                if changed.map(|(file, content)| file.changed(content)).filter(|changed| *changed).count() > 0
                {
                    self.files.send_modify(|count| *count += 1);
                }
                self.checks.send_modify(|count| *count += 1);
                self.check_config(contents.config, contents.named, trigger).await
            }
            Err(error) => {
                self.checks.send_modify(|count| *count += 1);
                self.unreadable(&error, trigger)
            }
        };
        self.record(&outcome);
        self.outcomes.send_replace(outcome.clone());
        outcome
    }

    async fn contents(&mut self) -> io::Result<Contents> {
        let watched: Vec<_> = self.watched.iter().map(|file| file.path().to_owned()).collect();
        let (config, named) = (self.file().map(Path::to_owned), self.running.named_files.clone());
        self.thread.read(move || Contents::read(&watched, config.as_deref(), &named)).await
    }

    fn record(&self, outcome: &ReloadOutcome) {
        let running = &self.running.config;
        self.history.send_modify(|history| match outcome {
            ReloadOutcome::Unchanged => history.unchanged(),
            // `accept` has recorded it, with the change.
            ReloadOutcome::Accepted { .. } => {}
            ReloadOutcome::Refused(problems) => history.refused(running, problems.clone()),
            ReloadOutcome::Unreadable => {
                let source = format!("file {}", self.file().unwrap_or(Path::new("")).display());
                let why = self.unreadable.as_deref().unwrap_or("for an unknown reason");
                let message = format!("the file cannot be read: {why}");
                history.refused(running, vec![ConfigProblem::new("", message, source)]);
            }
        });
    }

    async fn check_config(
        &mut self,
        content: io::Result<Digest256>,
        // Read before the files themselves are, so that what changes in between is another content at the next check.
        named: Digest256,
        trigger: Trigger,
    ) -> ReloadOutcome {
        let digest = match content {
            Ok(digest) => digest,
            Err(error) => return self.unreadable(&error, trigger),
        };
        self.unreadable = None;
        let changed = self.seen != Some(digest) || self.named != Some(named);
        // A file that stays broken is reported once, not at every poll.
        let log = changed || trigger == Trigger::Explicit;
        // A refused config is examined again although nothing changed: what refused it, such as a date or the ledger, may have.
        if !log && self.refused.is_empty() {
            return ReloadOutcome::Unchanged;
        }
        let sources = self.sources.clone();
        let read = match self.thread.read(move || load(&sources)).await {
            Ok(read) => read,
            // Not seen: the next check reads it again.
            Err(error) => return self.unreadable(&error, trigger),
        };
        (self.seen, self.named) = (Some(digest), Some(named));
        match self.permitted(read).await {
            Ok(loaded) => {
                // It read the file once more, perhaps with another content.
                self.seen = loaded.file_digest.or(self.seen);
                self.accept(loaded)
            }
            Err(problems) => self.refuse(problems, log),
        }
    }

    /// The config that was read, if it may replace the effective one.
    async fn permitted(
        &self,
        read: Result<Loaded, Vec<ConfigProblem>>,
    ) -> Result<Loaded, Vec<ConfigProblem>> {
        let loaded = read?;
        // The same config again needs no permission: the guard asks the ledger, which may be down.
        if restart_required::changed(&self.running, &loaded).is_empty() {
            return Ok(loaded);
        }
        let mut problems = restart_required::problems(&self.running, &loaded);
        problems.extend(name_sources(&explain(&loaded), (self.guard)(Arc::clone(&loaded.config)).await));
        if problems.is_empty() { Ok(loaded) } else { Err(problems) }
    }

    fn accept(&mut self, loaded: Loaded) -> ReloadOutcome {
        self.refused.clear();
        let changed = restart_required::changed(&self.running, &loaded);
        if changed.is_empty() {
            return ReloadOutcome::Unchanged;
        }
        let hash = loaded.hash().to_owned();
        let before = std::mem::replace(&mut self.running, loaded);
        let after = &self.running.config;
        // The digest was taken over the files of the old config.
        if before.named_files != self.running.named_files {
            self.named = None;
        }
        // One pointer: a request that has loaded the old snapshot goes on with it to its end.
        self.current.store(Arc::clone(after));
        // What depends on the config adopts it at once.
        self.checks.send_modify(|count| *count += 1);
        let change = ConfigChange::between(&before.config, after, &changed);
        for (route, from, to) in &change.modes {
            tracing::info!(target: "config", route = route.as_str(), %from, %to, %hash, "mode changed");
        }
        self.history.send_modify(|history| history.accepted(after, change));
        tracing::info!(target: "config", keys = changed.join(","), %hash, "config reloaded");
        ReloadOutcome::Accepted { hash }
    }

    fn refuse(&mut self, problems: Vec<ConfigProblem>, log: bool) -> ReloadOutcome {
        if log || !are_same(&problems, &self.refused) {
            let hash = self.running.hash();
            for ConfigProblem { key, message, source, .. } in &problems {
                tracing::error!(target: "config", key, source, problem = message, running = hash, "config refused, nothing changed");
            }
        }
        self.refused.clone_from(&problems);
        ReloadOutcome::Refused(problems)
    }

    fn unreadable(&mut self, error: &io::Error, trigger: Trigger) -> ReloadOutcome {
        // Once for each cause.
        let why = error.to_string();
        if self.unreadable.as_ref() != Some(&why) || trigger == Trigger::Explicit {
            let file = self.file().map(Path::display).map(tracing::field::display);
            tracing::warn!(target: "config", file, %error, "config file cannot be read, nothing changed");
        }
        self.unreadable = Some(why);
        ReloadOutcome::Unreadable
    }

    fn file(&self) -> Option<&Path> {
        self.sources.file.as_deref()
    }
}
