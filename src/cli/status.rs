//! `status`: asks a running proxy's admin listener and tells the answer to people.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::admin::{self, AdminAddr};
use super::{ConfigArgs, FAILED, OK, block_on, complain, json_line, print, table};
use crate::admin::documents::{Ledger, Refused, Reload, Shadow, Status, to_the_second};
use crate::http::body;
use crate::upstream::rate_limit::{Shown, ShownEndpoint};

/// Longest wait for the answer; the ledger's timeout is part of it.
const PATIENCE: Duration = Duration::from_secs(30);
/// The reloads that are told; `--json` has more.
const RELOADS_SHOWN: usize = 5;
/// Longest answer that is read, in bytes.
const ANSWER_MAX: usize = 4 << 20;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Where the admin listener is, instead of the config's admin.listen; a name or a bare port will do
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["config", "listen", "stage", "set"])]
    admin: Option<AdminAddr>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Fail as well when the proxy is not ready: the health check of a container
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(arguments: StatusArgs) -> u8 {
    tell(arguments, |answer, status| match answer {
        Some(answer) => json_line(answer),
        None => table(&rows(status)),
    })
}

/// Asks for the status and prints what `show` makes of it; `show` is given the answer as it came when JSON is wanted.
pub(super) fn tell(arguments: StatusArgs, show: impl Fn(Option<&str>, &Status) -> String) -> u8 {
    let address = match admin::find(arguments.admin, arguments.config) {
        Ok(address) => address,
        Err(code) => return code,
    };
    match block_on(ask(address)).and_then(|answer| told(&answer, arguments.json, show)) {
        Ok((text, ready)) => {
            print(&text);
            if ready || !arguments.ready { OK } else { FAILED }
        }
        Err(why) => {
            complain(&format!("conversion-shim: no status from {address}: {why}\n"));
            FAILED
        }
    }
}

/// Why there is no status to tell.
#[derive(Debug, thiserror::Error)]
enum NoStatus {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("{0}; does the proxy run on this machine, with admin.listen there?")]
    Unreachable(std::io::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("what answers there is no admin listener of this program: {0}")]
    Foreign(Box<dyn std::error::Error>),
}

impl NoStatus {
    fn foreign(why: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Foreign(why.into())
    }
}

/// One plain request over one connection of its own: no proxy, no redirect, no second try.
async fn ask(address: SocketAddr) -> Result<Bytes, NoStatus> {
    timeout(PATIENCE, exchange(address)).await.unwrap_or(Err(NoStatus::Late))
}

