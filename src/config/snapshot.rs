//! The typed config: one immutable value, which a request keeps from start to end.

use std::net::SocketAddr;

use jiff::Timestamp;

use super::facts_file::FactsFile;
use super::problem::ConfigProblem;
use super::read::KeyReader;
use super::rules;
use super::sections::admin::{self, Admin};
use super::sections::auth::{self, Auth, CredentialSet};
use super::sections::budget::{self, Budget};
use super::sections::canary::{self, Canary};
use super::sections::deprecation::{self, Deprecation};
use super::sections::facts::{self, FactsSection};
use super::sections::forwarding::{self, Forwarding};
use super::sections::gate::{self, Gate, Override};
use super::sections::general::{self, General};
use super::sections::hold::{self, Hold};
use super::sections::ledger::{self, LedgerSection};
use super::sections::limits::{self, Limits};
use super::sections::list::{self, List};
use super::sections::log::{self, Log};
use super::sections::modes::{CreateProgress, CutoverProgress, Mode, Modes, ReadProgress, Stage};
use super::sections::reconcile::{self, Reconcile};
use super::sections::reload::{self, Reload};
use super::sections::routes::{self, Origins, Routes};
use super::sections::sandbox::{self, Sandbox};
use super::sections::server::{self, Server};
use super::sections::shadow::{self, Shadow};
use super::sections::timeouts::{self, Timeouts};
use super::sections::tls::{self, Tls};
use super::sections::traces::{self, Traces};
use super::sections::upstream::{self, Upstreams};
use super::sections::usage::{self, Usage};
use crate::translate::facts::Facts;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// A complete, valid config. `config/default.toml` documents every key.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the clients' listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Path of clients' base URL. Normalized: starts with a slash and does not end with one.
    pub base_path: String,
    /// Progress of the cutover. `modes` decides; single routes may override the stage.
    pub stage: Stage,
    /// The mode of every route.
    pub modes: Modes,
    /// Number of processes that share the ledger.
    pub(crate) replicas: u32,
    /// `[upstream]`
    pub upstream: Upstreams,
    pub(crate) auth: Auth,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    pub(crate) hold: Hold,
    pub(crate) list: List,
    /// `[limits]`
    pub limits: Limits,
    /// `[server]`
    pub server: Server,
    /// `[forwarding]`
    pub forwarding: Forwarding,
    /// `[tls]`; `None` = plain HTTP.
    pub tls: Option<Tls>,
    /// `[log]`
    pub log: Log,
    /// `[tracing]`
    pub traces: Traces,
    pub(crate) reload: Reload,
    /// `[canary]`
    pub canary: Canary,
    /// `[ledger]`; `None` = no ledger is configured.
    pub ledger: Option<LedgerSection>,
    /// `[facts]`
    pub facts: Facts,
    /// The file that facts came from.
    pub(crate) facts_file: Option<FactsFile>,
    pub(crate) gate: Gate,
    pub(crate) budget: Budget,
    pub(crate) reconcile: Reconcile,
    /// `[shadow]`
    pub shadow: Shadow,
    pub(crate) usage: Usage,
    pub(crate) deprecation: Deprecation,
    pub(crate) admin: Admin,
    pub(crate) sandbox: Sandbox,
    /// Twelve hex digits that identify the effective config without its secrets: equal on replicas with the same config.
    pub hash: String,
    origins: Origins,
}

impl Config {
    /// The rule that needs the ledger: once any create went to the new API, no route may read only legacy. Returns the
    /// violations.
    #[must_use]
    pub fn check_against_history(&self, ever_created_on_new: bool) -> Vec<ConfigProblem> {
        self.modes_against_history(&self.modes, ever_created_on_new)
    }

    /// The same rule, for other modes than those of this config.
    pub(crate) fn modes_against_history(
        &self,
        modes: &Modes,
        ever_created_on_new: bool,
    ) -> Vec<ConfigProblem> {
        let routes = Routes { modes: *modes, origins: self.origins.clone() };
        if ever_created_on_new { rules::reads_without_new(&routes) } else { Vec::new() }
    }

    /// How far modes go with this config, for the record and what a step needs. Reads that come with a hold do not count: creates can be
    /// stopped at any time. A canary of all profiles is no canary.
    #[must_use]
    pub(crate) fn progress_of(&self, modes: &Modes) -> CutoverProgress {
        let progress = modes.progress();
        match (modes.create, progress.reads) {
            (Mode::Hold, ReadProgress::Both) => CutoverProgress { reads: ReadProgress::Legacy, ..progress },
            (Mode::Canary, _) if self.canary.percent >= 100 => {
                CutoverProgress { creates: CreateProgress::All, ..progress }
            }
            _ => progress,
        }
    }

    /// How far the modes of the config before were; `None` for `hold`, which says nothing of the modes before it.
    pub(crate) fn progress_before(before: &Self) -> Option<CutoverProgress> {
        (before.modes.create != Mode::Hold).then(|| before.progress_of(&before.modes))
    }

