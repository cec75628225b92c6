//! `probe`: facts about the vendor.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};
use http::HeaderValue;
use serde_json::json;

use super::check;
use super::config_args::ConfigArgs;
use super::exit::{FAILED, FINDINGS, OK, USAGE};
use super::kept_files::KeptFiles;
use super::out_file::{self, OutFile};
use super::output::{Format, block_on, complain, json_line, print, print_error, table};
use super::reconcile::duration;
use super::token_file::authorization;
use super::walk::{self, opened, with_rate};
use crate::config::facts_file::hosts_of;
use crate::config::load::{Loaded, load};
use crate::config::{Config, Upstreams, explain, keys};
use crate::probe::{
    Conversions, FactsFound, PairOptions, PairsMade, ProbeError, ProbeOptions, probe, probe_pairs,
};
use crate::shadow::pair::is_pair_line;
use crate::shadow::types::Verdict;
use crate::telemetry;
use crate::upstream::UpstreamClient;

pub(super) const ABOUT: &str = "\
Find out with a few real calls what the vendor's documents leave open, and write it down as facts.

Without --read-only it converts: six conversions of --amount, and one more on each side that converts a repeated ref_id, from and to --profile-id, one ref_id of them on both APIs, with ref_ids that begin with `Probe`. At any \
other host than the vendor's sandbox or this machine that takes --write and --i-understand-this-converts-money; at these two, test funds for \
them are deposited first. Each ref_id is in the \
ledger before it is sent, in a table of its own, and no create is repeated.

  conversion-shim probe --config config.toml --read-only
  conversion-shim probe --config config.toml --profile-id ID --out facts.toml
  conversion-shim probe --config config.toml --profile-id ID --pairs 20 --pairs-log pairs.jsonl

Name the file in the config, under [facts]. A fact loosens a rule only while the config has the hosts that it was found on.";

/// Calls per second to each endpoint.
const RATE: u32 = 5;
/// Shortest `--settle`: "does not show it" means nothing of a side that had no time to show it.
const SETTLE_MIN: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// Only read: fewer facts
    #[arg(long, conflicts_with_all = ["profile_id", "write"])]
    read_only: bool,
    /// Profile to convert in; it needs funds
    #[arg(long, value_name = "ID", required_unless_present = "read_only")]
    profile_id: Option<String>,
    /// Another profile of the customer than --profile-id, which shows what a filter by profile compares
    #[arg(long, value_name = "ID")]
    second_profile_id: Option<String>,
    /// Amount of each conversion, in the source asset [default: 1, and 0.01 with --write]
    #[arg(long, value_name = "DECIMAL", value_parser = amount)]
    amount: Option<String>,
    /// Assets of each conversion
    #[arg(long, value_name = "FROM/TO", default_value = "USD/PYUSD", value_parser = pair)]
    pair: (String, String),
    /// How long a side may take to show a record before it counts as not shown; at least 1s
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = settle)]
    settle: Duration,
    /// Convert at another host than the vendor's sandbox
    #[arg(long, requires = "converts_money")]
    write: bool,
    /// Needed with --write
    #[arg(long = "i-understand-this-converts-money")]
    converts_money: bool,
    /// Wait until the cursor of a list is that old before it is used, to see how long cursors live
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration, conflicts_with = "pairs")]
    cursor_age: Duration,
    /// Write the facts to this file, for facts.file; `-` is standard output, and everything else goes to standard error
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Instead of finding facts, make the same conversion once on each side, so many times, and compare what both show of it
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=100), requires = "pairs_log", conflicts_with_all = ["read_only", "out"])]
    pairs: Option<u32>,
    /// Append the comparisons of --pairs to this file, for `report`; `-` is standard output, and everything else goes to standard error
    #[arg(long, value_name = "FILE", requires = "pairs")]
    pairs_log: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// File with an access token for both sides; needed without credentials in [auth.legacy] and [auth.new]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, thiserror::Error)]
enum ProbeCommandError {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Ledger(#[from] walk::WalkCommandError),
    #[error("{0}")]
    Upstream(#[from] crate::upstream::TrustError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (from, to) = text.split_once('/').ok_or(NO_PAIR)?;
    let is_asset = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if from == to || !is_asset(from) || !is_asset(to) { Err(NO_PAIR) } else { Ok((from.into(), to.into())) }
}

const NO_PAIR: &str = "is not two different assets with a slash, such as USD/PYUSD";

/// As the vendor writes amounts: digits with at most one point.
fn amount(text: &str) -> Result<String, &'static str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_above_zero = text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    match is_number(whole) && is_number(fraction) && is_above_zero {
        true => Ok(text.to_owned()),
        false => Err("is not a decimal number above 0, such as 1 or 0.50"),
    }
}

