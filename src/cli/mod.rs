//! The command line: one file a command. Only this module writes to the terminal.

mod admin_address;
mod admin_client;
pub mod check;
mod completions;
mod config_args;
mod exit;
mod ledger;
mod man;
mod output;
mod report;
mod sandbox_hints;
mod serve;
mod status;
mod translate;
mod usage;

use std::ffi::OsString;
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
    /// Check a config and print every value with its source
    #[command(long_about = check::ABOUT, after_help = EXIT_CODES)]
    Check(check::CheckArgs),
    /// Print the stage, modes, ledger, config and reloads of a running proxy
    #[command(after_help = EXIT_CODES)]
    Status(admin_client::StatusArgs),
    /// Print which clients still call the old API, and which of their requests block its end
    #[command(after_help = EXIT_CODES)]
    Usage(admin_client::StatusArgs),
    /// Show or change the ledger of claims; safe beside a running proxy
    #[command(after_help = EXIT_CODES)]
    Ledger(ledger::LedgerArgs),
    /// Translate a legacy request, or an orchestration for a legacy client
    #[command(long_about = translate::about(), after_help = EXIT_CODES)]
    Translate(translate::TranslateArgs),
    /// Read the shadow log and report GO or NO-GO for each route
    #[command(long_about = report::ABOUT, after_help = EXIT_CODES)]
    Report(report::ReportArgs),
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
        Command::Check(arguments) => check::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Usage(arguments) => usage::run(arguments),
        Command::Ledger(arguments) => ledger::run(arguments),
        Command::Translate(arguments) => translate::run(&arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
    }
    .into()
}

/// Prints help and version to standard output, and what is wrong with the arguments to standard error.
fn no_command(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        let _ = error.print();
        return OK;
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
