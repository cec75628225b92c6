//! Advisories: warnings about a config that is allowed but risky. Each is logged once when it becomes active, and shown in `/status`
//! and the metrics while it is.
//!
//! An advisory refuses nothing and sends nothing to a side. The ledger is read at start, after a reload, and at most once a minute
//! while a read of it has failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::config::{Config, Mode, Override, ReloadHistory, keys};
use crate::ledger::{Ledger, Recent};
use crate::telemetry::metrics::label_set::{LabelValue as _, label};
use crate::translate::side::Side;

/// How long a client is expected to read or retry a conversion that it made. Younger claims on the old API make sealing early, and a
/// younger ledger may lack claims.
const RETRY_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Minimum age of the ledger at the first create on the new API: it then holds the creates on the old API that came before.
const LEDGER_AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// Minimum interval between two reads of the ledger under one config.
const READ_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AdvisoryKind {
    /// Get or list no longer reads the old API, which received creates within the last seven days.
    SealedEarly,
    /// The ledger was created shortly before or after the first create on the new API, so it may be a new one in place of a lost one.
    YoungLedger,
    /// The PostgreSQL server does not say its timeline, so a fail-over that loses commits is not noticed.
    TimelineUnknown,
    /// The new API held a conversion at start that the ledger does not know.
    UnknownRecord,
    /// A step forward without what it needs is not refused.
    GatesOff,
    GateOverridden,
}
label!(
    AdvisoryKind,
    "advisory",
    SealedEarly = "sealed_early",
    YoungLedger = "young_ledger",
    TimelineUnknown = "timeline_unknown",
    UnknownRecord = "unknown_record",
    GatesOff = "gates_off",
    GateOverridden = "gate_overridden"
);

#[derive(Clone, Debug)]
pub(crate) struct Advisory {
    pub(crate) kind: AdvisoryKind,
    pub(crate) since: Timestamp,
    pub(crate) detail: String,
}

/// The advisories of this process.
pub(crate) struct Advisories {
    ledger: Option<Ledger>,
    state: Mutex<AdvisoryState>,
    last: watch::Sender<AdvisorySnapshot>,
}

/// The last evaluation; reading it waits for nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct AdvisorySnapshot {
    /// When the ledger was created; `None` while that is not known.
    pub(crate) created_at: Option<Timestamp>,
    /// Whether each advisory is active; those that are not known are left out.
    pub(crate) active: BTreeMap<AdvisoryKind, bool>,
}

struct AdvisoryState {
    /// Since when the config of the last read is in force.
    config_since: Timestamp,
    /// Hash of the config of the last read, and its time.
    last_read: Option<(String, Instant)>,
    /// Since when that config reads only the new API, and the recent claims on the old one.
    sealed: Option<(Timestamp, Option<Recent>)>,
    created_at: Option<Timestamp>,
    /// Outer `None` while it is not known.
    first_new_create_at: Option<Option<Timestamp>>,
    /// Since when the database does not say its timeline.
    timeline_unknown: Option<Timestamp>,
    unknown_record: Option<(Timestamp, String)>,
    active: Vec<Advisory>,
}

impl Advisories {
    pub(crate) fn new(ledger: Option<Ledger>) -> Self {
        Self { ledger, state: Mutex::default(), last: watch::Sender::new(AdvisorySnapshot::default()) }
    }

    /// The active advisories under a config. Reads the ledger if the last read was under another config or is older than
    /// [`READ_INTERVAL`]; that waits no longer than the ledger's timeouts.
    pub(crate) async fn active(&self, config: &Config) -> Vec<Advisory> {
        let Some(ledger) = &self.ledger else { return Vec::new() };
        let mut state = self.state.lock().await;
        let same = state.last_read.as_ref().filter(|(hash, _)| *hash == config.hash);
        if same.is_none_or(|(_, at)| at.elapsed() >= READ_INTERVAL) {
            let is_new_config = same.is_none();
            state.read(config, ledger, is_new_config).await;
            state.last_read = Some((config.hash.clone(), Instant::now()));
        }
        let (advisories, active) = state.evaluate(config, Timestamp::now());
        for Advisory { kind, since, detail } in &advisories {
            if !state.active.iter().any(|before| before.kind == *kind) {
                tracing::warn!(target: "config", advisory = kind.as_str(), %since, "{detail}");
            }
        }
        state.active.clone_from(&advisories);
        self.last.send_replace(AdvisorySnapshot { created_at: state.created_at, active });
        advisories
    }

