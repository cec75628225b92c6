//! The state of the process, collected on request. Nothing here changes state, except that the drain has begun.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::documents::{
    AdvisoryDocument, CanaryDocument, ClientDocument, DriftDocument, FactsDocument, FactsFileDocument,
    LogDocument, ModesDocument, Readiness, Reason, ReconcileDocument, ShadowDocument, StatusDocument,
    UsageDocument,
};
use super::history::MetricsHistory;
use super::next_gate::NextGate;
use super::{page, reloads};
use crate::config::{Config, Mode, ReloadHistory};
use crate::deprecation::usage::CLIENTS_MAX;
use crate::ledger::advisories::Advisories;
use crate::ledger::{Health, Ledger};
use crate::proxy::App;
use crate::reconcile::{FindingKind, Reconciler};
use crate::telemetry::log_health::{LogHealth, LogSnapshot};
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::{LabelSet, LabelValue};
use crate::telemetry::traces::SpanCounts;
use crate::translate::route::Route;
use crate::translate::side::Side;
use crate::upstream::health::UpstreamLane;
use crate::upstream::rate_limit::Budget;

/// Maximum number of difference signatures shown.
const SIGNATURES_SHOWN: usize = 10;

/// The sources of every document of the admin listener.
pub(crate) struct View {
    app: Arc<App>,
    reloads: watch::Receiver<ReloadHistory>,
    started: Instant,
    started_at: Timestamp,
    history: MetricsHistory,
    draining: OnceLock<Timestamp>,
    /// Cached, because it never changes once set. The lock makes one caller at a time query the ledger.
    pub(super) first_new_create_at: Mutex<Option<Timestamp>>,
    advisories: Arc<Advisories>,
    /// `None` when spans are not exported.
    spans: Option<Arc<SpanCounts>>,
    /// The logs that this process writes, by name.
    logs: Vec<(&'static str, LogHealth)>,
    reconciler: Reconciler,
    next_gate: NextGate,
}

impl View {
    /// A view of `app`. The uptime counts from here.
    #[must_use]
    pub(crate) fn new(app: Arc<App>, reloads: watch::Receiver<ReloadHistory>) -> Self {
        let (draining, first_new_create_at) = (OnceLock::new(), Mutex::new(None));
        let advisories = Arc::new(Advisories::new(app.services.ledger.clone()));
        let (started, started_at) = (Instant::now(), Timestamp::now());
        Self {
            app,
            reloads,
            started,
            started_at,
            draining,
            first_new_create_at,
            advisories,
            history: MetricsHistory::default(),
            spans: None,
            logs: Vec::new(),
            reconciler: Reconciler::default(),
            next_gate: NextGate::default(),
        }
    }

    /// Adds the counters of exported spans.
    #[must_use]
    pub(crate) fn with_spans(self, spans: Option<Arc<SpanCounts>>) -> Self {
        Self { spans, ..self }
    }

