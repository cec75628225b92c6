//! The commands that change a ledger. Each is audited in the ledger, with who ran it and why.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use http::HeaderValue;
use tokio::time::Instant;

use super::{LedgerCommandError, answer};
use crate::cli::check;
use crate::cli::config_args::ConfigArgs;
use crate::cli::exit::{ABSENT, FAILED, OK, USAGE};
use crate::cli::output::{block_on, complain, print_error, table};
use crate::cli::token_file::authorization;
use crate::config::keys;
use crate::config::load::{Flag, NamedLedger, load, load_ledger, name_sources};
use crate::config::{self, Config, ConfigProblem, ConfigRow, ReadProgress, explain};
use crate::failure::error_chain::error_chain;
use crate::ledger::reload_guard::{identity_of, settings_of};
use crate::ledger::{Claim, Identity, Key, Ledger, LedgerError, OperatorReason, Released, Settings};
use crate::routes::{RouteContext, Services, release};
use crate::telemetry::sanitize::one_line;
use crate::translate::side::Side;
use crate::upstream::UpstreamClient;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Print the id alone
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OrderArgs {
    /// Reason, kept in the ledger's audit
    #[arg(long, value_name = "TEXT", value_parser = OsStringValueParser::new().try_map(|why| reason(&why)))]
    why: String,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The client's ref_id; write `--` before one that begins with a dash
    ref_id: String,
    /// File with an access token to look the ref_id up with; needed without credentials in [auth.lookup]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    order: OrderArgs,
}