    /// Reports, until the process ends, that the new API holds a conversion that the ledger does not know.
    pub(crate) async fn report_unknown_record(&self, detail: String) {
        let mut state = self.state.lock().await;
        state.unknown_record = Some((Timestamp::now(), detail));
        // So that the next evaluation reads the ledger, however short ago the last one was.
        state.last_read = None;
    }

    pub(crate) fn snapshot(&self) -> AdvisorySnapshot {
        self.last.borrow().clone()
    }

    /// Evaluates the first config, and returns the task that evaluates again after every reload and every [`READ_INTERVAL`]. It warns
    /// when a reload skips a stage, and ends with the watcher.
    pub(crate) async fn start(
        self: Arc<Self>,
        first: Arc<Config>,
        current: Arc<ArcSwap<Config>>,
        mut reloads: watch::Receiver<ReloadHistory>,
    ) -> impl Future<Output = ()> + use<> {
        self.active(&first).await;
        async move {
            let mut before = first;
            while !matches!(timeout(READ_INTERVAL, reloads.changed()).await, Ok(Err(_))) {
                let now = current.load_full();
                for why in skipped_stages(&before, &now) {
                    tracing::warn!(target: "config", from = %before.stage, to = %now.stage, "{why}");
                }
                self.active(&now).await;
                before = now;
            }
        }
    }
}

impl Default for AdvisoryState {
    fn default() -> Self {
        Self {
            config_since: Timestamp::now(),
            last_read: None,
            sealed: None,
            created_at: None,
            first_new_create_at: None,
            timeline_unknown: None,
            unknown_record: None,
            active: Vec::new(),
        }
    }
}

impl AdvisoryState {
    async fn read(&mut self, config: &Config, ledger: &Ledger, is_new_config: bool) {
        if is_new_config {
            self.config_since = Timestamp::now();
        }
        // The time is kept over reads: an advisory shows since when it is active, not since when it was evaluated.
        let (since, known) = self.sealed.take().unwrap_or_else(|| (Timestamp::now(), None));
        // A config that reads only new creates nothing on the old API, so the count stays true until the next config.
        let known = known.filter(|_| !is_new_config);
        self.sealed = leaves_old_out(config).then_some((since, known));
        // A ledger that is down would only be waited for until the timeout.
        if !ledger.health().is_ready() {
            return;
        }
        let silent = ledger.says_its_timeline() == Some(false);
        self.timeline_unknown = silent.then(|| self.timeline_unknown.unwrap_or_else(Timestamp::now));
        if self.created_at.is_none() {
            self.created_at = ledger.reader().begun().await.ok().flatten();
        }
        if !matches!(self.first_new_create_at, Some(Some(_))) {
            self.first_new_create_at = ledger.reader().first_new_create_at().await.ok();
        }
        if let Some((_, known @ None)) = &mut self.sealed {
            *known = ledger.reader().recent(Side::Legacy, Timestamp::now() - RETRY_WINDOW).await.ok();
        }
    }

    fn evaluate(&self, config: &Config, now: Timestamp) -> (Vec<Advisory>, BTreeMap<AdvisoryKind, bool>) {
        let evaluated = [
            (AdvisoryKind::SealedEarly, self.sealed_early(config, now)),
            (AdvisoryKind::YoungLedger, self.young_ledger(config, now)),
            (AdvisoryKind::TimelineUnknown, Some(self.timeline_unknown())),
            (AdvisoryKind::UnknownRecord, Some(self.unknown_record.clone())),
            (AdvisoryKind::GatesOff, Some(self.gates_off(config))),
            (AdvisoryKind::GateOverridden, Some(self.gate_overridden(config, now))),
        ];
        let active =
            evaluated.iter().filter_map(|(kind, found)| Some((*kind, found.as_ref()?.is_some()))).collect();
        let advisories = evaluated.into_iter().filter_map(|(kind, found)| {
            let (since, detail) = found??;
            Some(Advisory { kind, since, detail })
        });
        (advisories.collect(), active)
    }

