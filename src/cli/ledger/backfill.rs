//! `ledger backfill`: claims for what a side holds and no claim knows.

use clap::{Args, ValueEnum};

use crate::cli::output::{json_line, print};
use crate::cli::walk::{self, WalkArgs, Wanted, default_end};
use crate::ledger::WalkKind;
use crate::reconcile::{Sides, WalkOptions};
use crate::translate::side::Side;

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    /// The side whose list is walked; `new` only once the ledger is open for creates there
    #[arg(long, value_enum, default_value_t = SideName::Legacy)]
    side: SideName,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    walk: WalkArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SideName {
    Legacy,
    New,
}

pub(super) fn run(arguments: BackfillArgs) -> u8 {
    let BackfillArgs { side, json, walk } = arguments;
    let side = match side {
        SideName::Legacy => Side::Legacy,
        SideName::New => Side::New,
    };
    let options =
        WalkOptions { sides: Sides::Only(side), ..WalkOptions::new(WalkKind::Backfill, default_end()) };
    let wanted = Wanted { options, dry_run: false, report: None };
    let walked = match walk::prepare(walk).and_then(|prepared| prepared.run(wanted)) {
        Ok(walked) => walked,
        Err(code) => return code,
    };
    let heading = walked.heading("backfill");
    let text = if json {
        json_line(&walked.result.json(&heading).to_string())
    } else {
        walked.result.text(&heading)
    };
    print(&text, walked.exit_code())
}
