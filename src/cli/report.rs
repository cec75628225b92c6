//! `report`: reads the shadow log and judges whether each route may move to the next stage.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anstream::AutoStream;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use sha2::{Digest as _, Sha256};

use super::check;
use super::config_args::ConfigArgs;
use super::digested::Digested;
use super::exit::{FAILED, NO_GO, NOT_PROVEN, OK};
use super::kept_files::KeptFiles;
use super::ledger::{LedgerCommandError, no_ledger};
use super::out_file::OutFile;
use super::output::{Format, complain, written};
use super::report_record::{self, Recording};
use crate::config::load::examine;
use crate::config::{ConfigRow, Go};
use crate::report::document::{Decision, Report};
use crate::report::{ReportBuilder, ReportScope, html, text};
use crate::shadow::types::COMPARED;
use crate::telemetry::sanitize::one_line;
use crate::translate::route::Route;

pub(super) const ABOUT: &str = "\
Read the shadow log and report GO, NO-GO or NOT PROVEN for each route.

Reads whole logs: rotated files, several replicas, other programs' lines in between, in any order. Pass every file, because every \
record counts. The thresholds are those of [shadow.go] in the config; a threshold without data is not met. A route is NOT PROVEN when \
too few comparisons had a record on both sides and nothing else is against it.

  conversion-shim report /var/lib/conversion-shim/shadow.jsonl*
  kubectl -n conversion-shim logs -l app.kubernetes.io/name=conversion-shim --tail=-1 | conversion-shim report --since 24h
  conversion-shim report --route get --html report.html shadow.jsonl

With --record the verdict, its numbers and the digests of input and output go into the ledger, whatever the verdict is; the next step \
asks for them (docs/gates.md).

`kubectl logs` prints only what the kubelet still holds of existing pods; for a longer period read the cluster's log storage.";

/// Read buffer, in bytes.
const BUFFER: usize = 256 * 1024;
/// File name that means standard input.
const STDIN: &str = "-";

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Shadow logs; "-" or none reads standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Also write the report to this file as one HTML page with plots; it needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Only this route; may be repeated
    #[arg(long = "route", value_name = "ROUTE", value_parser = compared_route())]
    routes: Vec<Route>,
    /// Ignore older records: a time such as 2026-11-20T10:00:00Z, or a duration such as 24h or 7d
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    since: Option<Since>,
    /// Maximum number of difference signatures
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    top: usize,
    /// Put the verdict on record in the ledger of the config, as evidence for the next step
    #[arg(long)]
    record: bool,
    /// Time at which the report is made, for tests
    #[arg(long, value_name = "TIME", hide = true)]
    now: Option<Timestamp>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Time(Timestamp),
    Ago(SignedDuration),
}

impl Since {
    /// The time that is meant.
    pub(super) fn time(self) -> Timestamp {
        self.before(Timestamp::now())
    }

    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Time(time) => time,
            Self::Ago(ago) => now.saturating_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

fn compared_route() -> impl TypedValueParser<Value = Route> {
    PossibleValuesParser::new(COMPARED.map(Route::as_str)).try_map(|name| name.parse::<Route>())
}

pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = text.parse() {
        return Ok(Since::Time(time));
    }
    let span = text.parse::<Span>().ok();
    let ago = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    ago.filter(|ago| !ago.is_negative())
        .map(Since::Ago)
        .ok_or_else(|| "expected a time such as 2026-11-20T10:00:00Z or a duration such as 24h or 7d".into())
}