    /// Adds the state of the logs.
    #[must_use]
    pub(crate) fn with_logs(self, logs: Vec<(&'static str, LogHealth)>) -> Self {
        Self { logs, ..self }
    }

    /// The state of each log now, by name.
    pub(super) fn logs(&self) -> Vec<(&'static str, LogSnapshot)> {
        self.logs.iter().map(|(name, health)| (*name, health.snapshot())).collect()
    }

    /// The walks of this process over the vendor's lists.
    #[must_use]
    pub(crate) const fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    pub(super) fn spans(&self) -> Option<&SpanCounts> {
        self.spans.as_deref()
    }

    /// The advisories of this process.
    #[must_use]
    pub(crate) const fn advisories(&self) -> &Arc<Advisories> {
        &self.advisories
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    pub(super) fn reloads(&self) -> watch::Ref<'_, ReloadHistory> {
        self.reloads.borrow()
    }

    pub(super) const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Makes `/readyz` fail, so that load balancers send clients elsewhere.
    pub(crate) fn drain_begins(&self) {
        self.draining.get_or_init(Timestamp::now);
    }

    /// Whether the process is ready, with the reasons if not.
    #[must_use]
    pub(crate) fn readiness(&self) -> Readiness {
        let reason = |kind: &str, since: &Timestamp, detail: String| Reason {
            kind: kind.into(),
            since: since.to_string(),
            detail,
        };
        let draining =
            self.draining.get().map(|since| reason("draining", since, "the process is shutting down".into()));
        let ledger = match self.app.services.ledger.as_ref().map(Ledger::health) {
            Some(Health::Down { since, why }) => Some(reason("ledger", &since, why.to_string())),
            Some(Health::Ready) | None => None,
        };
        let config = self.app.config.load();
        let health = &self.app.services.health;
        let needed = |side: &Side| config.modes.needs(*side);
        let is_down =
            [Side::Legacy, Side::New].iter().filter(|side| needed(side)).any(|side| health.is_down(*side));
        let lanes = health.unreachable().filter(|down| match down.lane {
            UpstreamLane::Side(side, _) => needed(&side),
            UpstreamLane::Shadow(_) | UpstreamLane::OwnTokens | UpstreamLane::ClientTokens => true,
        });
        let lanes = lanes.map(|down| reason(&down.lane.to_string(), &down.since, down.why));
        let ready = draining.is_none() && ledger.is_none() && !is_down && !self.lacks_token(&config);
        Readiness { ready, reasons: draining.into_iter().chain(ledger).chain(lanes).collect() }
    }

    /// Whether calls for clients need a token that cannot be had.
    fn lacks_token(&self, config: &Config) -> bool {
        let services = &self.app.services;
        let sides = [Side::Legacy, Side::New].into_iter().filter(|side| config.modes.needs(*side));
        let mut needed = sides.filter_map(|side| config.auth.credential_set(side));
        services.health.is_reachable(UpstreamLane::OwnTokens) == Some(false)
            && needed.any(|credential_set| !services.upstream.has_token(credential_set, config))
    }

    /// The whole status. Waits for the ledger at most its timeouts, and not at all while it is down.
    pub(crate) async fn status(&self) -> StatusDocument {
        // In this order, so that a reload in the answer is in force.
        let reloads = self.reloads().clone();
        let config = self.app.config.load_full();
        let ledger = match (&config.ledger, &self.app.services.ledger) {
            (Some(settings), Some(ledger)) => Some(self.ledger(settings, ledger).await),
            _ => None,
        };
        let modes = config.modes;
        StatusDocument {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: self.started.elapsed().as_secs(),
            readiness: self.readiness(),
            stage: config.stage.to_string(),
            modes: ModesDocument {
                create: modes.create.to_string(),
                get: modes.get.to_string(),
                list: modes.list.to_string(),
                cancel: modes.cancel.to_string(),
            },
            canary: CanaryDocument {
                percent: config.canary.percent,
                profiles_listed: config.canary.profiles.len(),
            },
            facts: facts(&config),
            drift: DriftDocument::of(self.app.services.upstream.drift(), &config),
            replicas: config.replicas,
            writes_in_flight: self.app.services.detached.len(),
            config: reloads::section(&config, &reloads),
            budget: self.budget().snapshot(),
            usage: UsageDocument { on_record: self.usage_on_record(&config).await, ..self.usage() },
            advisories: self.active_advisories(&config).await,
            ledger,
            shadow: self.shadow(&config),
            logs: self.log_documents(),
            reconcile: self.reconcile(),
            trip: self.trip(&config).await,
            gate: self.next_gate.of(&config, self.app.services.ledger.as_ref()).await,
            audit: self.audit().await,
        }
    }

    fn log_documents(&self) -> Vec<LogDocument> {
        let document = |(name, log): (&'static str, LogSnapshot)| {
            let (failing_since, error) = log.failing.map(|(since, error)| (since.to_string(), error)).unzip();
            LogDocument {
                log: name.into(),
                target: log.target,
                lines_lost: log.lines_lost,
                failed_seconds: log.failed.as_secs_f64(),
                failing_since,
                error,
            }
        };
        self.logs().into_iter().map(document).collect()
    }

    async fn active_advisories(&self, config: &Config) -> Vec<AdvisoryDocument> {
        let active = self.advisories.active(config).await.into_iter();
        let documents = active.map(|advisory| AdvisoryDocument {
            kind: advisory.kind.as_str().into(),
            since: advisory.since.to_string(),
            detail: advisory.detail,
        });
        documents.collect()
    }

    /// The rate budget under the config in force; otherwise it would adopt a reload only with the next request.
    pub(super) fn budget(&self) -> &Budget {
        let budget = self.app.services.upstream.budget();
        budget.adopt(&self.app.config.load_full());
        budget
    }

    /// Takes the history's snapshot at the end of a minute.
    pub(super) fn end_minute(&self) {
        let shared = &self.app.services;
        self.history.end_minute(&shared.metrics, shared.upstream.budget());
    }

    /// The HTML page. A `paused` page does not refresh itself.
    pub(super) async fn page(&self, paused: bool) -> String {
        let (metrics, budget) = (&self.app.services.metrics, self.app.services.upstream.budget());
        page::render(&self.status().await, &self.history.hour(metrics, budget), metrics, paused)
    }

    pub(super) fn usage(&self) -> UsageDocument {
        fn non_zero<V: LabelValue>(counters: &Counters<(V,)>) -> BTreeMap<String, u64>
        where
            (V,): LabelSet,
        {
            let counts = counters.all().filter(|(_, count)| *count > 0);
            counts.map(|((value,), count)| (value.as_str().to_owned(), count)).collect()
        }
        let usage = &self.app.usage;
        let clients = usage.clients().into_iter().map(|client| ClientDocument {
            client: client.name.clone(),
            identified_by: client.by.as_str().into(),
            last_seen: client.last_seen().map(|at| at.to_string()).unwrap_or_default(),
            requests: client.total(),
            routes: non_zero(&client.requests),
            blocking: non_zero(&client.features),
        });
        UsageDocument {
            clients: clients.collect(),
            clients_max: CLIENTS_MAX,
            other_requests: usage.others().total(),
            full_since: usage.full_since().map(|at| at.to_string()),
            evicted: usage.evicted(),
            on_record: None,
        }
    }

    fn shadow(&self, config: &Config) -> Option<ShadowDocument> {
        let shadow = self.app.shadow.as_ref()?;
        let configured = Route::ALL.into_iter().any(|route| config.modes.of(route) == Mode::Shadow);
        let tally = shadow.stats();
        if !configured && tally.all_due() == 0 {
            return None;
        }
        let idle_reason = shadow.idle_reason(config);
        Some(ShadowDocument {
            configured,
            active: configured && idle_reason.is_none(),
            idle_reason: idle_reason.map(str::to_owned),
            waiting: shadow.jobs_waiting(),
            bytes_held: shadow.bytes_held(),
            due: tally.all_due(),
            done: tally.all_done(),
            dropped: tally.all_dropped(),
            verdicts: tally.verdicts(),
            top: tally.top(SIGNATURES_SHOWN),
            rules: shadow.rules(config),
        })
    }

    /// `None` if nothing walks, and nothing has.
    fn reconcile(&self) -> Option<ReconcileDocument> {
        let status = self.reconciler.status();
        if status.every.is_none() && status.last.is_none() {
            return None;
        }
        let last = status.last.as_ref();
        let count =
            |kind: FindingKind| last.map(|last| (kind.as_str().to_owned(), last.progress.found(kind)));
        Some(ReconcileDocument {
            every_seconds: status.every.map(|every| every.as_secs()),
            last_walk_at: last.map(|last| last.at.to_string()),
            last_clean_at: status.last_clean_at.map(|at| at.to_string()),
            window_begin: last.map(|last| last.begin.to_string()),
            window_end: last.map(|last| last.end.to_string()),
            records: last.map(|last| last.progress.rows.iter().sum()),
            clean: last.map(|last| last.progress.is_clean()),
            findings: FindingKind::ALL.into_iter().filter_map(count).collect(),
            failed: status.failed,
        })
    }
}

fn facts(config: &Config) -> FactsDocument {
    let file = config.facts_file.as_ref().map(|file| FactsFileDocument {
        path: file.path.display().to_string(),
        found_at: file.found_at.to_string(),
        hosts: file.hosts.clone(),
        in_use: file.is_in_use,
        old: file.is_old(Timestamp::now()),
    });
    let known = config.facts.known().map(|(name, value)| (name.to_owned(), value)).collect();
    FactsDocument { known, file }
}
