//! `demo`: the whole cutover with faults, on this machine, and what the vendor holds afterwards.

use std::io::{IsTerminal as _, stdout};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{FAILED, FINDINGS, OK};
use super::output::{block_on_threads, complain};
use crate::demo::screen::{Screen, Terminal};
use crate::demo::{self, DemoError, DemoOptions};

pub(super) const ABOUT: &str = "\
Walk through the whole cutover with faults, on this machine, in about 90 seconds.

The vendor is the embedded one. The proxy is a process of its own with a config and an SQLite ledger in a temporary folder. Simulated \
clients of the old API create, retry, poll, list and cancel while the stage goes from observe to live, back and to sealed, answers are \
lost, the proxy is killed and the vendor is down. At the end each reference is looked up in the vendor's own records. The last line is

  N references, N conversions, 0 twice, 0 lost

Exit code 0: every reference has one conversion, the one in its client's answer. 6: at least one has not. No money moves. However it is stopped, but for SIGKILL, nothing is left behind.";

/// Columns where the terminal does not say how many it has.
const WIDTH: usize = 80;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Take under 20 seconds
    #[arg(long)]
    fast: bool,
    /// Seed of the plan of clients and faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Keep the proxy and its operators' page up at the end, until Ctrl-C
    #[arg(long)]
    page: bool,
}

pub(super) fn run(arguments: &DemoArgs) -> u8 {
    match block_on_threads(shown(arguments)) {
        Ok(code) => code,
        Err(error) => {
            complain(error);
            FAILED
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum DemoCommandError {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("stopped before the end; nothing was compared")]
    Stopped,
}

/// The signals that end the demo.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn requested(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn shown(arguments: &DemoArgs) -> Result<u8, DemoCommandError> {
    let mut stop = Stop::listen()?;
    let mut screen = Screen::new(Box::new(stdout()), terminal());
    let options = DemoOptions { seed: arguments.seed, fast: arguments.fast };
    // Whichever ends first, dropping the demo ends the proxy and removes the folder.
    let finished = tokio::select! {
        finished = demo::run(options, &mut screen) => finished?,
        () = stop.requested() => return Err(DemoCommandError::Stopped),
    };
    if arguments.page {
        screen.line(&format!("The operators' page is at {} until Ctrl-C.", finished.page))?;
    }
    for remark in finished.reconciliation.remarks() {
        screen.line(&remark)?;
    }
    screen.line(&finished.reconciliation.to_string())?;
    if arguments.page {
        stop.requested().await;
    }
    Ok(if finished.reconciliation.is_clean() { OK } else { FINDINGS })
}

/// `None` where a redrawn picture makes no sense.
fn terminal() -> Option<Terminal> {
    let dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
    let colored = anstream::AutoStream::choice(&stdout()) != anstream::ColorChoice::Never;
    let width = || terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0.into());
    (stdout().is_terminal() && !dumb).then_some(Terminal { width, colored })
}
