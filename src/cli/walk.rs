//! What `reconcile` and `ledger backfill` share: their arguments, the budget of their own, the progress on the terminal, and the walk.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use http::HeaderValue;
use jiff::Timestamp;

use super::check;
use super::config_args::ConfigArgs;
use super::exit::{FAILED, FINDINGS, OK};
use super::ledger::orders::operator_name;
use super::output::{block_on, complain, print_error};
use super::token_file::authorization;
use crate::config::load::{load, name_sources};
use crate::config::{self, Config, ConfigProblem, ConfigRow, explain, keys};
use crate::ledger::reload_guard::{identity_of, settings_of};
use crate::ledger::{Identity, Ledger, LedgerError, OpenError, Reader, Settings};
use crate::reconcile::{
    DailyReport, Heading, LAG, Lease, Sides, VendorSource, WalkAuthor, WalkContext, WalkError, WalkOptions,
    WalkResult, WalkView, walk,
};
use crate::telemetry;
use crate::telemetry::format::count;
use crate::translate::side::Side;
use crate::upstream::UpstreamClient;
use crate::upstream::rate_limit::Budget;

/// Minimum timeout of one call to the ledger: no request waits for it.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Between two changes of the line on a terminal.
const BAR_EVERY: Duration = Duration::from_millis(200);

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
pub(super) struct Walked {
    pub(super) result: WalkResult,
    pub(super) tenant: String,
    calls: u64,
    dry_run: bool,
}

impl Walked {
    pub(super) fn heading<'a>(&'a self, name: &'a str) -> Heading<'a> {
        Heading { name, tenant: &self.tenant, calls: self.calls, dry_run: self.dry_run }
    }

    pub(super) fn exit_code(&self) -> u8 {
        if self.result.progress.is_clean() { OK } else { FINDINGS }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("could not finish: {0}; run it again, and it goes on from where it stopped")]
    Walk(#[from] WalkError),
    #[error("{0}")]
    Refused(String),
}

/// The end of a window without one: younger records may be missing in a list.
pub(super) fn default_end() -> Timestamp {
    Timestamp::now() - LAG
}

/// Walks, or returns the exit code.
pub(super) fn run(arguments: WalkArgs, wanted: Wanted) -> Result<Walked, u8> {
    let WalkArgs { rate, fresh, token_file, config: config_args } = arguments;
    let (config, ledger, rows) = configured(config_args).map_err(|problems| check::refused(&problems))?;
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
    block_on(walked(config, &ledger, Access { rate, token }, wanted)).map_err(|error| {
        if let Failed::Open(error) = &error {
            let problems = check::ledger_problems(error, &rows);
            if !problems.is_empty() {
                return check::refused(&problems);
            }
        }
        complain(error);
        FAILED
    })
}

struct Access {
    rate: u32,
    token: Option<HeaderValue>,
}

async fn walked(
    config: Arc<Config>,
    ledger: &config::Ledger,
    access: Access,
    wanted: Wanted,
) -> Result<Walked, Failed> {
    let source = source(&config, access)?;
    let Wanted { mut options, dry_run, report } = wanted;
    let (opened, reader) = opened(&config, ledger, dry_run).await?;
    // No claim names new before the ledger is open for it (docs/money-safety.md).
    options.may_claim_new = reader.identified(None).await?.is_open;
    options = options.under(&config);
    if options.sides == Sides::Only(Side::New) && !options.may_claim_new {
        let reason =
            "the ledger is not open for creates on the new API: `conversion-shim ledger open-new` opens it";
        return Err(Failed::Refused(reason.into()));
    }
    let lease = match &opened {
        Some(opened) => match Lease::take_patiently(opened, &ledger.tenant).await? {
            Some(lease) => Some(lease),
            None => return Err(Failed::Refused("another process walks the lists of this tenant now".into())),
        },
        None => None,
    };
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
        observer: &|view| progress.show(view),
    };
    let outcome = walk(context, options).await;
    progress.end();
    // Also after a walk that failed: otherwise the next one waits until the lease runs out.
    if let Some(lease) = lease {
        lease.give_back().await;
    }
    Ok(Walked { result: outcome?, tenant: ledger.tenant.clone(), calls: source.calls(), dry_run })
}

