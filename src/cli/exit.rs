//! The exit codes of the process.

pub(crate) const OK: u8 = 0;
/// Something failed while running: a port in use, an unreadable file, writes cut off by the drain deadline.
pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
/// The config was refused; nothing was started.
pub(crate) const CONFIG: u8 = 3;
/// The input of `translate` cannot be translated.
pub(crate) const INPUT: u8 = 4;
/// The ledger holds no claim for that `ref_id`, or the proxy knows no client of that name.
pub(crate) const ABSENT: u8 = 5;
/// The verdict of the report is NO-GO.
pub(crate) const NO_GO: u8 = 6;
/// The verdict of the report is NOT PROVEN.
pub(crate) const NOT_PROVEN: u8 = 7;
/// A walk found what is not as it should be.
pub(crate) const FINDINGS: u8 = 6;

/// A simulation broke a promise.
pub(crate) const BROKEN: u8 = 8;

/// The table of exit codes that ends each command's help.
pub(super) const HELP: &str = "\
Exit codes:
  0  success
  1  runtime failure (a port in use, an unreadable file, no answer from the proxy, work cut off at shutdown)
  2  invalid arguments
  3  the config was refused; every problem is listed and nothing was started
  4  `translate`: the input cannot be translated
  5  `ledger show`, `ledger release`: the ledger holds no claim for that ref_id
     `usage --client`: the proxy has seen no client of that name
  6  `report`: NO-GO for at least one route, or no data to judge
     `gate`: a condition of the step is missing
     `reconcile`, `ledger backfill`, `probe`, `demo`: findings
  7  `report`: NOT PROVEN for at least one route, and NO-GO for none
  8  `simulate`: a promise was broken; the trace is printed";
