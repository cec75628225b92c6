//! What is allowed and somebody should know all the same: told once in the log, and for as long as it lasts to whoever asks for the status.
//!
//! Nothing here refuses anything or asks a side. The ledger is asked at the start, after a reload, and at most once a minute while it
//! still owes an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::config::{Config, Mode, ReloadHistory};
use crate::ledger::{Ledger, Recent};
use crate::telemetry::metrics::label_set::{LabelValue as _, label};
use crate::translate::side::Side;

/// How long a client may still come back for a conversion that it made: claims on the old API that are younger stand against
/// closing it, and a ledger that is younger may not know all of them.
const KEPT_IN_MIND: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A ledger that knows creates on the old API is older than this when the first one goes to the new API.
const LEDGER_AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// Shortest time between two questions to the ledger under one config.
const PAUSE: Duration = Duration::from_secs(60);

/// What there is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdvisoryKind {
    /// Reads do not ask the old API any more, and creates went there not long ago.
    SealedEarly,
    /// The ledger is hardly older than the first create on the new API: is it the one that was there before?
    YoungLedger,
    /// The PostgreSQL server does not say its timeline, so a fail-over that loses commits is not noticed.
    TimelineUnknown,
    /// The new API held a conversion at start that the ledger does not know.
    UnknownRecord,
}
label!(
    AdvisoryKind,
    "advisory",
    SealedEarly = "sealed_early",
    YoungLedger = "young_ledger",
    TimelineUnknown = "timeline_unknown",
    UnknownRecord = "unknown_record"
);

/// Something to know, while it lasts.
#[derive(Clone, Debug)]
pub struct Advisory {
    /// What it is.
    pub what: AdvisoryKind,
    /// Since when.
    pub since: Timestamp,
    /// In words.
    pub why: String,
}

/// The notes of one process.
pub struct Advisories {
    ledger: Option<Ledger>,
    state: Mutex<State>,
    told: watch::Sender<AdvisorySnapshot>,
}

/// What was found last, for whoever cannot wait.
#[derive(Clone, Debug, Default)]
pub struct AdvisorySnapshot {
    /// When the ledger's tables were made; `None` while that is not known.
    pub begun: Option<Timestamp>,
    /// Each note, standing or not; those that are not known are left out.
    pub known: BTreeMap<AdvisoryKind, bool>,
}

#[derive(Default)]
struct State {
    /// The config that was looked at, and when.
    looked: Option<(String, Instant)>,
    /// Since when the reads of that config leave the old API out, and what the ledger says to it.
    sealed: Option<(Timestamp, Option<Recent>)>,
    begun: Option<Timestamp>,
    /// Outer `None` while it is not known.
    first_new_create_at: Option<Option<Timestamp>>,
    /// Since when the database does not say its timeline.
    timeline_unknown: Option<Timestamp>,
    unknown_record: Option<(Timestamp, String)>,
    standing: Vec<Advisory>,
}

impl Advisories {
    /// None yet.
    #[must_use]
    pub fn new(ledger: Option<Ledger>) -> Self {
        Self { ledger, state: Mutex::default(), told: watch::Sender::new(AdvisorySnapshot::default()) }
    }

    /// The notes under that config. Asks the ledger only if the last time was under another config, or left something open a
    /// while ago; then it waits no longer than the ledger's timeouts.
    pub async fn standing(&self, config: &Config) -> Vec<Advisory> {
        let Some(ledger) = &self.ledger else { return Vec::new() };
        let mut state = self.state.lock().await;
        let same = state.looked.as_ref().filter(|(hash, _)| *hash == config.hash);
        if same.is_none_or(|(_, at)| at.elapsed() >= PAUSE) {
            let anew = same.is_none();
            state.look(config, ledger, anew).await;
            state.looked = Some((config.hash.clone(), Instant::now()));
        }
        let (standing, known) = state.judge(config, Timestamp::now());
        for note in &standing {
            if !state.standing.iter().any(|before| before.what == note.what) {
                tracing::warn!(target: "config", note = note.what.as_str(), since = %note.since, "{}", note.why);
            }
        }
        state.standing.clone_from(&standing);
        self.told.send_replace(AdvisorySnapshot { begun: state.begun, known });
        standing
    }

    /// Makes it known that the new API holds a conversion that the ledger does not know, until the process ends.
    pub(crate) async fn report_unknown_record(&self, why: String) {
        let mut state = self.state.lock().await;
        state.unknown_record = Some((Timestamp::now(), why));
        // Judged anew the next time, whoever asks.
        state.looked = None;
    }

    /// What was found last.
    #[must_use]
    pub fn told(&self) -> AdvisorySnapshot {
        self.told.borrow().clone()
    }

    /// Looks at the config that the process begins with, and returns the task that looks on: after every reload, and now and then. It
    /// says at once when a reload leaps, and ends with the watcher.
    pub async fn begin(
        self: Arc<Self>,
        first: Arc<Config>,
        current: Arc<ArcSwap<Config>>,
        mut reloads: watch::Receiver<ReloadHistory>,
    ) -> impl Future<Output = ()> + use<> {
        self.standing(&first).await;
        async move {
            let mut before = first;
            while !matches!(timeout(PAUSE, reloads.changed()).await, Ok(Err(_))) {
                let now = current.load_full();
                for why in leaps(&before, &now) {
                    tracing::warn!(target: "config", from = %before.stage, to = %now.stage, "{why}");
                }
                self.standing(&now).await;
                before = now;
            }
        }
    }
}