pub(super) fn run(arguments: ReportArgs) -> u8 {
    let (files, scope) = (inputs(&arguments.files), scope(&arguments));
    let ReportArgs { format, html, record, config, .. } = arguments;
    let sources = config.into_sources();
    let examined = match examine(&sources) {
        Ok(examined) => examined,
        Err(problems) => return check::refused(&problems),
    };
    let (config, rows) = (examined.config(), examined.rows());
    let ledger = match (record, &config.ledger) {
        (true, None) => return check::refused(&no_ledger(&rows)),
        (true, Some(ledger)) => Some(ledger),
        (false, _) => None,
    };
    // Before anything is read: what was compared on other hosts, or for another tenant, is no evidence for this ledger.
    let problems = ledger.map_or_else(Vec::new, |ledger| report_record::problems(config, ledger, &rows));
    if !problems.is_empty() {
        return check::refused(&problems);
    }
    let kept = KeptFiles::of(&sources, config, &rows);
    let kept = files.iter().fold(kept, |kept, file| kept.and("this report", Some(file)));
    let page = match html.map(|page| OutFile::open("--html", page, &kept)).transpose() {
        Ok(page) => page,
        Err(refusal) => return refusal.complain(),
    };
    let mut digest = ledger.map(|_| Sha256::new());
    let builder = ReportBuilder::new(scope).of_replicas(config.replicas);
    let builder = if record { builder.on_hosts(config.upstream.hosts()) } else { builder };
    let made = read(builder, &config.shadow.go, (&files, digest.as_mut()))
        .and_then(|report| page.map(|page| page.write(&html::render(&report))).transpose().map(|_| report));
    let report = match made {
        Ok(report) => report,
        Err(error) => {
            complain(format_args!("no report: {error}"));
            return FAILED;
        }
    };
    let code = written(print(&report, format), exit_code(report.verdict));
    let Some((ledger, input)) = ledger.zip(digest) else { return code };
    match report_record::record(Recording { config, ledger, input }, &report) {
        Ok(()) => code,
        Err(error) => {
            // The report is printed, so that this is a failure also where the config is to blame.
            complain(format_args!("the report is not on record: {}", named(&error, &rows)));
            FAILED
        }
    }
}

const fn exit_code(verdict: Decision) -> u8 {
    match verdict {
        Decision::Go => OK,
        Decision::NotProven => NOT_PROVEN,
        Decision::NoGo | Decision::NotInShadow | Decision::NotKnown => NO_GO,
    }
}

/// Why a report is not on record; each key that is to blame with its source.
fn named(error: &LedgerCommandError, rows: &[ConfigRow]) -> String {
    let problems = match error {
        LedgerCommandError::Open(error) => check::ledger_problems(error, rows),
        LedgerCommandError::Runtime(_) | LedgerCommandError::Read(_) | LedgerCommandError::Lookup(_) => {
            Vec::new()
        }
    };
    let problems: Vec<_> = problems.iter().map(|problem| one_line(&problem.to_string())).collect();
    if problems.is_empty() { error.to_string() } else { problems.join("; ") }
}

fn scope(arguments: &ReportArgs) -> ReportScope {
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let since = arguments.since.map(|since| since.before(now));
    let selected = |route: &Route| arguments.routes.is_empty() || arguments.routes.contains(route);
    ReportScope { now, since, routes: COMPARED.into_iter().filter(selected).collect(), top: arguments.top }
}

/// The files to read, each once: records of a file given twice would count twice.
fn inputs(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut files = files.to_vec();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    if files.is_empty() {
        files.push(STDIN.into());
    }
    files
}

fn read(
    mut builder: ReportBuilder,
    go: &Go,
    (files, mut digest): (&[PathBuf], Option<&mut Sha256>),
) -> Result<Report, String> {
    for file in files {
        let read = if file.as_os_str() == STDIN {
            if io::stdin().is_terminal() {
                complain("reading standard input; Ctrl-D ends it");
            }
            builder.read(buffered(io::stdin().lock(), digest.as_deref_mut()))
        } else {
            File::open(file).and_then(|open| builder.read(buffered(open, digest.as_deref_mut())))
        };
        read.map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(builder.report(go))
}

fn buffered<R: io::Read>(input: R, digest: Option<&mut Sha256>) -> BufReader<Digested<'_, R>> {
    BufReader::with_capacity(BUFFER, Digested::new(input, digest))
}

/// Prints the report, with colours on terminals that support them.
fn print(report: &Report, format: Format) -> io::Result<()> {
    let mut out = AutoStream::auto(io::stdout().lock());
    match format {
        Format::Text => out.write_all(text::render(report).as_bytes()),
        Format::Json => serde_json::to_writer_pretty(&mut out, report)
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n")),
    }?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_time_or_a_duration() {
        let hours = |hours| Ok(Since::Ago(SignedDuration::from_hours(hours)));
        assert_eq!([since("24h"), since("7d"), since("1d 2h")], [hours(24), hours(168), hours(26)]);
        assert_eq!(since("2026-11-20T10:00:00Z"), Ok(Since::Time("2026-11-20T10:00:00Z".parse().unwrap())));
        for bad in ["", "yesterday", "-24h", "24", "1 month"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