    /// A problem with the mode of creates, or of the read that goes furthest.
    pub(crate) fn mode_problem(&self, of_creates: bool, message: String) -> ConfigProblem {
        let reads = [Route::Get, Route::List, Route::Cancel];
        let uses = |mode: Mode| reads.into_iter().find(|route| self.modes.of(*route) == mode);
        let read = uses(Mode::New).or_else(|| uses(Mode::Both)).unwrap_or(Route::Get);
        self.origins.problem(if of_creates { Route::Create } else { read }, message)
    }

    /// The override that allows these modes now.
    #[must_use]
    pub(crate) fn override_in_force(&self) -> Option<&Override> {
        let allows = |exception: &&Override| {
            let (to, now) = (exception.to.modes().progress(), self.progress_of(&self.modes));
            // No further than the step that was excepted: an override of canary does not let live through.
            Timestamp::now() < exception.until && now.creates <= to.creates && now.reads <= to.reads
        };
        self.gate.exception.as_ref().filter(allows)
    }

    /// Reads every key, in the order of `default.toml`. `None` if a value cannot be used; `keys` has the problems. The hash
    /// is left empty.
    pub(super) fn read(keys: &mut KeyReader) -> Option<Self> {
        let General { listen, base_path, stage, replicas } = general::read(keys);
        let (routes, upstream) = (routes::read(keys, stage), upstream::read(keys));
        let auth = auth::read(keys, base_path.as_deref());
        let (timeouts, hold, list) = (timeouts::read(keys), hold::read(keys), list::read(keys));
        let (limits, server) = (limits::read(keys), server::read(keys));
        let (forwarding, tls, log) = (forwarding::read(keys), tls::read(keys), log::read(keys));
        let (traces, reload) = (traces::read(keys), reload::read(keys));
        let (canary, ledger) = (canary::read(keys), ledger::read(keys));
        let (facts, gate) = (facts::read(keys, upstream.as_ref()), gate::read(keys));
        let (budget, reconcile) = (budget::read(keys, replicas), reconcile::read(keys));
        let (shadow, usage, deprecation) = (shadow::read(keys), usage::read(keys), deprecation::read(keys));
        let (admin, sandbox) = (admin::read(keys, listen), sandbox::read(keys));
        check_rules(keys, routes.as_ref(), ledger.as_ref(), auth.as_ref(), replicas);
        check_client_auth(keys, auth.as_ref(), tls.as_ref());
        reconcile::check(keys, reconcile.as_ref(), &needs(ledger.as_ref(), auth.as_ref(), budget.as_ref()));
        let Routes { modes, origins } = routes?;
        let FactsSection { facts, file: facts_file } = facts?;
        Some(Self {
            listen: listen?,
            base_path: base_path?,
            stage: stage?,
            modes,
            replicas: replicas?,
            upstream: upstream?,
            auth: auth?,
            timeouts: timeouts?,
            hold: hold?,
            list: list?,
            limits: limits?,
            server: server?,
            forwarding: forwarding?,
            tls: tls?,
            log: log?,
            traces: traces?,
            reload: reload?,
            canary: canary?,
            ledger: ledger?,
            facts,
            facts_file,
            gate: gate?,
            budget: budget?,
            reconcile: reconcile?,
            shadow: shadow?,
            usage: usage?,
            deprecation: deprecation?,
            admin: admin?,
            sandbox: sandbox?,
            hash: String::new(),
            origins,
        })
    }
}

/// Applies the rules if all values that they judge could be read.
fn check_rules(
    keys: &mut KeyReader,
    routes: Option<&Routes>,
    ledger: Option<&Option<LedgerSection>>,
    auth: Option<&Auth>,
    replicas: Option<u32>,
) {
    // A rule over sections that were not all read would report the gaps as violations.
    let (Some(routes), Some(ledger), Some(auth), Some(replicas), true) =
        (routes, ledger, auth, replicas, keys.complete)
    else {
        return;
    };
    let reads_new = auth.credentials(CredentialSet::Lookup).is_some();
    let source = |key: &str| keys.source(key);
    let violations = rules::violations(&rules::RuleInput {
        routes,
        ledger: ledger.as_ref(),
        replicas,
        reads_new,
        embedded_vendor: keys.embedded_vendor,
        source: &source,
    });
    keys.problems.extend(violations);
}

/// What other sections have of what walks need.
fn needs(
    ledger: Option<&Option<LedgerSection>>,
    auth: Option<&Auth>,
    budget: Option<&Budget>,
) -> reconcile::Needs {
    reconcile::Needs {
        ledger: ledger.map(Option::is_some),
        credentials: auth.map(reads_both),
        budget: budget.map(|budget| budget.shadow_share > 0.0),
    }
}

/// Whether there are credentials that may read both sides.
fn reads_both(auth: &Auth) -> bool {
    [Side::Legacy, Side::New].into_iter().all(|side| auth.reading_credentials(side).is_some())
}

fn check_client_auth(keys: &mut KeyReader, auth: Option<&Auth>, tls: Option<&Option<Tls>>) {
    if let (Some(auth), Some(tls), true) = (auth, tls, keys.complete) {
        auth::check_client_auth(keys, auth, tls.as_ref());
    }
}