async fn exchange(address: SocketAddr) -> Result<Bytes, NoStatus> {
    let stream = TcpStream::connect(address).await.map_err(NoStatus::Unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(NoStatus::foreign)?;
    tokio::spawn(connection);
    let request = Request::get("/status").header(header::HOST, address.to_string());
    let request = request.body(Empty::<Bytes>::new()).map_err(NoStatus::foreign)?;
    let answer = sender.send_request(request).await.map_err(NoStatus::foreign)?;
    if answer.status() != StatusCode::OK {
        return Err(NoStatus::foreign(answer.status().to_string()));
    }
    body::collect(answer.into_body(), ANSWER_MAX).await.map_err(NoStatus::foreign)
}

/// The answer for whoever reads it, and whether the proxy is ready.
fn told(
    answer: &[u8],
    json: bool,
    show: impl Fn(Option<&str>, &Status) -> String,
) -> Result<(String, bool), NoStatus> {
    let status: Status = serde_json::from_slice(answer).map_err(NoStatus::foreign)?;
    let answer = String::from_utf8_lossy(answer);
    Ok((show(json.then_some(&*answer), &status), status.readiness.ready))
}

fn rows(status: &Status) -> Vec<(&'static str, String)> {
    let modes = &status.modes;
    let mut rows = vec![
        ("stage", status.stage.clone()),
        (
            "modes",
            format!(
                "create {}, get {}, list {}, cancel {}",
                modes.create, modes.get, modes.list, modes.cancel
            ),
        ),
        (
            "canary",
            format!("{}%, and {} listed profiles", status.canary.percent, status.canary.profiles_listed),
        ),
    ];
    rows.extend(readiness(status));
    rows.extend(status.notes.iter().map(|note| ("NOTE", format!("since {}: {}", note.since, note.why))));
    rows.extend(status.ledger.as_ref().map_or_else(|| vec![("ledger", "none".into())], ledger));
    rows.extend(status.shadow.iter().flat_map(shadow));
    rows.extend(budget(&status.budget));
    rows.push(("config", format!("{}, in force since {}", status.config.hash, status.config.loaded_at)));
    let accepted = status.config.reload_accepted_at.as_ref();
    rows.push((
        "last reload",
        accepted.map_or_else(|| "none accepted since the start".into(), |at| format!("accepted {at}")),
    ));
    rows.extend(status.config.reload_refused.iter().flat_map(refused));
    let reloads = status.config.reloads.iter().take(RELOADS_SHOWN).map(past);
    rows.extend(reloads.enumerate().map(|(at, told)| (if at == 0 { "reloads" } else { "" }, told)));
    rows.push(("replicas", status.replicas.to_string()));
    rows.push(("in flight", format!("{} writes", status.writes_in_flight)));
    rows.push(("running", format!("version {}, for {} s", status.version, status.uptime_seconds)));
    rows
}

fn readiness(status: &Status) -> Vec<(&'static str, String)> {
    if status.readiness.ready {
        return vec![("ready", "yes".into())];
    }
    let reasons = status.readiness.reasons.iter();
    reasons
        .map(|reason| ("ready", format!("no, {} since {}: {}", reason.what, reason.since, reason.why)))
        .collect()
}

fn ledger(ledger: &Ledger) -> Vec<(&'static str, String)> {
    let down = ledger.down_since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let why = ledger.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let state = format!("{}, {}{down}{why}; tenant {}", ledger.kind, ledger.health, ledger.tenant);
    let mark = match (&ledger.first_new_create_at, ledger.created_on_new) {
        (Some(since), _) => format!("creates since {since}"),
        (None, Some(false)) => "no create yet".into(),
        (None, _) => "not known: the ledger could not be asked".into(),
    };
    vec![("ledger", state), ("new API", mark)]
}

fn shadow(shadow: &Shadow) -> Vec<(&'static str, String)> {
    let dropped: u64 = shadow.dropped.iter().map(|dropped| dropped.count).sum();
    let state = match (shadow.active, &shadow.idle_reason) {
        (true, _) => "compares".to_owned(),
        (false, Some(reason)) => format!("DOES NOT RUN: {reason}"),
        (false, None) => "off".to_owned(),
    };
    let counts = format!("{state}; {} due, {} compared, {dropped} dropped", shadow.due, shadow.done);
    let mut rows = vec![("shadow", counts)];
    rows.extend(shadow.verdicts.iter().map(|counted| {
        let severity =
            counted.severity.map(|severity| format!(" ({})", severity.as_str())).unwrap_or_default();
        let (route, verdict) = (counted.route.as_str(), counted.verdict.as_str());
        ("", format!("{route}: {} {verdict}{severity}", counted.count))
    }));
    rows
}

/// The endpoints that were called; what is not as usual stands out.
fn budget(budget: &Shown) -> Vec<(&'static str, String)> {
    let refused: u64 = budget.endpoints.iter().map(|endpoint| endpoint.refused).sum();
    let pace = match budget.cooldown_seconds_left {
        Some(left) => format!("SLOWED for {left} s, after a 429"),
        None => "as configured".into(),
    };
    let state = if refused == 0 { pace } else { format!("{pace}; {refused} calls REFUSED since the start") };
    let called = budget.endpoints.iter().filter(|endpoint| endpoint.calls + endpoint.refused > 0);
    let rows = called.map(|endpoint| ("", spent(endpoint)));
    std::iter::once(("budget", state)).chain(rows).collect()
}

fn spent(endpoint: &ShownEndpoint) -> String {
    let ShownEndpoint { endpoint, per_second, calls, calls_by, waiting, refused, last_429 } = endpoint;
    let allowed = per_second.map(|rate| format!("{rate:.1} a second; ")).unwrap_or_default();
    let others =
        [(calls_by.fence, "fence"), (calls_by.shadow, "shadow")].into_iter().filter(|(calls, _)| *calls > 0);
    let others: Vec<_> = others.map(|(calls, payer)| format!("{calls} by {payer}")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    let last_429 = last_429.as_ref().map(|at| format!(", last 429 at {at}")).unwrap_or_default();
    format!("{endpoint}: {allowed}{calls} calls{others}, {waiting} wait, {refused} refused{last_429}")
}

fn refused(refused: &Refused) -> Vec<(&'static str, String)> {
    let now =
        if refused.standing { "still refused: what is configured is not in force" } else { "settled since" };
    let mut rows = vec![("refused", format!("{}, {now}", refused.at))];
    rows.extend(refused.problems.iter().map(|problem| ("", format!("- {problem}"))));
    let more = refused.problems_total.saturating_sub(refused.problems.len());
    rows.extend((more > 0).then(|| ("", format!("- and {more} more"))));
    rows
}

/// One reload on one line; why the last one was refused is told in full elsewhere.
fn past(reload: &Reload) -> String {
    let at = to_the_second(&reload.at);
    if reload.result == "accepted" {
        let changed = reload.changes.iter().chain(&reload.other_keys).map(String::as_str);
        return format!("{at} accepted: {}", changed.collect::<Vec<_>>().join(", "));
    }
    let end = reload
        .ended_at
        .as_ref()
        .map_or_else(|| "stands".into(), |end| format!("until {}", to_the_second(end)));
    let more = reload.problems_total.saturating_sub(1);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{at} refused, {end}: {}{more}", reload.problems.first().map(String::as_str).unwrap_or_default())
}
