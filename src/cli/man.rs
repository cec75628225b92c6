//! `man`: man pages, generated from the command line's definition so that they are never out of date.

use std::io;

use clap::{Args, Command};

use super::exit::{FAILED, OK};
use super::output::{complain, print};

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Command whose page to print, such as `report` or `ledger show`; the program's own page when left out
    command: Vec<String>,
}

/// Prints one man page, in roff. `root` is the whole command line.
pub(super) fn run(arguments: &ManArgs, root: Command) -> u8 {
    match page(&arguments.command, root) {
        Ok(roff) => print(&String::from_utf8_lossy(&roff), OK),
        Err(error) => {
            complain(format_args!("no man page: {error}"));
            FAILED
        }
    }
}

fn page(path: &[String], root: Command) -> io::Result<Vec<u8>> {
    // `help` repeats every command: as a page for each it would double them.
    let mut root = root.disable_help_subcommand(true);
    // `build` gives every command its full name, such as `conversion-shim-ledger-show`, which pages refer to each other by.
    root.build();
    let mut command = &root;
    for name in path {
        command = command
            .find_subcommand(name)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("unknown command {name}")))?;
    }
    let mut roff = Vec::new();
    let source = concat!("conversion-shim ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command.clone()).source(source).render(&mut roff)?;
    Ok(roff)
}
