//! `completions`: shell completions, generated from the command line's definition so that they are never out of date.

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::OK;
use super::output::print;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell that reads them
    shell: Shell,
}

/// Prints the completions of one shell. `root` is the whole command line.
pub(super) fn run(arguments: &CompletionsArgs, mut root: Command) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut root, "conversion-shim", &mut script);
    print(&String::from_utf8_lossy(&script), OK)
}
