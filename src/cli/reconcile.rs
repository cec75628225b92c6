//! `reconcile`: joins the lists of both sides with the ledger.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::exit::{FAILED, USAGE};
use super::out_file::OutFile;
use super::output::{Format, complain, json_line, print};
use super::report::{Since, since};
use super::walk::{self, WalkArgs, WalkRun, Wanted, default_end};
use crate::ledger::WalkKind;
use crate::reconcile::{DailyReport, WalkOptions};

pub(super) const ABOUT: &str = "\
Join the lists of both sides with the ledger, repair claims and report what does not fit.

Walks both lists from the vendor's first record to ten minutes ago, unless --from and --to say otherwise, and looks for the record of \
every claim. What seems wrong is looked up a second time before it is reported. Claims are repaired where that cannot let a reference be \
converted again; --dry-run repairs and records nothing. A walk from the same begin that was stopped is resumed, up to the end of this one.

  conversion-shim reconcile --config config.toml --dry-run
  conversion-shim reconcile --config config.toml --html findings.html --report profile-transactions.csv

Findings about money: `double`, `lost`, `wrong_side`, `mismatch`, `status`. Others: `unclaimed`, `stuck`, `unresolved`. \
docs/reconcile.md says what each means and what to do.";

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// Begin of the window: a time such as 2026-11-20T10:00:00Z, or a duration before now such as 24h
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    from: Option<Since>,
    /// End of the window: a time, or a duration before now; at least ten minutes ago
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    to: Option<Since>,
    /// Report only: change and record nothing
    #[arg(long)]
    dry_run: bool,
    /// The vendor's daily Profile Transactions report, as CSV, to compare with
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How long a conversion may take to become final
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    stuck_after: Duration,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Also write the findings to this file as one HTML page with a plot; it needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    walk: WalkArgs,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match since(text)? {
        Since::Ago(ago) => Duration::try_from(ago).map_err(|error| error.to_string()),
        Since::Time(_) => Err("expected a duration such as 1h".into()),
    }
}

pub(super) fn run(arguments: ReconcileArgs) -> u8 {
    let ReconcileArgs { from, to, dry_run, report, stuck_after, format, html, walk } = arguments;
    let options = match options(from, to, stuck_after) {
        Ok(options) => options,
        Err(reason) => {
            complain(reason);
            return USAGE;
        }
    };
    let (page, walked) = match walked(walk, (report, html), (options, dry_run)) {
        Ok(walked) => walked,
        Err(code) => return code,
    };
    let heading = walked.heading("reconcile");
    let code = match page.map(|page| page.write(&walked.result.html(&heading))).transpose() {
        Ok(_) => walked.exit_code(),
        Err(error) => {
            complain(error);
            FAILED
        }
    };
    let text = match format {
        Format::Text => walked.result.text(&heading),
        Format::Json => json_line(&walked.result.json(&heading).to_string()),
    };
    print(&text, code)
}

fn options(
    from: Option<Since>,
    to: Option<Since>,
    stuck_after: Duration,
) -> Result<WalkOptions, &'static str> {
    let end = to.map_or_else(default_end, Since::time);
    if end > default_end() {
        return Err("--to must be at least ten minutes ago: younger records may be missing in a list");
    }
    let begin = from.map(Since::time);
    let options = WalkOptions { begin, stuck_after, ..WalkOptions::new(WalkKind::Reconcile, end) };
    if options.is_empty() {
        return Err(
            "--from must be before --to, which is ten minutes ago by default: the window is empty, or holds no whole second",
        );
    }
    Ok(options)
}

/// The walk, and the page to write; or the exit code. The files come first: the walk repairs claims and is recorded.
fn walked(
    walk: WalkArgs,
    (report, page): (Option<PathBuf>, Option<PathBuf>),
    (options, dry_run): (WalkOptions, bool),
) -> Result<(Option<OutFile>, WalkRun), u8> {
    let prepared = walk::prepare(walk)?;
    let kept = prepared.kept_files().and("--report", report.as_deref());
    let page = page.map(|page| OutFile::open("--html", page, &kept)).transpose();
    let page = page.map_err(|refusal| refusal.complain())?;
    let report = report.map(read_report).transpose().map_err(|error| {
        complain(error);
        FAILED
    })?;
    Ok((page, prepared.run(Wanted { options, dry_run, report })?))
}

fn read_report(file: PathBuf) -> Result<DailyReport, String> {
    let failed = |error: &dyn std::error::Error| format!("--report: {}: {error}", file.display());
    let opened = File::open(&file).map_err(|error| failed(&error))?;
    DailyReport::read(std::io::BufReader::new(opened)).map_err(|error| failed(&error))
}
