//! From one snapshot to the next while the proxy runs: notices changes, has them checked, swaps one pointer or nothing.
//!
//! Looks at contents, not at file events, because those miss the symlink swaps of mounted config. Looks on a timer, on
//! SIGHUP and when asked through a [`Handle`]. Serves nothing and reads no certificates: who does is told through
//! [`Handle::files_changed`].

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::load::{Loaded, Sources, load};
use super::reload_history::{Change, Reloads};
use super::{Config, Problem, restart_required};

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What is running is what is configured.
    Unchanged,
    /// A new snapshot is in force.
    Accepted {
        /// Its [`Config::hash`].
        hash: String,
    },
    /// Nothing was changed, for these reasons.
    Refused(Vec<Problem>),
    /// The config file cannot be read; nothing was changed.
    Unreadable,
}

/// Asked before every swap, for what only the ledger knows: see [`Config::check_against_history`]. If it cannot find out,
/// that is a problem too.
pub type ReloadGuard =
    Box<dyn Fn(Arc<Config>) -> Pin<Box<dyn Future<Output = Vec<Problem>> + Send>> + Send + Sync>;

/// Keeps the snapshot in force up to date. Made by [`watcher`], driven by [`Watcher::run`].
pub struct Watcher {
    sources: Sources,
    running: Loaded,
    current: Arc<ArcSwap<Config>>,
    consult: ReloadGuard,
    /// The content at the last look; the first look reads in any case, so nothing that changed since the start is missed.
    seen: Option<Content>,
    unreadable: bool,
    /// Why the last look was refused. While there is a reason every look tries again: it may lie outside the file.
    refused: Vec<Problem>,
    others: Vec<Other>,
    asked: mpsc::Receiver<ReloadRequest>,
    outcomes: watch::Sender<Outcome>,
    reloads: watch::Sender<Reloads>,
    files: watch::Sender<u64>,
}

/// A digest is enough to compare, and no key or password stays in memory.
type Content = [u8; 32];

/// A file that is watched and not read here.
struct Other {
    path: PathBuf,
    seen: Option<Content>,
    unreadable: bool,
}

struct ReloadRequest {
    how: Trigger,
    answer: oneshot::Sender<Outcome>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// As the timer does: skip what was seen before, tell a problem once.
    Quietly,
    /// As SIGHUP does: read and tell in any case.
    Expressly,
}

/// Talks to a running [`Watcher`].
#[derive(Clone)]
pub struct Handle {
    ask: mpsc::Sender<ReloadRequest>,
    outcomes: watch::Receiver<Outcome>,
    reloads: watch::Receiver<Reloads>,
    files: watch::Receiver<u64>,
}

impl Handle {
    /// Looks now, as on SIGHUP, and says what it came to. `None` when the watcher does not run any more.
    pub async fn reload(&self) -> Option<Outcome> {
        self.look(Trigger::Expressly).await
    }

    /// Looks now, as the timer does. `None` when the watcher does not run any more.
    pub async fn poll(&self) -> Option<Outcome> {
        self.look(Trigger::Quietly).await
    }

    /// The outcome of every look; a slow observer sees the latest.
    #[must_use]
    pub fn outcomes(&self) -> watch::Receiver<Outcome> {
        self.outcomes.clone()
    }

    /// What all looks together came to; nothing is lost on a slow observer.
    #[must_use]
    pub fn reloads(&self) -> watch::Receiver<Reloads> {
        self.reloads.clone()
    }

    /// Counts up whenever one of the further files has another content than before. The first look counts too: the file
    /// may have changed since it was read at start.
    #[must_use]
    pub fn files_changed(&self) -> watch::Receiver<u64> {
        self.files.clone()
    }

    async fn look(&self, how: Trigger) -> Option<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.ask.send(ReloadRequest { how, answer }).await.ok()?;
        answered.await.ok()
    }
}

/// A watcher for what `loaded` was read from, and a handle to it. `current` is what it swaps; `files` are further files to
/// watch (TLS), see [`Handle::files_changed`].
#[must_use]
pub fn watcher(
    sources: Sources,
    loaded: Loaded,
    current: Arc<ArcSwap<Config>>,
    files: Vec<PathBuf>,
    consult: ReloadGuard,
) -> (Watcher, Handle) {
    let (ask, asked) = mpsc::channel(1);
    let (outcomes, outcomes_seen) = watch::channel(Outcome::Unchanged);
    let (reloads, reloads_seen) = watch::channel(Reloads::new());
    let (changed, changed_seen) = watch::channel(0);
    let watcher = Watcher {
        sources,
        running: loaded,
        current,
        consult,
        seen: None,
        unreadable: false,
        refused: Vec::new(),
        others: files.into_iter().map(|path| Other { path, seen: None, unreadable: false }).collect(),
        asked,
        outcomes,
        reloads,
        files: changed,
    };
    (watcher, Handle { ask, outcomes: outcomes_seen, reloads: reloads_seen, files: changed_seen })
}

