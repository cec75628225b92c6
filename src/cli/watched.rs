//! Files other than the config that change under a running process: certificates that are renewed, logs that are moved away; and what
//! adopts a secret of the config that a reload changed.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::reload::ReloadHandle;
use crate::config::{Config, FileThread};
use crate::server::tls::Certificates;
use crate::telemetry::LogFile;
use crate::telemetry::traces::Authorization;
use crate::upstream::UpstreamClient;

/// What is to be looked after.
pub(super) struct Watched {
    /// `shadow.log`.
    pub(super) records: Option<LogFile>,
    pub(super) renewals: Vec<Renewal>,
    /// What the exporter of spans shows to the collector.
    pub(super) spans: Option<Authorization>,
}

impl Watched {
    /// Looks after it whenever the config file is looked at: by the timer, and on SIGHUP. Ends with the watcher.
    pub(super) async fn follow(mut self, handle: ReloadHandle, current: Arc<ArcSwap<Config>>) {
        let (mut checks, mut changed) = (handle.checks(), handle.files_changed());
        let mut facts_note = None;
        note_facts(&current.load(), &mut facts_note);
        while checks.changed().await.is_ok() {
            if let Some(records) = &self.records {
                records.follow();
            }
            let has_changed = changed.has_changed().unwrap_or_default();
            changed.mark_unchanged();
            for renewal in &mut self.renewals {
                renewal.check(has_changed).await;
            }
            note_facts(&current.load(), &mut facts_note);
            if let Some(spans) = &self.spans {
                spans.adopt(&current.load().traces);
            }
        }
    }
}

/// Logs why a file of facts does not count, once for each reason.
fn note_facts(config: &Config, known: &mut Option<String>) {
    let note = config.facts_file.as_ref().and_then(|file| file.not_used(&config.upstream));
    if note != *known {
        note.iter().for_each(|note| tracing::warn!(target: "config", "{note}"));
        *known = note;
    }
}

/// Certificates that are read again until what is there can be used.
pub(super) struct Renewal {
    used_for: &'static str,
    reload: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    thread: FileThread,
    /// Why the last reading failed.
    refused: Option<String>,
}

/// For the listener, and for connections to upstreams, if they read any file.
pub(super) fn renewals(
    certificates: Option<Certificates>,
    config: &Config,
    upstream: &UpstreamClient,
) -> Vec<Renewal> {
    let listener = certificates.map(|certificates| {
        Renewal::new("clients", move || certificates.reload().map_err(|error| error.to_string()))
    });
    let trust = upstream.trust().clone();
    let reads_files = !config.upstream.files().is_empty();
    let upstreams = reads_files
        .then(|| Renewal::new("upstreams", move || trust.reload().map_err(|error| error.to_string())));
    listener.into_iter().chain(upstreams).collect()
}

impl Renewal {
    fn new(used_for: &'static str, reload: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { used_for, reload: Arc::new(reload), thread: FileThread::default(), refused: None }
    }

    async fn check(&mut self, has_changed: bool) {
        if !has_changed && self.refused.is_none() {
            return;
        }
        let reload = self.reload.clone();
        let read = self.thread.read(move || reload()).await;
        let (used_for, refused) = (self.used_for, read.map_err(|error| error.to_string()).flatten().err());
        match &refused {
            None => tracing::info!(target: "server", used_for, "new certificates are in force"),
            Some(error) if has_changed || self.refused != refused => {
                tracing::error!(target: "server", used_for, error, "new certificates are refused; the old ones stay in force");
            }
            Some(_) => {}
        }
        self.refused = refused;
    }
}
