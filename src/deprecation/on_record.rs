//! Keeps the usage of clients, and unknown names in the vendor's answers, in the ledger, so that a restart or another replica forgets none
//! of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::usage::{ClientEntry, KnownBy, NOT_IDENTIFIED, UsageTable};
use crate::config::Config;
use crate::ledger::{ClientUse, DriftRow, Ledger, OTHERS};
use crate::telemetry::drift::DriftLog;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::sanitize::one_line;
use crate::translate::drift::Drift;

const KEEP_EVERY: Duration = Duration::from_secs(10);
/// How long the end of a process waits for its last write: a process that is killed for it loses more.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Counts of each feature of a client at the last write.
type WrittenCounts = HashMap<String, (Option<Timestamp>, Vec<u64>)>;

/// Keeps what clients used, and what the vendor's answers hold, in the ledger. Clones share what is on record already.
#[derive(Clone)]
pub(crate) struct UsageKeeper {
    /// Without one nothing is kept.
    ledger: Option<Ledger>,
    usage: UsageTable,
    drift: Arc<DriftLog>,
    config: Arc<ArcSwap<Config>>,
    kept: Arc<Mutex<KeptSoFar>>,
}

#[derive(Default)]
struct KeptSoFar {
    usage: WrittenCounts,
    /// How many names were seen, and which are acknowledged.
    names: (usize, Vec<String>),
}

impl UsageKeeper {
    pub(crate) fn new(
        ledger: Option<Ledger>,
        usage: UsageTable,
        drift: Arc<DriftLog>,
        config: Arc<ArcSwap<Config>>,
    ) -> Self {
        Self { ledger, usage, drift, config, kept: Arc::default() }
    }

    /// Never ends.
    pub(crate) async fn run(self) {
        loop {
            sleep(KEEP_EVERY).await;
            self.keep().await;
        }
    }

    /// Writes what is not on record yet: also what was counted last, before the process ends.
    pub(crate) async fn flush(&self) {
        if timeout(FLUSH_MAX, self.keep()).await.is_err() {
            tracing::warn!(target: "ledger", "the last usage of clients is not on record: the ledger did not answer in time");
        }
    }

    async fn keep(&self) {
        let config = self.config.load_full();
        let Some((settings, ledger)) = config.ledger.as_ref().zip(self.ledger.as_ref()) else { return };
        let mut kept = self.kept.lock().await;
        let (changed, next) = changed(&self.usage, &kept.usage);
        match ledger.keep_usage(&settings.tenant, changed).await {
            Ok(()) => kept.usage = next,
            Err(error) => tracing::debug!(target: "ledger", %error, "usage is not on record yet"),
        }
        let known: Vec<_> = config.gate.known_drift.iter().map(|known| known.path.clone()).collect();
        self.drift.make_room(&known);
        let seen = self.drift.seen();
        let names = (seen.len(), known);
        if kept.names == names {
            return;
        }
        let rows = seen.into_iter().map(row).collect();
        match ledger.keep_drift(&settings.tenant, rows, names.1.clone()).await {
            Ok(()) => kept.names = names,
            Err(error) => tracing::debug!(target: "ledger", %error, "unknown names are not on record yet"),
        }
    }
}

fn row((drift, first_seen): (Drift, Timestamp)) -> DriftRow {
    let Drift { path, value_type, is_money, .. } = drift;
    DriftRow { path, value_type: value_type.to_owned(), is_money, first_seen }
}

/// What changed since the last write, and what is known after this one.
fn changed(usage: &UsageTable, kept: &WrittenCounts) -> (Vec<ClientUse>, WrittenCounts) {
    let (mut clients, mut next) = (Vec::new(), WrittenCounts::new());
    let each = usage.clients();
    let named = each.iter().map(|entry| (name(entry), entry.as_ref()));
    for (client, entry) in named.chain([(OTHERS.to_owned(), usage.others())]) {
        let now = (entry.last_seen(), entry.features.all().map(|(_, count)| count).collect::<Vec<_>>());
        let before = kept.get(&client);
        if let (Some(last_seen), true) = (now.0, before != Some(&now)) {
            let blockers = blockers(entry, before.map(|(_, counts)| counts.as_slice()));
            clients.push(ClientUse { client: client.clone(), last_seen, blockers });
        }
        next.insert(client, now);
    }
    (clients, next)
}

fn blockers(entry: &ClientEntry, before: Option<&[u64]>) -> String {
    let before = |at: usize| before.and_then(|before| before.get(at)).copied().unwrap_or_default();
    let used = entry.features.all().enumerate().filter(|(at, (_, count))| *count > before(*at));
    used.map(|(_, ((feature,), _))| feature.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether a name on record is that of the clients that nothing identifies.
pub(crate) fn is_unidentified(name: &str) -> bool {
    name.strip_prefix(KnownBy::Nothing.as_str()).is_some_and(|rest| rest.trim_start() == NOT_IDENTIFIED)
}

/// Escaped: the database takes no U+0000.
fn name(entry: &ClientEntry) -> String {
    if entry.name.is_empty() {
        entry.by.as_str().to_owned()
    } else {
        format!("{} {}", entry.by.as_str(), one_line(&entry.name))
    }
}