/// Bytes that are no UTF-8 are replaced: a terminal's encoding must not keep a trip from being set.
fn reason(text: &OsStr) -> Result<String, &'static str> {
    match text.to_string_lossy().trim() {
        "" => Err("the reason is empty"),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn init(arguments: InitArgs) -> u8 {
    let InitArgs { quiet, config } = arguments;
    let ConfiguredLedger { ledger, rows: sources, .. } = match configured(config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    // A ledger whose id is in the config was there before: an empty one in its place would know none of its claims. The hosts are
    // recorded by the first `serve`.
    let create = ledger.id.is_none();
    let identity = Identity { create, adopt: true, ..unchecked(&ledger) };
    let made = block_on(async {
        let opened = open(&ledger, identity.clone()).await?;
        let tenant = Some(ledger.tenant.clone());
        let id = opened.init(operator_reason("ledger init".into()), Identity { tenant, ..identity }).await?;
        let found = opened.reader().identified(None).await?;
        Ok((id, found))
    });
    answer(made, &sources, |(id, found)| {
        let rows = [("new in use", if found.is_open { "yes" } else { "no" }.into())];
        let rows = if quiet { String::new() } else { table(&rows) + "Set " + keys::LEDGER_ID + " to:\n" };
        (format!("{rows}{id}\n"), OK)
    })
}

pub(super) fn open_new(arguments: OrderArgs) -> u8 {
    let OrderArgs { why, config } = arguments;
    let ConfiguredLedger { ledger, rows: sources, .. } = match configured(config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    // From here on a lost or exchanged ledger means conversions made twice, and only the id in the config shows that it was exchanged.
    if ledger.id.is_none() {
        let message = "is not set: set it to the id that `conversion-shim ledger init` prints";
        return check::refused(&name_sources(
            &sources,
            vec![ConfigProblem::new(keys::LEDGER_ID, message, "")],
        ));
    }
    let set = block_on(async {
        let opened = open(&ledger, unchecked(&ledger)).await?;
        let furthest = opened.reader().furthest(&ledger.tenant).await?;
        let is_early = furthest.is_some_and(|furthest| furthest.reads < ReadProgress::Both);
        Ok((opened.open_new(operator_reason(why)).await?, is_early))
    });
    answer(set, &sources, |(set, is_early)| {
        if is_early {
            complain(
                "note: no process has read both APIs with this ledger yet; from now on one that reads the old API alone is refused",
            );
        }
        let done = if set { "the ledger is open for creates on the new API" } else { "it was open before" };
        (format!("{done}; set {} = true\n", keys::LEDGER_NEW_IN_USE), OK)
    })
}

pub(super) fn accept(arguments: OrderArgs) -> u8 {
    let OrderArgs { why, config } = arguments;
    let ConfiguredLedger { config, ledger, rows: sources } = match configured(config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    let identity = identity_of(&config, &ledger);
    let accepted = block_on(async {
        let opened = open(&ledger, unchecked(&ledger)).await?;
        Ok(opened.accept(operator_reason(why), identity).await?)
    });
    answer(accepted, &sources, |accepted| {
        let holds = accepted.lifted.iter().map(|why| format!("hold lifted: {}\n", one_line(why)));
        let changes = accepted.changes.iter().map(|change| format!("{}\n", one_line(change)));
        let nothing = accepted.lifted.is_empty() && accepted.changes.is_empty();
        let end = if nothing { "accepted; nothing on record changed\n" } else { "accepted\n" };
        (holds.chain(changes).chain([end.to_owned()]).collect(), OK)
    })
}

/// The ledger that an order is about.
pub(in crate::cli) struct LedgerTarget {
    ledger: config::LedgerSection,
    rows: Vec<ConfigRow>,
    /// What of its section could not be read.
    unread: Vec<ConfigProblem>,
}

/// One change of the ledger by an operator, whatever else the config contradicts and whichever version made it.
pub(in crate::cli) fn ordered<T>(
    order: OrderArgs,
    target: fn(ConfigArgs) -> Result<LedgerTarget, Vec<ConfigProblem>>,
    work: impl AsyncFnOnce(Ledger, OperatorReason) -> Result<T, LedgerError>,
    render: impl FnOnce(T) -> (String, u8),
) -> u8 {
    let OrderArgs { why, config } = order;
    let LedgerTarget { ledger, rows, unread } = match target(config) {
        Ok(target) => target,
        Err(problems) => return check::refused(&problems),
    };
    if !unread.is_empty() {
        complain("warning: not read from the config, so that the defaults are used:");
        unread.iter().for_each(|problem| print_error(&format!("{}\n", one_line(&problem.to_string()))));
    }
    let done = block_on(async {
        let settings = Settings { identity: unchecked(&ledger), accepts_newer: true, ..settings_of(&ledger) };
        let opened = Ledger::open_beside(&settings).await?;
        Ok(work(opened, operator_reason(why)).await?)
    });
    answer(done, &rows, render)
}

/// The ledger of a config that can be served.
pub(in crate::cli) fn of_valid_config(arguments: ConfigArgs) -> Result<LedgerTarget, Vec<ConfigProblem>> {
    let ConfiguredLedger { ledger, rows, .. } = configured(arguments)?;
    Ok(LedgerTarget { ledger, rows, unread: Vec::new() })
}

/// The ledger of any config whose `ledger.url` can be read.
pub(in crate::cli) fn of_any_config(arguments: ConfigArgs) -> Result<LedgerTarget, Vec<ConfigProblem>> {
    let NamedLedger { ledger, rows, unread } = load_ledger(&arguments.into_sources())?;
    Ok(LedgerTarget { ledger, rows, unread })
}

pub(super) fn release(arguments: ReleaseArgs) -> u8 {
    let ReleaseArgs { ref_id, token_file, order: OrderArgs { why, config } } = arguments;
    let ConfiguredLedger { config, ledger, rows: sources } = match configured(config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    // Of the config's tenant alone: the lookups are made with its credentials.
    let tenant = ledger.tenant.clone();
    let key = match Key::new(&tenant, &ref_id) {
        Ok(key) => key,
        Err(error) => {
            complain(format_args!("invalid ref_id: {error}"));
            return USAGE;
        }
    };
    let token = match token_file.as_deref().map(authorization).transpose() {
        Ok(token) => token,
        Err(error) => {
            complain(format_args!("--token-file: {error}"));
            return FAILED;
        }
    };
    let released = block_on(released(Arc::new(config), &ledger, key, token, why));
    answer(released, &sources, |released| match released {
        Released::Done(_) => ("released; the next create chooses its side anew\n".into(), OK),
        Released::Already(_) => ("it was refused or released before; nothing was changed\n".into(), OK),
        Released::Absent => (format!("no claim for ref_id {ref_id} of tenant {tenant}\n"), ABSENT),
        Released::TooYoung { at, .. } => {
            complain(format_args!("an attempt may still be under way; try again after {at}"));
            (String::new(), FAILED)
        }
    })
}

/// Looks on both sides first: a claim is released only when its reference is on neither.
async fn released(
    config: Arc<Config>,
    ledger: &config::LedgerSection,
    key: Key<'_>,
    token: Option<HeaderValue>,
    why: String,
) -> Result<Released, LedgerCommandError> {
    // Another vendor's hosts would prove nothing about the reference.
    let opened = open(ledger, Identity { create: false, ..identity_of(&config, ledger) }).await?;
    let Some(claim) = opened.reader().claim_by_ref(key).await? else { return Ok(Released::Absent) };
    let client = UpstreamClient::new(&config.upstream)
        .map_err(|error| LedgerCommandError::Lookup(error.to_string()))?;
    let deadline = Instant::now() + config.timeouts.create;
    let can_read = |side| config.auth.reading_credentials(side).is_some();
    if token.is_none() && !(can_read(Side::Legacy) && can_read(Side::New)) {
        let reason = "the ref_id could not be looked up on both sides; nothing was changed: there are no credentials to read them: set \
                      [auth.lookup], or pass --token-file";
        return Err(LedgerCommandError::Lookup(reason.into()));
    }
    let context = RouteContext::own(config, Services::new(client, Some(opened.clone())), token, deadline);
    refuse_if_found(&context, key, &claim).await?;
    Ok(opened.release(key, operator_reason(why)).await?)
}

async fn refuse_if_found(
    context: &RouteContext,
    key: Key<'_>,
    claim: &Claim,
) -> Result<(), LedgerCommandError> {
    match release::find(context, key.ref_id(), claim).await {
        Ok(None) => Ok(()),
        Ok(Some((side, id))) => {
            let id = id.unwrap_or_else(|| "a record of another kind".into());
            Err(LedgerCommandError::Lookup(format!(
                "the {side} side holds the ref_id ({id}); nothing was changed"
            )))
        }
        Err(failure) => Err(LedgerCommandError::Lookup(format!(
            "the ref_id could not be looked up on both sides; nothing was changed: {}",
            error_chain(&failure)
        ))),
    }
}

/// The ledger that the config names, whatever else it contradicts: that is what the command is to change.
fn unchecked(ledger: &config::LedgerSection) -> Identity {
    Identity { create: false, id: ledger.id.clone(), new_in_use: ledger.new_in_use, ..Identity::default() }
}

async fn open(ledger: &config::LedgerSection, identity: Identity) -> Result<Ledger, LedgerCommandError> {
    Ok(Ledger::open_beside(&Settings { identity, ..settings_of(ledger) }).await?)
}

fn operator_reason(why: String) -> OperatorReason {
    OperatorReason { operator: operator_name(), why }
}

/// The user who runs the command.
pub(in crate::cli) fn operator_name() -> String {
    let operator = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let uid = || format!("uid {}", rustix::process::getuid().as_raw());
    operator.filter(|name| !name.is_empty()).unwrap_or_else(uid)
}

/// A config that names a ledger.
struct ConfiguredLedger {
    config: Config,
    ledger: config::LedgerSection,
    /// Its keys with their sources.
    rows: Vec<ConfigRow>,
}

/// Reads the config as if in `observe`: these commands give the ledger what a later stage demands of it.
fn configured(arguments: ConfigArgs) -> Result<ConfiguredLedger, Vec<ConfigProblem>> {
    let mut sources = arguments.into_sources();
    let routes = ["create", "get", "list", "cancel"].map(|route| (format!("routes.{route}"), ""));
    let observe = routes.into_iter().chain([("stage".to_owned(), "observe")]);
    sources.flags.extend(observe.map(|(key, value)| Flag::new("observe", key, value)));
    let loaded = load(&sources)?;
    let (config, rows) = (Config::clone(&loaded.config), explain(&loaded));
    let ledger = config.ledger.clone().ok_or_else(|| super::no_ledger(&rows))?;
    Ok(ConfiguredLedger { config, ledger, rows })
}