impl State {
    async fn look(&mut self, config: &Config, ledger: &Ledger, anew: bool) {
        let (since, known) = self.sealed.take().unwrap_or_else(|| (Timestamp::now(), None));
        // Under one config nothing is claimed on the old API any more.
        let known = known.filter(|_| !anew);
        self.sealed = leaves_old_out(config).then_some((since, known));
        // One that is down would take its whole timeout to say nothing.
        if !ledger.health().is_ready() {
            return;
        }
        let silent = ledger.says_its_timeline() == Some(false);
        self.timeline_unknown = silent.then(|| self.timeline_unknown.unwrap_or_else(Timestamp::now));
        if self.begun.is_none() {
            self.begun = ledger.reader().begun().await.ok().flatten();
        }
        if !matches!(self.first_new_create_at, Some(Some(_))) {
            self.first_new_create_at = ledger.first_new_create_at().await.ok();
        }
        if let Some((_, known @ None)) = &mut self.sealed {
            *known = ledger.reader().recent(Side::Legacy, Timestamp::now() - KEPT_IN_MIND).await.ok();
        }
    }

    fn judge(&self, config: &Config, now: Timestamp) -> (Vec<Advisory>, BTreeMap<AdvisoryKind, bool>) {
        let judged = [
            (AdvisoryKind::SealedEarly, self.sealed_early(config, now)),
            (AdvisoryKind::YoungLedger, self.young(config, now)),
            (AdvisoryKind::TimelineUnknown, Some(self.timeline_unknown())),
            (AdvisoryKind::UnknownRecord, Some(self.unknown_record.clone())),
        ];
        let known =
            judged.iter().filter_map(|(what, found)| Some((*what, found.as_ref()?.is_some()))).collect();
        let standing = judged.into_iter().filter_map(|(what, found)| {
            let (since, why) = found??;
            Some(Advisory { what, since, why })
        });
        (standing.collect(), known)
    }

    /// Outer `None` = not known.
    fn sealed_early(&self, config: &Config, now: Timestamp) -> Option<Option<(Timestamp, String)>> {
        if !leaves_old_out(config) {
            return Some(None);
        }
        let (since, recent) = self.sealed.as_ref()?;
        let Recent { claims, last } = recent.as_ref()?;
        let Some(last) = last.filter(|last| now.duration_since(*last) < KEPT_IN_MIND) else {
            return Some(None);
        };
        let why = format!(
            "reads do not ask the old API any more, and the ledger holds {claims} claims there of the last {} days, the newest of \
             {last}: clients do not see those conversions, nor whether they were settled; no money moves twice",
            KEPT_IN_MIND.as_hours() / 24
        );
        Some(Some((*since, why)))
    }

    fn timeline_unknown(&self) -> Option<(Timestamp, String)> {
        let why = "the PostgreSQL server of the ledger does not say its timeline, so a fail-over that loses claims is not noticed: allow \
                   its user pg_walfile_name and pg_current_wal_lsn, and after a fail-over hold creates and run `conversion-shim ledger \
                   accept --why`";
        self.timeline_unknown.map(|since| (since, why.to_owned()))
    }

    /// Outer `None` = not known.
    fn young(&self, config: &Config, now: Timestamp) -> Option<Option<(Timestamp, String)>> {
        if !config.modes.needs(Side::New) {
            return Some(None);
        }
        let (begun, first_new_create_at) = (self.begun?, self.first_new_create_at?);
        let ahead = first_new_create_at.unwrap_or(now).duration_since(begun);
        if ahead >= LEDGER_AHEAD || now.duration_since(begun) >= KEPT_IN_MIND {
            return Some(None);
        }
        let first = first_new_create_at.map_or_else(
            || "has seen no create go to the new API yet".to_owned(),
            |first| format!("saw the first create go to the new API at {first}"),
        );
        let why = format!(
            "this ledger began at {begun} and {first}: if any moved before it began, their claims were lost, and a retry of one can be \
             converted twice; is it the right ledger?"
        );
        Some(Some((begun, why)))
    }
}

/// Whether a record of the old API is not found or not listed.
fn leaves_old_out(config: &Config) -> bool {
    config.modes.get == Mode::New || config.modes.list == Mode::New
}

/// What a step from one config to the next leaves out, if it opens the new API to creates.
fn leaps(before: &Config, after: &Config) -> Vec<&'static str> {
    let opens = |config: &Config| config.modes.create.creates_on() == Side::New;
    if opens(before) || !opens(after) {
        return Vec::new();
    }
    let reads = [before.modes.get, before.modes.list];
    let unseen = reads.iter().all(|mode| *mode == Mode::Legacy) && before.modes.create == Mode::Legacy;
    let blind = after.replicas > 1 && reads.iter().any(|mode| matches!(mode, Mode::Legacy | Mode::Shadow));
    let unseen = unseen.then_some(
        "creates go to the new API, and the stage before compared nothing: no report speaks for this step (docs/runbook.md)",
    );
    let blind = blind.then_some(
        "creates go to the new API, and the stage before did not read there: a replica that has not reloaded yet cannot see them",
    );
    unseen.into_iter().chain(blind).collect()
}
