//! `man`: man pages, generated from the command line's definition so that they are never out of date.

use std::io;

use clap::{Args, Command};

use super::exit::{FAILED, OK, USAGE};
use super::output::{complain, print};
use crate::telemetry::sanitize::one_line;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Command whose page to print, such as `report` or `ledger show`; the program's own page when left out
    command: Vec<String>,
}

/// Prints one man page, in roff. `root` is the whole command line.
pub(super) fn run(arguments: &ManArgs, root: Command) -> u8 {
    // As the help writes it, `ledger show` may come as one argument.
    let path: Vec<_> = arguments.command.iter().flat_map(|name| name.split_whitespace()).collect();
    match page(&path, root) {
        Ok(Some(roff)) => print(&String::from_utf8_lossy(&roff), OK),
        Ok(None) => {
            complain(format_args!("invalid arguments: there is no command {}", one_line(&path.join(" "))));
            USAGE
        }
        Err(error) => {
            complain(format_args!("no man page: {error}"));
            FAILED
        }
    }
}

/// `None` if there is no such command.
fn page(path: &[&str], root: Command) -> io::Result<Option<Vec<u8>>> {
    // `help` repeats every command: as a page for each it would double them.
    let mut root = root.disable_help_subcommand(true);
    // `build` gives every command its full name, such as `conversion-shim-ledger-show`, which pages refer to each other by.
    root.build();
    let mut command = &root;
    for name in path {
        let Some(found) = command.find_subcommand(name) else { return Ok(None) };
        command = found;
    }
    let mut roff = Vec::new();
    let source = concat!("conversion-shim ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command.clone()).source(source).render(&mut roff)?;
    Ok(Some(roff))
}
