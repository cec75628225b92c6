//! The command line: one file a command. The only room that writes to the terminal.

mod admin;
pub mod check;
mod completions;
mod ledger;
mod report;
mod sandbox_hints;
mod serve;
mod status;
mod translate;
mod usage;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::load::{Flag, Overlay, Sources};
use crate::telemetry::sanitize::{self, one_line};

/// All went well.
pub const OK: u8 = 0;
/// Something failed while running: a port that is taken, a file that cannot be read, writes cut off by the drain deadline.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// The config was refused; nothing was started.
pub const CONFIG: u8 = 3;
/// The input cannot be translated.
pub const INPUT: u8 = 4;
/// The ledger holds no claim for that reference.
pub const ABSENT: u8 = 5;
/// The report says NO-GO.
pub const NO_GO: u8 = 6;

const EXIT_CODES: &str = "\
Exit codes:
  0  all went well
  1  something failed while running (a port in use, an unreadable file, nobody to ask, work cut off at shutdown)
  2  the command line makes no sense
  3  the config was refused; every problem is listed and nothing was started
  4  the input of `translate` cannot be translated
  5  `ledger show`: the ledger was asked and holds no claim for that ref_id
  6  `report`: NO-GO for at least one route, or nothing to judge by";

const ABOUT: &str = "\
Keeps Stablecoin Conversion API clients working, unchanged, on the Orchestrations API.

It is a reverse proxy: it stands in front of the old clients, takes their requests, makes the new calls and answers in the old
shape. Every other path goes through untouched. `conversion-shim serve --sandbox` shows it at work without any setup.";

/// The command line as typed.
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
    Serve(ServeArgs),
    /// Check a config and print every value with where it came from
    #[command(long_about = check::ABOUT, after_help = EXIT_CODES)]
    Check(check::CheckArgs),
    /// Ask a running proxy for its stage, modes, ledger, config and reloads
    #[command(after_help = EXIT_CODES)]
    Status(status::StatusArgs),
    /// Ask a running proxy who still calls the old API, and what of it stands in the way of its end
    #[command(after_help = EXIT_CODES)]
    Usage(status::StatusArgs),
    /// Look into the ledger of claims, also beside a running proxy
    #[command(after_help = EXIT_CODES)]
    Ledger(ledger::LedgerArgs),
    /// Show what a legacy request becomes, or an orchestration to a legacy client
    #[command(long_about = translate::ABOUT, after_help = EXIT_CODES)]
    Translate(translate::TranslateArgs),
    /// Read what shadow wrote, and say GO or NO-GO for each route
    #[command(long_about = report::ABOUT, after_help = EXIT_CODES)]
    Report(report::ReportArgs),
    /// Print the completions for a shell
    Completions(completions::CompletionsArgs),
    /// Print a man page
    Man(completions::ManArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Start an embedded stand-in for the vendor and send everything there; no money, no setup
    #[arg(long)]
    sandbox: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The config file; config/default.toml explains every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port for clients, instead of the config's
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// How far the cutover is, instead of the config's
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Any other key, instead of the config's; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = |text: &str| text.parse::<Flag>())]
    set: Vec<Flag>,
}

impl ConfigArgs {
    /// All layers of the config but the default.
    fn into_sources(self, sandbox: bool) -> Sources {
        let mut flags = self.set;
        flags.extend(self.listen.map(|value| Flag::new("--listen", "listen", value)));
        flags.extend(self.stage.map(|value| Flag::new("--stage", "stage", value)));
        let environment = std::env::vars_os();
        Sources {
            overlay: sandbox.then_some(Overlay::Sandbox),
            file: self.config,
            text: None,
            environment: environment
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            flags,
        }
    }
}

/// Runs the command that `arguments` name, the program's own name first, and returns the process's exit code.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { OK }.into();
        }
    };
    match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Usage(arguments) => usage::run(arguments),
        Command::Ledger(arguments) => ledger::run(arguments),
        Command::Translate(arguments) => translate::run(&arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
    }
    .into()
}

/// Runs a command that does one thing and waits for it.
fn block_on<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: From<std::io::Error>,
{
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A label and a text a line, in two columns. Control characters stay out of the terminal.
fn table(rows: &[(&str, String)]) -> String {
    let rows: Vec<_> = rows.iter().map(|(label, text)| (one_line(label), one_line(text))).collect();
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    rows.iter().map(|(label, text)| format!("{label:width$}  {text}\n")).collect()
}

/// A JSON document as a line. Control characters stay out of the terminal; whoever parses it reads the same.
fn json_line(document: &str) -> String {
    sanitize::json(document) + "\n"
}

/// Writes lines to standard output. A reader that has left is no error worth a word.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes lines to standard error.
fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