fn source(config: &Arc<Config>, Access { rate, token }: Access) -> Result<VendorSource, Failed> {
    let refused = |error: &dyn std::error::Error| Failed::Refused(error.to_string());
    let upstream = UpstreamClient::new(&config.upstream).map_err(|error| refused(&error))?;
    let source = VendorSource::new(config.clone(), &upstream, own_budget(config, rate), token)
        .map_err(|error| refused(&error))?;
    match [Side::Legacy, Side::New].into_iter().find(|side| !source.has_credentials(*side)) {
        None => Ok(source),
        Some(side) => Err(Failed::Refused(format!(
            "there are no credentials to read the {side} side: set [auth.lookup], or pass --token-file"
        ))),
    }
}

/// The ledger that the config names; only to read in a dry run, which must not even bring the tables up to date.
pub(super) async fn opened(
    config: &Config,
    ledger: &config::Ledger,
    dry_run: bool,
) -> Result<(Option<Ledger>, Reader), Failed> {
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

type Configured = (Arc<Config>, config::Ledger, Vec<ConfigRow>);

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

/// One line that changes on a terminal, and a line every few seconds elsewhere.
struct ProgressLine {
    name: &'static str,
    is_terminal: bool,
    start: Instant,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    last: Option<Instant>,
    /// Rows, and the time up to which all was seen, when the first records were there.
    first: Option<(u64, i64)>,
    width: usize,
}

impl ProgressLine {
    fn new(name: &'static str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { name, is_terminal, start: Instant::now(), shown: Mutex::default() }
    }

    fn show(&self, view: &WalkView<'_>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let every = if self.is_terminal { BAR_EVERY } else { LINE_EVERY };
        let rows: u64 = view.progress.rows.iter().sum();
        if rows > 0 {
            shown.first.get_or_insert((rows, view.progress.position));
        }
        if shown.last.get_or_insert(self.start).elapsed() < every {
            return;
        }
        shown.last = Some(Instant::now());
        let line = self.line(view, rows, shown.first);
        if self.is_terminal {
            let width = std::mem::replace(&mut shown.width, line.len());
            print_error(&format!("\r{line:width$}"));
        } else {
            print_error(&format!("{line}\n"));
        }
    }

    fn line(&self, view: &WalkView<'_>, rows: u64, first: Option<(u64, i64)>) -> String {
        let seconds = self.start.elapsed().as_secs().max(1);
        let pages: u64 = view.progress.pages.iter().sum();
        let position = Timestamp::from_second(view.progress.position).unwrap_or(view.begin);
        let (done, left) = first.map_or((0, 0), |(_, from)| {
            (view.progress.position.abs_diff(from), view.end.as_second().abs_diff(view.progress.position))
        });
        // By time, because the number of records is not known.
        let ends_in = seconds.saturating_mul(left).checked_div(done);
        let ends_in = ends_in.map_or_else(|| "unknown".into(), |seconds| format!("{seconds} s"));
        let bar = bar(done, left);
        format!(
            "{} {bar} {} rows, {} pages, {} rows/s, at {position}, time left {ends_in}",
            self.name,
            count(rows),
            count(pages),
            count(rows / seconds),
        )
    }

    fn end(&self) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_terminal && shown.width > 0 {
            print_error(&format!("\r{:width$}\r", "", width = shown.width));
        }
    }
}

fn bar(done: u64, left: u64) -> String {
    const WIDTH: u64 = 20;
    let filled = (done * WIDTH).checked_div(done + left).unwrap_or_default().min(WIDTH) as usize;
    format!("[{:<20}]", "#".repeat(filled))
}
