//! Walks over the vendor's lists, and their join with the ledger: `reconcile` and `ledger backfill`.
//!
//! # The walk
//!
//! `side_walk` walks one side's list by time, `walk` both sides together in slices of time. Memory is bounded by a few pages, whatever the
//! window. A page that could be anything but a whole list ends the walk with an error (`source`): "could not look" is never "clean".
//!
//! # The join
//!
//! The ledger is the index of the join: nothing is sorted or kept. `rows` judges each row beside its claim (`judge` is the pure part), and
//! `claims` looks for the record of each claim. A record and its claim were made within minutes of each other, so that nearly every claim
//! finds its record among those that were just listed (`progress`); the few others cost a call each. What does not fit is looked up
//! again (`confirm`) before it is reported (`finding`).
//!
//! # Money
//!
//! A repair only ever writes a record's side and id into a claim. None of them lets a reference be sent anywhere, none closes an attempt,
//! and a claim with an open attempt keeps its side. Findings are saved before their repair, and with the progress in one transaction:
//! a process that is killed at any point has reported what it changed, and the next walk goes on from there.

mod by_id;
mod claims;
mod confirm;
mod daily_report;
mod elsewhere;
mod finding;
mod html;
mod judge;
mod lease;
mod movement;
mod options;
mod planned;
mod progress;
mod recorded;
mod render;
mod repair;
mod report_file;
mod reported;
mod resume;
mod row_finding;
mod rows;
mod run;
mod schedule;
mod side_walk;
mod source;
mod unclaimed;
mod vendor;
mod walk;

pub use daily_report::{DailyReport, ReportCounts};
pub use finding::{FindingKind, FindingSeverity, WalkFinding};
pub use lease::Lease;
pub use options::WalkOptions;
pub(crate) use options::missing;
pub use progress::{FINDINGS_KEPT, WalkProgress};
pub use render::Heading;
pub use report_file::ReportError;
pub use run::{WalkAuthor, WalkContext, WalkResult, WalkView, walk};
pub(crate) use schedule::{ReconcileStatus, Reconciler};
pub use source::{PageCall, RecordSource, WalkError, WalkLookup};
pub use vendor::VendorSource;
pub use walk::Sides;

use std::time::Duration;

/// Records younger than this may be missing in a list, and are left for the next walk.
pub const LAG: Duration = Duration::from_secs(10 * 60);