fn settle(text: &str) -> Result<Duration, String> {
    let settle = duration(text)?;
    if settle < SETTLE_MIN { Err("expected at least 1s".into()) } else { Ok(settle) }
}

pub(super) fn run(arguments: ProbeArgs) -> u8 {
    let ProbeArgs { write, token_file, config, .. } = &arguments;
    if arguments.second_profile_id.is_some() && arguments.second_profile_id == arguments.profile_id {
        complain("--second-profile-id must be another profile than --profile-id");
        return USAGE;
    }
    let loaded = match load(&config.clone().into_sources()) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refused(&problems),
    };
    let config = &loaded.config;
    // Before the token is read and anything is sent: a config for production is one wrong file name away.
    if let Some(host) = hosts_of(&config.upstream).iter().find(|host| !is_for_tests(host))
        && !arguments.read_only
        && !write
    {
        complain(format_args!(
            "{host} is not the vendor's sandbox: pass --read-only, or --write and --i-understand-this-converts-money"
        ));
        return USAGE;
    }
    let token = match token_file.as_deref().map(authorization).transpose() {
        Ok(token) => token,
        Err(error) => {
            complain(format_args!("--token-file: {error}"));
            return FAILED;
        }
    };
    let _log =
        match telemetry::start_to(&config.log, None, std::io::stderr(), std::io::stderr().is_terminal()) {
            Ok(log) => log,
            Err(error) => {
                complain(error);
                return FAILED;
            }
        };
    if let (Some(count), Some(path)) = (arguments.pairs, &arguments.pairs_log) {
        let options = options(&arguments, token, &config.upstream);
        return pairs(&loaded, &arguments, options, (count, path));
    }
    facts(&loaded, &arguments, token)
}

fn facts(loaded: &Loaded, arguments: &ProbeArgs, token: Option<HeaderValue>) -> u8 {
    // Before anything is converted. The file of facts.file is what it is for.
    let kept = kept_files(loaded, arguments).but(keys::FACTS_FILE);
    let file = arguments.out.clone().filter(|path| !is_stdout(path));
    let out = match file.map(|path| OutFile::open("--out", path, &kept)).transpose() {
        Ok(out) => out,
        Err(refusal) => return refusal.complain(),
    };
    let options = options(arguments, token, &loaded.config.upstream);
    match block_on(probed(loaded.config.clone(), options)) {
        Ok(found) => report(&found, out, arguments),
        Err(error) => failed(&error, loaded),
    }
}

/// What no output may take the place of.
fn kept_files(loaded: &Loaded, arguments: &ProbeArgs) -> KeptFiles {
    let ProbeArgs { config, token_file, .. } = arguments;
    let kept = KeptFiles::of(&config.clone().into_sources(), &loaded.config, &explain(loaded));
    kept.and("--token-file", token_file.as_deref())
}

fn failed(error: &ProbeCommandError, loaded: &Loaded) -> u8 {
    if let ProbeCommandError::Ledger(walk::WalkCommandError::Open(error)) = error {
        let problems = check::ledger_problems(error, &explain(loaded));
        if !problems.is_empty() {
            return check::refused(&problems);
        }
    }
    complain(error);
    FAILED
}

fn pairs(loaded: &Loaded, arguments: &ProbeArgs, options: ProbeOptions, (count, path): (u32, &Path)) -> u8 {
    let to_file = || out_file::append("--pairs-log", path, &kept_files(loaded, arguments), is_pair_line);
    let mut log: Box<dyn Write + Send> = match is_stdout(path) {
        true => Box::new(std::io::stdout()),
        false => match to_file() {
            Ok(file) => Box::new(file),
            Err(refusal) => return refusal.complain(),
        },
    };
    match block_on(paired(loaded.config.clone(), options, (count, &mut *log))) {
        Ok(made) => report_pairs(&made, arguments.format, is_stdout(path).then_some("")),
        Err(error) => failed(&error, loaded),
    }
}

async fn paired(
    config: Arc<Config>,
    options: ProbeOptions,
    (count, out): (u32, &mut (dyn Write + Send)),
) -> Result<PairsMade, ProbeCommandError> {
    let upstream = UpstreamClient::new(&config.upstream)?;
    upstream.budget().adopt(&with_rate(&config, RATE));
    let ledger = match config.ledger.as_ref() {
        Some(ledger) => opened(&config, ledger, false).await?.0,
        None => None,
    };
    let ProbeOptions { token, conversions, .. } = options;
    let Some(with) = &conversions else { return Ok(PairsMade::default()) };
    Ok(probe_pairs(config, upstream, ledger.as_ref(), PairOptions { token, with, count, out }).await?)
}

