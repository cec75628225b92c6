//! What `reconcile` and `ledger backfill` share: their arguments, the budget of their own, and the walk.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::HeaderValue;
use jiff::Timestamp;

use super::check;
use super::config_args::ConfigArgs;
use super::exit::{FAILED, FINDINGS, OK};
use super::kept_files::KeptFiles;
use super::ledger::orders::operator_name;
use super::output::{block_on, complain};
use super::token_file::authorization;
use super::walk_progress::ProgressLine;
use crate::config::load::{load, name_sources};
use crate::config::{self, Config, ConfigProblem, ConfigRow, explain, keys};
use crate::ledger::reload_guard::{identity_of, settings_of};
use crate::ledger::{Identity, Ledger, LedgerError, OpenError, Reader, Settings};
use crate::reconcile::{
    DailyReport, Heading, LAG, Lease, Sides, VendorSource, WalkAuthor, WalkContext, WalkError, WalkOptions,
    WalkResult, walk,
};
use crate::telemetry;
use crate::telemetry::sanitize::one_line;
use crate::translate::side::Side;
use crate::upstream::UpstreamClient;
use crate::upstream::rate_limit::Budget;

/// Minimum timeout of one call to the ledger: no request waits for it.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct WalkArgs {
    /// Calls per second to each endpoint of the vendor; they add to those of the running proxies
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rate: u32,
    /// Begin again instead of going on from a walk that was stopped
    #[arg(long)]
    fresh: bool,
    /// File with an access token to read with; needed without credentials in [auth.lookup], [auth.legacy] and [auth.new]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What one command wants of a walk.
pub(super) struct Wanted {
    pub(super) options: WalkOptions,
    pub(super) dry_run: bool,
    pub(super) report: Option<DailyReport>,
}

/// A finished walk with what its output needs.
pub(super) struct WalkRun {
    pub(super) result: WalkResult,
    pub(super) tenant: String,
    calls: u64,
    dry_run: bool,
}

impl WalkRun {
    pub(super) fn heading<'a>(&'a self, name: &'a str) -> Heading<'a> {
        Heading { name, tenant: &self.tenant, calls: self.calls, dry_run: self.dry_run }
    }

    pub(super) fn exit_code(&self) -> u8 {
        if self.result.progress.is_clean() { OK } else { FINDINGS }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum WalkCommandError {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("could not finish: {error}; {}", next_run(*.resumes))]
    Walk {
        error: WalkError,
        /// Whether the same command goes on with it.
        resumes: bool,
    },
    #[error("{0}")]
    Refused(String),
}

const fn next_run(resumes: bool) -> &'static str {
    match resumes {
        true => "run it again, and it goes on from where it stopped",
        false => "run it again; it begins anew",
    }
}

/// The end of a window without one: younger records may be missing in a list.
pub(super) fn default_end() -> Timestamp {
    Timestamp::now() - LAG
}

/// A walk whose config is loaded; nothing has been done yet.
pub(super) struct Prepared {
    arguments: WalkArgs,
    config: Arc<Config>,
    ledger: config::LedgerSection,
    rows: Vec<ConfigRow>,
}

/// Loads the config, or returns the exit code.
pub(super) fn prepare(arguments: WalkArgs) -> Result<Prepared, u8> {
    let (config, ledger, rows) =
        configured(arguments.config.clone()).map_err(|problems| check::refused(&problems))?;
    Ok(Prepared { arguments, config, ledger, rows })
}

impl Prepared {
    /// What no output of the walk may take the place of.
    pub(super) fn kept_files(&self) -> KeptFiles {
        let WalkArgs { token_file, config, .. } = &self.arguments;
        let kept = KeptFiles::of(&config.clone().into_sources(), &self.config, &self.rows);
        kept.and("--token-file", token_file.as_deref())
    }

    /// Walks, or returns the exit code.
    pub(super) fn run(self, wanted: Wanted) -> Result<WalkRun, u8> {
        let Self { arguments: WalkArgs { rate, fresh, token_file, .. }, config, ledger, rows } = self;
        let token = token_file.as_deref().map(authorization).transpose().map_err(|error| {
            complain(format_args!("--token-file: {error}"));
            FAILED
        })?;
        // Standard output holds the result.
        let terminal = std::io::stderr().is_terminal();
        let _log = telemetry::start_to(&config.log, None, std::io::stderr(), terminal).map_err(|error| {
            complain(error);
            FAILED
        })?;
        let options = WalkOptions { resume: !fresh, ..wanted.options.clone() };
        let wanted = Wanted { options, ..wanted };
        block_on(walked(config, &ledger, WalkAccess { rate, token }, wanted)).map_err(|error| {
            if let WalkCommandError::Open(error) = &error {
                let problems = check::ledger_problems(error, &rows);
                if !problems.is_empty() {
                    return check::refused(&problems);
                }
            }
            complain(error);
            FAILED
        })
    }
}

struct WalkAccess {
    rate: u32,
    token: Option<HeaderValue>,
}

