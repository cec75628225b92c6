//! `audit`: the ledger's log of what operators and processes decided about the cutover.

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use super::check;
use super::config_args::ConfigArgs;
use super::exit::OK;
use super::ledger::{answer, configured, named};
use super::output::{Format, block_on, complain, json_line};
use super::report::{Since, since};
use crate::ledger::{AuditKind, AuditRow, Reader};
use crate::telemetry::sanitize::one_line;

const ABOUT: &str = "\
Print the ledger's audit: what was decided about the cutover, by whom and why.

One row a decision, oldest first: changes of the modes in force, holds and their end, `ledger init`, `open-new`, `accept` and `release`, and \
repairs of claims. Rows are never changed or removed. Safe beside a running proxy.

  conversion-shim audit --config config.toml --since 24h
  conversion-shim audit --config config.toml --format json | jq 'select(.kind == \"modes\")'";

/// The long help, with every kind.
pub(super) fn about() -> String {
    let kinds = AuditKind::ALL.map(|kind| format!("\n  {:15}  {}", kind.as_str(), kind.written_when()));
    format!("{ABOUT}\n\nKinds:{}", kinds.concat())
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Ignore older rows: a time such as 2026-11-20T10:00:00Z, or a duration such as 24h or 7d
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    since: Option<Since>,
    /// Maximum number of rows; the newest are printed
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Output format; `json` is one JSON document a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(arguments: AuditArgs) -> u8 {
    let AuditArgs { since, limit, format, config } = arguments;
    let (ledger, sources) = match configured(config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    let since = since.map_or(Timestamp::UNIX_EPOCH, Since::time);
    let read = block_on(async {
        let reader = Reader::open(&named(&ledger)).await?;
        // One more, to know whether older ones are left out.
        Ok(reader.audit(since, limit + 1).await?)
    });
    answer(read, &sources, |mut rows: Vec<AuditRow>| {
        if rows.len() > limit as usize {
            rows.truncate(limit as usize);
            complain(format_args!("older rows are left out: --limit is {limit}"));
        }
        let line = match format {
            Format::Text => text_line,
            Format::Json => |row: &AuditRow| json_line(&json(row).to_string()),
        };
        (rows.iter().rev().map(line).collect(), OK)
    })
}

fn json(row: &AuditRow) -> serde_json::Value {
    let AuditRow { at, process, operator, kind, subject, reason, before, after } = row;
    json!({
        "at": at.to_string(), "process": process, "operator": operator, "kind": kind, "subject": subject, "reason": reason,
        "before": before, "after": after,
    })
}

fn text_line(row: &AuditRow) -> String {
    let AuditRow { at, process, operator, kind, subject, reason, before, after } = row;
    let at = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ");
    let who = if operator.is_empty() {
        format!("process {}", process.get(..8).unwrap_or(process))
    } else {
        operator.clone()
    };
    let subject = if subject.is_empty() { String::new() } else { format!(" {subject}") };
    let change = match (before.as_deref(), after.as_deref()) {
        (None | Some(""), None | Some("")) => String::new(),
        (before, after) => format!("; {} -> {}", quoted(before), quoted(after)),
    };
    one_line(&format!("{at}  {kind}{subject}  by {who}: {reason}{change}")) + "\n"
}

fn quoted(value: Option<&str>) -> &str {
    value.filter(|value| !value.is_empty()).unwrap_or("nothing")
}
