//! The state of the process, collected on request. Nothing here changes state, except that the drain has begun.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::documents::{
    AdvisoryDocument, CanaryDocument, ClientDocument, LedgerDocument, ModesDocument, Readiness, Reason,
    ShadowDocument, StatusDocument, UsageDocument,
};
use super::history::MetricsHistory;
use super::{page, reloads};
use crate::config::{self, Config, LedgerKind, Mode, ReloadHistory};
use crate::deprecation::usage::CLIENTS_MAX;
use crate::ledger::advisories::Advisories;
use crate::ledger::{Health, Ledger};
use crate::proxy::App;
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::{LabelSet, LabelValue};
use crate::telemetry::traces::SpanCounts;
use crate::translate::route::Route;
use crate::translate::side::Side;
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
    first_new_create_at: Mutex<Option<Timestamp>>,
    advisories: Arc<Advisories>,
    /// `None` when spans are not exported.
    spans: Option<Arc<SpanCounts>>,
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
        }
    }

    /// Adds the counters of exported spans.
    #[must_use]
    pub(crate) fn with_spans(self, spans: Option<Arc<SpanCounts>>) -> Self {
        Self { spans, ..self }
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
        let sides = [Side::Legacy, Side::New].into_iter().filter(|side| config.modes.needs(*side));
        let sides = sides.filter_map(|side| {
            let down = self.app.services.health.unreachable(side)?;
            Some(reason(&format!("{side} side"), &down.since, down.why))
        });
        let reasons: Vec<_> = draining.into_iter().chain(ledger).chain(sides).collect();
        Readiness { ready: reasons.is_empty(), reasons }
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
            replicas: config.replicas,
            writes_in_flight: self.app.services.detached.len(),
            config: reloads::section(&config, &reloads),
            budget: self.budget().snapshot(),
            usage: self.usage(),
            advisories: self.active_advisories(&config).await,
            ledger,
            shadow: self.shadow(&config),
        }
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

    async fn ledger(&self, settings: &config::Ledger, ledger: &Ledger) -> LedgerDocument {
        let first_new_create_at = self.first_new_create_at(ledger).await;
        // After the query, which may itself find the ledger down.
        let (health, down_since, error) = match ledger.health() {
            Health::Ready => ("ready", None, None),
            Health::Down { since, why } => ("down", Some(since.to_string()), Some(why.to_string())),
        };
        let kind = match settings.kind {
            LedgerKind::Sqlite => "sqlite",
            LedgerKind::Postgres => "postgres",
        };
        LedgerDocument {
            kind: kind.into(),
            tenant: settings.tenant.clone(),
            health: health.into(),
            down_since,
            error,
            created_on_new: first_new_create_at.map(|since| since.is_some()),
            first_new_create_at: first_new_create_at.flatten().map(|since| since.to_string()),
        }
    }

    /// When a create first went to the new API; outer `None` if the ledger does not answer.
    async fn first_new_create_at(&self, ledger: &Ledger) -> Option<Option<Timestamp>> {
        let mut known = self.first_new_create_at.lock().await;
        if known.is_none() {
            // A query would only wait for the whole timeout.
            if !ledger.health().is_ready() {
                return None;
            }
            *known = ledger.reader().first_new_create_at().await.ok()?;
        }
        Some(*known)
    }
}