async fn walked(
    config: Arc<Config>,
    ledger: &config::LedgerSection,
    access: WalkAccess,
    wanted: Wanted,
) -> Result<WalkRun, WalkCommandError> {
    let source = source(&config, access)?;
    let Wanted { mut options, dry_run, report } = wanted;
    let (opened, reader) = opened(&config, ledger, dry_run).await?;
    // No claim names new before the ledger is open for it (docs/money-safety.md).
    options.may_claim_new = reader.identified(None).await?.is_open;
    options = options.under(&config);
    // The clock of this machine may be ahead of the ledger's.
    options.end = options.end.min(reader.clock().await? - LAG);
    if options.sides == Sides::Only(Side::New) && !options.may_claim_new {
        let reason =
            "the ledger is not open for creates on the new API: `conversion-shim ledger open-new` opens it";
        return Err(WalkCommandError::Refused(reason.into()));
    }
    let lease = match &opened {
        Some(opened) => Some(lease(opened, &ledger.tenant).await?),
        None => None,
    };
    // What of a report was compared before is not on record, and of a dry run nothing is.
    let resumes = !dry_run && report.is_none();
    let progress = ProgressLine::new(options.kind.as_str());
    let operator = operator_name();
    let context = WalkContext {
        source: &source,
        reader: &reader,
        ledger: opened.as_ref(),
        lease: lease.as_ref(),
        tenant: &ledger.tenant,
        author: WalkAuthor { config: &config.hash, operator: Some(&operator) },
        facts: config.facts,
        report,
        observer: &|view| progress.show(view, source.delay()),
    };
    let outcome = tokio::select! {
        outcome = walk(context, options) => outcome.map_err(|error| WalkCommandError::Walk { error, resumes }),
        never = progress.show_waits(&source) => match never {},
    };
    progress.end();
    // Also after a walk that failed: otherwise the next one waits until the lease runs out.
    if let Some(lease) = lease {
        lease.give_back().await;
    }
    Ok(WalkRun { result: outcome?, tenant: ledger.tenant.clone(), calls: source.calls(), dry_run })
}

/// The lease that lets this process walk; a process that was killed keeps it for some seconds.
async fn lease(opened: &Ledger, tenant: &str) -> Result<Lease, WalkCommandError> {
    let on_wait = |holder: &str, until: Timestamp| {
        let holder = one_line(holder.get(..12).unwrap_or(holder));
        complain(format_args!(
            "waits until {until:.0}: process {holder} walks the lists of this tenant, or was killed while it did"
        ));
    };
    let lease = Lease::take_patiently(opened, tenant, on_wait).await?;
    lease
        .ok_or_else(|| WalkCommandError::Refused("another process walks the lists of this tenant now".into()))
}

fn source(
    config: &Arc<Config>,
    WalkAccess { rate, token }: WalkAccess,
) -> Result<VendorSource, WalkCommandError> {
    let refused = |error: &dyn std::error::Error| WalkCommandError::Refused(error.to_string());
    let upstream = UpstreamClient::new(&config.upstream).map_err(|error| refused(&error))?;
    let source = VendorSource::new(config.clone(), &upstream, own_budget(config, rate), token)
        .map_err(|error| refused(&error))?
        .alone();
    match [Side::Legacy, Side::New].into_iter().find(|side| !source.has_credentials(*side)) {
        None => Ok(source),
        Some(side) => Err(WalkCommandError::Refused(format!(
            "there are no credentials to read the {side} side: set [auth.lookup], or pass --token-file"
        ))),
    }
}

/// The ledger that the config names; only to read in a dry run, which must not even bring the tables up to date.
pub(super) async fn opened(
    config: &Config,
    ledger: &config::LedgerSection,
    dry_run: bool,
) -> Result<(Option<Ledger>, Reader), WalkCommandError> {
    let identity = Identity { create: false, ..identity_of(config, ledger) };
    let usual = settings_of(ledger);
    let settings = Settings { identity, timeout: usual.timeout.max(LEDGER_TIMEOUT), ..usual };
    if dry_run {
        return Ok((None, Reader::open(&settings).await?));
    }
    let opened = Ledger::open_beside(&settings).await?.on_behalf_of(&operator_name());
    let reader = opened.reader().clone();
    Ok((Some(opened), reader))
}

/// This process has no part in the budget of those that serve, so it gets a small one of its own.
fn own_budget(config: &Config, rate: u32) -> Budget {
    let budget = Budget::default();
    budget.adopt(&with_rate(config, rate));
    budget
}

/// A config whose budget is that of one process, which leaves the rest to those that serve.
pub(super) fn with_rate(config: &Config, rate: u32) -> Arc<Config> {
    let mut own = config.clone();
    own.replicas = 1;
    own.budget.per_second = own.budget.per_second.min(rate);
    own.budget.endpoints.iter_mut().for_each(|row| row.per_second = row.per_second.min(rate));
    (own.budget.shadow_share, own.budget.lookup_share) = (1.0, 0.0);
    Arc::new(own)
}

type Configured = (Arc<Config>, config::LedgerSection, Vec<ConfigRow>);

fn configured(arguments: ConfigArgs) -> Result<Configured, Vec<ConfigProblem>> {
    let loaded = load(&arguments.into_sources())?;
    let (config, rows) = (loaded.config.clone(), explain(&loaded));
    match config.ledger.clone() {
        Some(ledger) => Ok((config, ledger, rows)),
        None => {
            let problem = ConfigProblem::new(keys::LEDGER_URL, "is not set, so there is no ledger", "");
            Err(name_sources(&rows, vec![problem]))
        }
    }
}
