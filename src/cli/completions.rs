//! `completions` and `man`: what packages install beside the program, made from the command line itself so that it is never stale.

use std::io;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, FAILED, OK, complain, print};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell that reads them
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command whose page is wanted, such as "report" or "ledger show"; none is the program's own
    command: Vec<String>,
}

/// Prints the completions of one shell.
pub(super) fn completions(arguments: &CompletionsArgs) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "conversion-shim", &mut script);
    print(&String::from_utf8_lossy(&script));
    OK
}

/// Prints one man page, in roff.
pub(super) fn man(arguments: &ManArgs) -> u8 {
    match page(&arguments.command) {
        Ok(roff) => {
            print(&String::from_utf8_lossy(&roff));
            OK
        }
        Err(why) => {
            complain(&format!("conversion-shim: no man page: {why}\n"));
            FAILED
        }
    }
}

fn page(path: &[String]) -> io::Result<Vec<u8>> {
    let mut root = Cli::command();
    // Gives every command its full name, "conversion-shim-ledger-show", as pages refer to one another.
    root.build();
    let mut command = &root;
    for name in path {
        command = command
            .find_subcommand(name)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no command is called {name}")))?;
    }
    let mut roff = Vec::new();
    let source = concat!("conversion-shim ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command.clone()).source(source).render(&mut roff)?;
    Ok(roff)
}