fn report_pairs(made: &PairsMade, format: Format, file: Option<&str>) -> u8 {
    let differs = |verdict: &Verdict| {
        matches!(
            verdict,
            Verdict::Mismatch | Verdict::ErrorDisagreement | Verdict::NoCounterpart | Verdict::ShadowFailed
        )
    };
    made.failure.iter().for_each(complain);
    let code = match made.verdicts.keys().any(differs) {
        _ if made.failure.is_some() => FAILED,
        true => FINDINGS,
        false => OK,
    };
    let verdicts = made.verdicts.iter().map(|(verdict, count)| (verdict.as_str(), *count));
    let text = match format {
        Format::Json => {
            let conversions: Vec<_> = made
                .conversions
                .iter()
                .map(|[side, ref_id, id]| json!({ "side": side, "ref_id": ref_id, "id": id }))
                .collect();
            let verdicts: BTreeMap<_, _> = verdicts.collect();
            json_line(
                &json!({ "verdicts": verdicts, "conversions": conversions, "calls": made.calls, "failure": made.failure })
                    .to_string(),
            )
        }
        Format::Text => {
            let rows: Vec<_> =
                verdicts.map(|(verdict, count)| (verdict, format!("{count} comparisons"))).collect();
            let made_on = made
                .conversions
                .iter()
                .map(|[side, ref_id, id]| format!("converted on {side}: ref_id {ref_id}, id {id}\n"));
            format!("{}{}{} calls\n", table(&rows), made_on.collect::<String>(), made.calls)
        }
    };
    print_beside(file, &text, code)
}

fn options(arguments: &ProbeArgs, token: Option<HeaderValue>, upstreams: &Upstreams) -> ProbeOptions {
    let conversions = arguments.profile_id.clone().map(|profile_id| Conversions {
        profile_id,
        second_profile_id: arguments.second_profile_id.clone(),
        amount: arguments.amount.clone().unwrap_or_else(|| default_amount(arguments.write).to_owned()),
        source_asset: arguments.pair.0.clone(),
        target_asset: arguments.pair.1.clone(),
        settle: arguments.settle,
        fund: hosts_of(upstreams).iter().all(|host| is_for_tests(host)),
    });
    ProbeOptions { token, conversions, cursor_age: arguments.cursor_age }
}

/// With real money the smallest amount: the asset with the fewest decimals, which is USD, has two.
const fn default_amount(is_real: bool) -> &'static str {
    if is_real { "0.01" } else { "1" }
}

/// Whether no real money is at a host: the vendor's sandbox, or this machine.
fn is_for_tests(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.starts_with("api.sandbox.")
        || name == "localhost"
        || name.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

async fn probed(config: Arc<Config>, options: ProbeOptions) -> Result<FactsFound, ProbeCommandError> {
    let upstream = UpstreamClient::new(&config.upstream)?;
    upstream.budget().adopt(&with_rate(&config, RATE));
    let ledger = match config.ledger.as_ref().filter(|_| options.conversions.is_some()) {
        Some(ledger) => opened(&config, ledger, false).await?.0,
        None => None,
    };
    Ok(probe(config, upstream, ledger.as_ref(), &options).await?)
}

/// What is meant to be piped to a file elsewhere, as from a container that can write none.
fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Prints for people, on standard error where standard output has the file.
fn print_beside(file: Option<&str>, text: &str, code: u8) -> u8 {
    match file {
        Some(file) => {
            print_error(text);
            print(file, code)
        }
        None => print(text, code),
    }
}

fn report(found: &FactsFound, out: Option<OutFile>, arguments: &ProbeArgs) -> u8 {
    for failure in found.failures() {
        complain(format_args!("not found out: {failure}"));
    }
    let code = match out.map(|out| out.write(&found.toml())).transpose() {
        Ok(_) if !found.failures().is_empty() => FAILED,
        Ok(_) if found.has_findings() => FINDINGS,
        Ok(_) => OK,
        // What was converted is printed all the same.
        Err(error) => {
            complain(error);
            FAILED
        }
    };
    let text = match arguments.format {
        Format::Json => json_line(&found.json().to_string()),
        Format::Text => text(found),
    };
    let file = arguments.out.as_deref().filter(|path| is_stdout(path)).map(|_| found.toml());
    print_beside(file.as_deref(), &text, code)
}

fn text(found: &FactsFound) -> String {
    let rows = found.rows();
    let rows: Vec<_> =
        rows.iter().map(|[name, value, how]| (name.as_str(), format!("{value}  ({how})"))).collect();
    let mut text = table(&rows);
    for finding in found.findings() {
        text.push_str(&format!("FINDING {finding}\n"));
    }
    for [side, ref_id, id] in found.conversions() {
        text.push_str(&format!("converted on {side}: ref_id {ref_id}, id {id}\n"));
    }
    text.push_str(&format!("{} calls\n", found.calls));
    text
}
