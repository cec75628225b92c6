//! `ledger`: shows the ledger of claims, and changes what only an operator may change. Safe beside a running proxy: reading takes no
//! lock, and the changes use the database's own.

mod backfill;
mod backup;
pub(super) mod orders;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::check;
use super::config_args::ConfigArgs;
use super::exit::{ABSENT, FAILED, HELP as EXIT_CODES, OK, USAGE};
use super::output::{block_on, complain, json_line, print, table};
use super::status::completeness;
use crate::admin::documents::CompletenessDocument;
use crate::config::keys;
use crate::config::load::{examine, name_sources};
use crate::config::{self, Config, ConfigProblem, ConfigRow};
use crate::ledger::reload_guard;
use crate::ledger::{
    Claim, ClaimState, Completeness, Identified, Identity, Key, LedgerError, OpenError, Reader, Settings,
    Stats,
};
use crate::translate::side::Side;

/// Minimum timeout of `ledger stats`, which reads whole indexes.
const STATS_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Show the claim of a ref_id: its side, state and record
    #[command(after_help = EXIT_CODES)]
    Show {
        /// The client's ref_id; write `--` before one that begins with a dash
        ref_id: String,
        /// Tenant of the ref_id; overrides ledger.tenant of the config
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print the ledger's id and how many claims there are of each side and state
    ///
    /// Above about 100,000 claims those on the old API that are checked are an estimate of the database's, printed as "about". Nothing is
    /// locked.
    #[command(after_help = EXIT_CODES)]
    Stats {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Create a ledger, or give an id to one that has none, and print the id as the last line
    ///
    /// Claims are kept. Run it once, before creates may go to the new API, and set ledger.id to the id. Restore a
    /// lost ledger instead: a new one has no claims.
    #[command(after_help = EXIT_CODES)]
    Init(orders::InitArgs),
    /// Mark the ledger as open for creates on the new API
    ///
    /// Run it before the first of them, and set ledger.new_in_use = true: a start or reload at which the two disagree is refused.
    #[command(after_help = EXIT_CODES)]
    OpenNew(orders::OrderArgs),
    /// Accept the database as the right one, and lift the hold on creates
    ///
    /// Run it after a fail-over, a restored backup, or renamed upstream hosts, once it is certain which claims were lost. It lifts the hold
    /// on creates and records the server, its timeline, the hosts and the tenant.
    #[command(after_help = EXIT_CODES)]
    Accept(orders::OrderArgs),
    /// Let the next create with a ref_id choose its side anew, after lookups on both sides found nothing
    ///
    /// For a ref_id whose creates ended without an answer. Refused while an attempt may be younger than an hour.
    #[command(after_help = EXIT_CODES)]
    Release(orders::ReleaseArgs),
    /// Write a claim for every conversion that one side holds and no claim knows
    ///
    /// Walks the side's list from its first record. Claims are never changed to another side, and nothing is sent. Run it again at any
    /// time, also after it was stopped: it goes on from there.
    #[command(after_help = EXIT_CODES)]
    Backfill(backfill::BackfillArgs),
    /// Copy a SQLite ledger to a file, beside a running proxy, and check the copy
    ///
    /// The copy is of one moment. It lacks the claims that are made after it: restore one only if the ledger itself is lost, and run
    /// `ledger accept` then.
    #[command(after_help = EXIT_CODES)]
    Backup(backup::BackupArgs),
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(arguments: LedgerArgs) -> u8 {
    match arguments.command {
        LedgerCommand::Show { ref_id, tenant, output } => show(&ref_id, tenant, output),
        LedgerCommand::Stats { output } => stats(output),
        LedgerCommand::Init(arguments) => orders::init(arguments),
        LedgerCommand::OpenNew(arguments) => orders::open_new(arguments),
        LedgerCommand::Accept(arguments) => orders::accept(arguments),
        LedgerCommand::Release(arguments) => orders::release(arguments),
        LedgerCommand::Backfill(arguments) => backfill::run(arguments),
        LedgerCommand::Backup(arguments) => backup::run(arguments),
    }
}

fn show(ref_id: &str, tenant: Option<String>, output: OutputArgs) -> u8 {
    let (ledger, rows) = match configured(output.config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    let tenant = tenant.unwrap_or_else(|| ledger.tenant.clone());
    let key = match Key::new(&tenant, ref_id) {
        Ok(key) => key,
        Err(error) => {
            complain(format_args!("invalid ref_id or tenant: {error}"));
            return USAGE;
        }
    };
    let found = block_on(async {
        let reader = Reader::open(&named(&ledger)).await?;
        Ok(reader.claim_by_ref(key).await?)
    });
    answer(found, &rows, |claim: Option<Claim>| {
        let text = match &claim {
            _ if output.json => line(&claim_json(key, claim.as_ref())),
            Some(claim) => table(&claim_rows(key, claim)),
            None => table(&[("no claim", format!("for ref_id {ref_id} of tenant {tenant}"))]),
        };
        (text, if claim.is_some() { OK } else { ABSENT })
    })
}

fn stats(output: OutputArgs) -> u8 {
    let (config, ledger, rows) = match whole_config(output.config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    let settings = named(&ledger);
    let patient = Settings { timeout: settings.timeout.max(STATS_TIMEOUT), ..settings.clone() };
    let counted = block_on(async {
        // Counting takes its time, and a server that does not even answer is not waited for as long.
        drop(Reader::open(&settings).await?);
        let settings = patient;
        let reader = Reader::open(&settings).await?;
        let sides = reader.completeness(&ledger.tenant).await?;
        Ok((reader.identified(None).await?, reader.stats().await?, sides))
    });
    answer(counted, &rows, |(found, stats, sides): (Identified, Stats, Vec<Completeness>)| {
        let complete = CompletenessDocument::of(&sides, &config);
        let text = if output.json {
            line(&stats_json(&found, &stats, &complete))
        } else {
            let sides = complete.iter().map(|(side, found)| completeness(side, found));
            table(&stats_rows(found, &stats).into_iter().chain(sides).collect::<Vec<_>>())
        };
        (text, OK)
    })
}

/// The ledger that the config names: what another one says about a reference is no answer.
pub(super) fn named(ledger: &config::LedgerSection) -> Settings {
    let identity = Identity { id: ledger.id.clone(), adopt: true, ..Identity::default() };
    Settings { identity, ..reload_guard::settings_of(ledger) }
}

/// The `[ledger]` section of the config with the sources of its keys, or the problem that there is none.
pub(super) fn configured(
    arguments: ConfigArgs,
) -> Result<(config::LedgerSection, Vec<ConfigRow>), Vec<ConfigProblem>> {
    let (_, ledger, rows) = whole_config(arguments)?;
    Ok((ledger, rows))
}

type WholeConfig = (Config, config::LedgerSection, Vec<ConfigRow>);

fn whole_config(arguments: ConfigArgs) -> Result<WholeConfig, Vec<ConfigProblem>> {
    let examined = examine(&arguments.into_sources())?;
    // `examine` tolerates unreadable secret files; this one is needed here.
    if let Some(problem) = examined.unread().iter().find(|problem| problem.key == keys::LEDGER_URL_FILE) {
        return Err(vec![problem.clone()]);
    }
    let rows = examined.rows();
    let config = examined.config().clone();
    let ledger = config.ledger.clone().ok_or_else(|| no_ledger(&rows))?;
    Ok((config, ledger, rows))
}

/// There is no ledger to work on.
pub(super) fn no_ledger(rows: &[ConfigRow]) -> Vec<ConfigProblem> {
    name_sources(rows, vec![ConfigProblem::new(keys::LEDGER_URL, "is not set, so there is no ledger", "")])
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerCommandError {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the ledger of {key}: {0}", key = keys::LEDGER_URL)]
    Read(#[from] LedgerError),
    #[error("{0}")]
    Lookup(String),
}

pub(super) fn answer<T>(
    read: Result<T, LedgerCommandError>,
    rows: &[ConfigRow],
    render: impl FnOnce(T) -> (String, u8),
) -> u8 {
    match read {
        Ok(read) => {
            let (text, code) = render(read);
            print(&text, code)
        }
        Err(error) => {
            let problems = match &error {
                LedgerCommandError::Open(error) => check::ledger_problems(error, rows),
                LedgerCommandError::Runtime(_)
                | LedgerCommandError::Read(_)
                | LedgerCommandError::Lookup(_) => Vec::new(),
            };
            if !problems.is_empty() {
                return check::refused(&problems);
            }
            complain(error);
            FAILED
        }
    }
}

fn line(json: &Value) -> String {
    json_line(&json.to_string())
}

fn claim_json(key: Key<'_>, claim: Option<&Claim>) -> Value {
    let claim = claim.map(|claim| {
        json!({
            "side": claim.side.as_str(),
            "state": claim.state.as_str(),
            "record_id": claim.record_id,
            "generation": claim.generation,
            "attempts": { "begun": claim.begun, "closed": claim.closed, "open": claim.begun - claim.closed },
            "fingerprint": claim.fingerprint.to_string(),
            "created_at": claim.created_at.to_string(),
            "updated_at": claim.updated_at.to_string(),
        })
    });
    json!({ "tenant": key.tenant(), "ref_id": key.ref_id(), "claim": claim })
}

fn claim_rows(key: Key<'_>, claim: &Claim) -> Vec<(&'static str, String)> {
    let meaning = match claim.state {
        ClaimState::Claimed => {
            "that the other side has no duplicate is not on record; the next create with the ref_id checks it before it sends"
        }
        ClaimState::Checked => "the side is final",
        ClaimState::Refused => "no attempt created a conversion; the next create chooses the side again",
    };
    vec![
        ("ref_id", key.ref_id().into()),
        ("tenant", key.tenant().into()),
        ("side", claim.side.to_string()),
        ("state", format!("{}: {meaning}", claim.state.as_str())),
        ("record id", claim.record_id.clone().unwrap_or_else(|| "unknown".into())),
        ("attempts", attempts(claim)),
        ("fingerprint", claim.fingerprint.to_string()),
        ("created", claim.created_at.to_string()),
        ("updated", claim.updated_at.to_string()),
    ]
}

/// How many creates were begun in the claim's generation, and whether it is on record what became of each.
fn attempts(claim: &Claim) -> String {
    let (begun, open) = (claim.begun, claim.begun - claim.closed);
    match (&claim.record_id, claim.state) {
        (Some(_), _) => format!("{begun} begun; its record is known"),
        (None, _) if open <= 0 => format!("{begun} begun, none open"),
        (None, ClaimState::Refused) => format!("{begun} begun; released by an operator"),
        (None, ClaimState::Claimed | ClaimState::Checked) => format!(
            "{begun} begun, {open} open: it is not certain that they made nothing, so the side stays; `reconcile` reports it as \
             unresolved until its record is found or `conversion-shim ledger release`"
        ),
    }
}

fn stats_json(found: &Identified, stats: &Stats, complete: &BTreeMap<String, CompletenessDocument>) -> Value {
    let counts = stats.counts.iter().map(
        |count| json!({ "side": count.side.as_str(), "state": count.state.as_str(), "claims": count.claims }),
    );
    json!({
        "id": found.id,
        "new_in_use": found.is_open,
        "counts": counts.collect::<Vec<_>>(),
        "exact": stats.exact,
        "first_created_at": stats.first.map(|at| at.to_string()),
        "last_created_at": stats.last.map(|at| at.to_string()),
        "first_new_create_at": stats.first_new_create_at.map(|at| at.to_string()),
        "completeness": complete,
    })
}

fn stats_rows(found: Identified, stats: &Stats) -> Vec<(&'static str, String)> {
    let time = |at: Option<Timestamp>| at.map_or_else(|| "none".into(), |at| at.to_string());
    let total: u64 = stats.counts.iter().map(|count| count.claims).sum();
    let created =
        stats.first_new_create_at.map_or_else(|| "no create yet".into(), |at| format!("creates since {at}"));
    let id = found.id.unwrap_or_else(|| "none; `conversion-shim ledger init` gives it one".into());
    let open = if found.is_open { "yes" } else { "no" };
    let mut rows = vec![("id", id), ("new in use", open.into()), ("claims", about(total, stats.exact))];
    rows.extend(stats.counts.iter().map(|count| {
        let exact = stats.exact || (count.side, count.state) != (Side::Legacy, ClaimState::Checked);
        ("", format!("{} on {}, {}", about(count.claims, exact), count.side, count.state.as_str()))
    }));
    rows.extend([("first", time(stats.first)), ("last", time(stats.last)), ("new API", created)]);
    rows
}

fn about(claims: u64, exact: bool) -> String {
    if exact { claims.to_string() } else { format!("about {claims}") }
}