    /// Outer `None` while it is not known.
    fn sealed_early(&self, config: &Config, now: Timestamp) -> Option<Option<(Timestamp, String)>> {
        if !leaves_old_out(config) {
            return Some(None);
        }
        let (since, recent) = self.sealed.as_ref()?;
        let Recent { claims, last } = recent.as_ref()?;
        let Some(last) = last.filter(|last| now.duration_since(*last) < RETRY_WINDOW) else {
            return Some(None);
        };
        let why = format!(
            "reads no longer use the old API, but the ledger holds {claims} claims there of the last {} days, the newest of {last}: \
             clients see neither those conversions nor their settlement; nothing is converted twice",
            RETRY_WINDOW.as_hours() / 24
        );
        Some(Some((*since, why)))
    }

    fn gates_off(&self, config: &Config) -> Option<(Timestamp, String)> {
        let why = format!(
            "a start or reload that goes further without what it needs is not refused: set {} = true; `conversion-shim gate --to STAGE` \
             says what is missing",
            keys::GATE_ENFORCE
        );
        (!config.gate.enforce).then_some((self.config_since, why))
    }

    fn gate_overridden(&self, config: &Config, now: Timestamp) -> Option<(Timestamp, String)> {
        let Override { to, who, why, until } =
            config.gate.exception.as_ref().filter(|exception| now < exception.until)?;
        Some((self.config_since, format!("{who} lets modes up to {to} come into force until {until}: {why}")))
    }

    fn timeline_unknown(&self) -> Option<(Timestamp, String)> {
        let why = "the PostgreSQL server of the ledger does not say its timeline, so a fail-over that loses claims is not noticed: allow \
                   its user pg_walfile_name and pg_current_wal_lsn, and after a fail-over hold creates and run `conversion-shim ledger \
                   accept --why`";
        self.timeline_unknown.map(|since| (since, why.to_owned()))
    }

    /// Outer `None` while it is not known.
    fn young_ledger(&self, config: &Config, now: Timestamp) -> Option<Option<(Timestamp, String)>> {
        if !config.modes.needs(Side::New) {
            return Some(None);
        }
        let (created_at, first_new_create_at) = (self.created_at?, self.first_new_create_at?);
        let ahead = first_new_create_at.unwrap_or(now).duration_since(created_at);
        if ahead >= LEDGER_AHEAD || now.duration_since(created_at) >= RETRY_WINDOW {
            return Some(None);
        }
        let first = first_new_create_at.map_or_else(
            || "has seen no create go to the new API yet".to_owned(),
            |first| format!("saw the first create go to the new API at {first}"),
        );
        let why = format!(
            "this ledger was created at {created_at} and {first}: it lacks the claims of any earlier create, and a retry of one can be \
             converted twice; check that this is the right ledger"
        );
        Some(Some((created_at, why)))
    }
}

/// Whether clients can no longer get or list records of the old API.
fn leaves_old_out(config: &Config) -> bool {
    config.modes.get == Mode::New || config.modes.list == Mode::New
}

/// Warnings about a reload that sends creates to the new API without the stages before it.
fn skipped_stages(before: &Config, after: &Config) -> Vec<&'static str> {
    let opens = |config: &Config| config.modes.create.creates_on() == Side::New;
    if opens(before) || !opens(after) {
        return Vec::new();
    }
    let reads = [before.modes.get, before.modes.list];
    let uncompared = reads.iter().all(|mode| *mode == Mode::Legacy) && before.modes.create == Mode::Legacy;
    let blind = after.replicas > 1 && reads.iter().any(|mode| matches!(mode, Mode::Legacy | Mode::Shadow));
    let uncompared = uncompared.then_some(
        "creates go to the new API, but the previous stage compared nothing: no report covers this step (docs/runbook.md)",
    );
    let blind = blind.then_some(
        "creates go to the new API, but the previous stage did not read there: a replica that has not reloaded yet cannot see them",
    );
    uncompared.into_iter().chain(blind).collect()
}
