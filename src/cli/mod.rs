//! The command line: one file a command. Only this module writes to the terminal.

mod admin_address;
mod admin_client;
mod audit;
pub mod check;
mod completions;
mod config_args;
mod demo;
mod digested;
mod exit;
mod gate;
mod kept_files;
mod ledger;
mod man;
mod one_client;
mod open_files;
mod out_file;
mod output;
mod probe;
mod reconcile;
mod report;
mod report_record;
mod sandbox_hints;
mod serve;
mod simulate;
mod status;
mod termination;
mod token_file;
mod translate;
mod trip;
mod usage;
mod walk;
mod walk_progress;
mod watched;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use exit::HELP as EXIT_CODES;
use exit::{OK, USAGE};

const ABOUT: &str = "\
Keeps Stablecoin Conversion API clients working, unchanged, on the Orchestrations API.

A reverse proxy: it receives the requests of old clients, makes the calls of the new API and answers in the old format. Every other \
path is passed through unchanged. `conversion-shim serve --sandbox` runs it without any setup.";

#[derive(Debug, Parser)]
#[command(name = "conversion-shim", version, about = "Old conversion clients on the new API, unchanged", long_about = ABOUT, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy: --sandbox to try it, --config FILE for production
    #[command(after_help = EXIT_CODES)]
    Serve(serve::ServeArgs),
    /// Walk through the whole cutover with faults, on this machine, and compare at the end
    #[command(long_about = demo::ABOUT, after_help = EXIT_CODES)]
    Demo(demo::DemoArgs),
    /// Check a config and print every value with its source
    #[command(long_about = check::ABOUT, after_help = EXIT_CODES)]
    Check(check::CheckArgs),
    /// Print the stage, modes, ledger, config and reloads of a running proxy
    #[command(after_help = EXIT_CODES)]
    Status(admin_client::StatusArgs),
    /// Print which clients still call the old API, and which of their requests block its end
    #[command(after_help = EXIT_CODES)]
    Usage(usage::UsageArgs),
    /// Show or change the ledger of claims; safe beside a running proxy
    #[command(after_help = EXIT_CODES)]
    Ledger(ledger::LedgerArgs),
    /// Print what the step to a stage needs, each condition with its number
    #[command(long_about = gate::ABOUT, after_help = EXIT_CODES)]
    Gate(gate::GateArgs),
    /// Hold creates on every replica at once, and end that
    #[command(long_about = trip::ABOUT, after_help = EXIT_CODES)]
    Trip(trip::TripArgs),
    /// Print the ledger's audit: what was decided about the cutover, by whom and why
    #[command(long_about = audit::about(), after_help = EXIT_CODES)]
    Audit(audit::AuditArgs),
    /// Translate a legacy request, or an orchestration for a legacy client
    #[command(long_about = translate::about(), after_help = EXIT_CODES)]
    Translate(translate::TranslateArgs),
    /// Read the shadow log and report GO, NO-GO or NOT PROVEN for each route
    #[command(long_about = report::ABOUT, after_help = EXIT_CODES)]
    Report(report::ReportArgs),
    /// Join both sides' lists with the ledger, repair claims and report what does not fit
    #[command(long_about = reconcile::ABOUT, after_help = EXIT_CODES)]
    Reconcile(reconcile::ReconcileArgs),
    /// Find out with a few real calls what the vendor's documents leave open
    #[command(long_about = probe::ABOUT, after_help = EXIT_CODES)]
    Probe(probe::ProbeArgs),
    /// Search for a counterexample to the guarantee, in virtual time and by a seed
    #[command(long_about = simulate::ABOUT, after_help = EXIT_CODES)]
    Simulate(simulate::SimulateArgs),
    /// Print shell completions
    Completions(completions::CompletionsArgs),
    /// Print a man page
    Man(man::ManArgs),
}

/// Runs the command that `arguments` name, the program's own name first, and returns the exit code of the process.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return no_command(&error).into(),
    };
    match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Usage(arguments) => usage::run(arguments),
        Command::Ledger(arguments) => ledger::run(arguments),
        Command::Gate(arguments) => gate::run(arguments),
        Command::Trip(arguments) => trip::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Translate(arguments) => translate::run(&arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Reconcile(arguments) => reconcile::run(arguments),
        Command::Probe(arguments) => probe::run(arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
    }
    .into()
}

/// Prints help and version to standard output, and what is wrong with the arguments to standard error.
fn no_command(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        return output::written(error.print().and_then(|()| std::io::stdout().flush()), OK);
    }
    // Without a subcommand clap's whole message is the help, which is no error to prefix.
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        output::complain(invalid_arguments(error).trim_end());
    }
    USAGE
}

fn invalid_arguments(error: &clap::Error) -> String {
    let text = error.to_string();
    format!("invalid arguments: {}", text.strip_prefix("error: ").unwrap_or(&text))
}
