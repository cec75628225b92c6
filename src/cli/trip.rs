//! `trip`: holds creates on every replica by a row in the ledger, and ends that. Needs no change of the config.

use clap::{Args, Subcommand};

use super::exit::{HELP as EXIT_CODES, OK};
use super::ledger::orders::{self, OrderArgs};
use crate::ledger::Ledger;
use crate::telemetry::sanitize::one_line;

pub(super) const ABOUT: &str = "\
Hold creates on every replica at once, and end that.

The trip is a row in the ledger: within five seconds every replica answers creates with 503 and `Retry-After`, as in mode `hold`; nothing is \
sent anywhere, and reads go on. It lasts through restarts and reloads until `trip reset`. No config is changed, so it works while the \
config cannot be written or served: only the url of the ledger has to be readable in it. A double that `reconcile` confirms sets it as well. `status` \
names every trip since, and `trip reset` prints each that it ends. docs/on-call.md says what to do.

  conversion-shim trip now --config config.toml --why \"two payouts for one ref_id\"
  conversion-shim trip reset --config config.toml --why \"INC-1421: a mirror, no second conversion\"";

#[derive(Debug, Args)]
pub(super) struct TripArgs {
    #[command(subcommand)]
    command: TripCommand,
}

#[derive(Debug, Subcommand)]
enum TripCommand {
    /// Hold creates on every replica now
    #[command(after_help = EXIT_CODES)]
    Now(OrderArgs),
    /// End the trip: creates are served again as the config says
    #[command(after_help = EXIT_CODES)]
    Reset(OrderArgs),
}

pub(super) fn run(arguments: TripArgs) -> u8 {
    match arguments.command {
        TripCommand::Now(order) => now(order),
        TripCommand::Reset(order) => reset(order),
    }
}

fn now(order: OrderArgs) -> u8 {
    let work = async |ledger: Ledger, reason| ledger.trip(reason).await;
    orders::ordered(order, orders::of_any_config, work, |set| {
        let done = if set { "tripped" } else { "it was tripped before, and this is one more trip" };
        (format!("{done}: creates are on hold on every replica within 5 s\n"), OK)
    })
}

fn reset(order: OrderArgs) -> u8 {
    let work = async |ledger: Ledger, reason| ledger.reset_trip(reason).await;
    orders::ordered(order, orders::of_valid_config, work, |reasons| (released(&reasons), OK))
}

fn released(reasons: &[String]) -> String {
    match reasons {
        [] => "no trip was set; nothing was changed\n".to_owned(),
        [why] => format!("reset: {}\n", one_line(why)),
        all => {
            let lines = all.iter().map(|why| format!("  {}\n", one_line(why)));
            format!("reset: {} trips\n{}", all.len(), lines.collect::<String>())
        }
    }
}