impl Watcher {
    /// Looks again and again until the task is dropped.
    ///
    /// # Errors
    /// When no handler for SIGHUP can be installed; nothing else ends it.
    pub async fn run(mut self) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            let pause = tokio::time::sleep(self.running.config.reload.poll_interval);
            tokio::select! {
                () = pause => self.look(Trigger::Quietly).await,
                Some(()) = hangup.recv() => self.look(Trigger::Expressly).await,
                Some(ReloadRequest { how, answer }) = self.asked.recv() => {
                    let outcome = self.look(how).await;
                    // Who asked may have gone; the outcome stands all the same.
                    let _ = answer.send(outcome.clone());
                    outcome
                }
            };
        }
    }

    async fn look(&mut self, how: Trigger) -> Outcome {
        // Every file is looked at, also after one that changed.
        if self.others.iter_mut().map(Other::changed).filter(|changed| *changed).count() > 0 {
            self.files.send_modify(|count| *count += 1);
        }
        let outcome = self.look_at_config(how).await;
        self.remember(&outcome);
        self.outcomes.send_replace(outcome.clone());
        outcome
    }

    fn remember(&self, outcome: &Outcome) {
        let running = &self.running.config;
        self.reloads.send_modify(|reloads| match outcome {
            Outcome::Unchanged => reloads.settled(),
            // Told where it is known what has changed.
            Outcome::Accepted { .. } => {}
            Outcome::Refused(problems) => reloads.refused(running, problems.clone()),
            Outcome::Unreadable => {
                let file = self.sources.file.as_deref().unwrap_or_else(|| std::path::Path::new(""));
                let source = format!("file {}", file.display());
                reloads.refused(running, vec![Problem::new("", "the file cannot be read", source)]);
            }
        });
    }

    async fn look_at_config(&mut self, how: Trigger) -> Outcome {
        let content = match self.sources.file.as_ref().map_or_else(|| Ok([0; 32]), content) {
            Ok(content) => content,
            Err(error) => return self.unreadable(&error, how),
        };
        self.unreadable = false;
        let anew = self.seen != Some(content) || how == Trigger::Expressly;
        if !anew && self.refused.is_empty() {
            return Outcome::Unchanged;
        }
        self.seen = Some(content);
        match self.candidate().await {
            Ok(loaded) => self.accept(loaded),
            Err(problems) => self.refuse(problems, anew),
        }
    }

    /// What the sources say now, if it may follow on what is running.
    async fn candidate(&self) -> Result<Loaded, Vec<Problem>> {
        let loaded = load(&self.sources)?;
        if restart_required::changed(&self.running, &loaded).is_empty() {
            return Ok(loaded);
        }
        let mut problems = restart_required::problems(&self.running, &loaded);
        problems.extend((self.consult)(Arc::clone(&loaded.config)).await);
        if problems.is_empty() { Ok(loaded) } else { Err(problems) }
    }

    fn accept(&mut self, loaded: Loaded) -> Outcome {
        self.refused.clear();
        let changed = restart_required::changed(&self.running, &loaded);
        if changed.is_empty() {
            return Outcome::Unchanged;
        }
        let hash = loaded.hash().to_owned();
        let before = std::mem::replace(&mut self.running, loaded);
        let after = &self.running.config;
        self.current.store(Arc::clone(after));
        let change = Change::between(&before.config, after, &changed);
        for (route, from, to) in &change.modes {
            tracing::info!(target: "config", route = route.as_str(), %from, %to, %hash, "mode changed");
        }
        self.reloads.send_modify(|reloads| reloads.accepted(after, change));
        tracing::info!(target: "config", keys = changed.join(","), %hash, "config reloaded");
        Outcome::Accepted { hash }
    }

    fn refuse(&mut self, problems: Vec<Problem>, anew: bool) -> Outcome {
        if anew || problems != self.refused {
            let hash = self.running.hash();
            for Problem { key, message, source } in &problems {
                tracing::error!(target: "config", key, source, problem = message, running = hash, "config refused, nothing changed");
            }
        }
        self.refused.clone_from(&problems);
        Outcome::Refused(problems)
    }

    fn unreadable(&mut self, error: &io::Error, how: Trigger) -> Outcome {
        if !self.unreadable || how == Trigger::Expressly {
            let file =
                self.sources.file.as_deref().map(std::path::Path::display).map(tracing::field::display);
            tracing::warn!(target: "config", file, %error, "config file cannot be read, nothing changed");
        }
        self.unreadable = true;
        Outcome::Unreadable
    }
}

impl Other {
    /// Whether the content is another one than before; told once if it cannot be read.
    fn changed(&mut self) -> bool {
        match content(&self.path) {
            Ok(content) => {
                self.unreadable = false;
                self.seen.replace(content) != Some(content)
            }
            Err(error) => {
                if !self.unreadable {
                    let file = self.path.display();
                    tracing::warn!(target: "config", %file, %error, "watched file cannot be read, the last one stays");
                }
                self.unreadable = true;
                false
            }
        }
    }
}

fn content(path: &PathBuf) -> io::Result<Content> {
    // Small local files; not worth a thread of their own.
    Ok(Sha256::digest(std::fs::read(path)?).into())
}
