//! Keeps the usage of clients, and unknown names in the vendor's answers, in the ledger, so that a restart or another replica forgets none
//! of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::time::sleep;

use super::usage::{ClientEntry, KnownBy, NOT_IDENTIFIED, UsageTable};
use crate::config::Config;
use crate::ledger::{ClientUse, DriftRow, Ledger, OTHERS};
use crate::telemetry::drift::DriftLog;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::sanitize::one_line;
use crate::translate::drift::Drift;

const KEEP_EVERY: Duration = Duration::from_secs(10);

/// Counts of each feature of a client at the last write.
type WrittenCounts = HashMap<String, (Option<Timestamp>, Vec<u64>)>;

/// Writes what clients used, and what the vendor's answers hold, to the ledger. Never ends.
pub(crate) async fn keep_on_record(
    ledger: Ledger,
    usage: UsageTable,
    drift: Arc<DriftLog>,
    config: Arc<ArcSwap<Config>>,
) {
    let (mut kept, mut names_kept) = (WrittenCounts::new(), 0);
    loop {
        sleep(KEEP_EVERY).await;
        let config = config.load_full();
        let Some(settings) = &config.ledger else { continue };
        let (changed, next) = changed(&usage, &kept);
        match ledger.keep_usage(&settings.tenant, changed).await {
            Ok(()) => kept = next,
            Err(error) => tracing::debug!(target: "ledger", %error, "usage is not on record yet"),
        }
        let seen = drift.seen();
        if seen.len() == names_kept {
            continue;
        }
        let names = seen.len();
        match ledger.keep_drift(&settings.tenant, seen.into_iter().map(row).collect()).await {
            Ok(()) => names_kept = names,
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
