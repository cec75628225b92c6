//! The proxy end to end over loopback: requests per second and CPU time per request, as ratios within one run.
//!
//! ```text
//! cargo bench --bench proxy                                     # everything, a few minutes
//! cargo bench --bench proxy -- --slices 40 --only list100
//! ```
//!
//! Everything runs on one core, so that it is busy all the time: with idle cores, how often a thread has to be woken decides the kernel's
//! part, and a faster server wakes its client less often. `--all-cores` measures that too.
//!
//! One process holds the upstream, the load generator and each server under test, every one on a runtime with threads of its
//! own name; CPU time is read per thread, so that the proxy's cost is seen without its surroundings'. A server under test is a
//! name and a way to start it: see [`SERVERS`]. The parts are in `support/`.

#![allow(
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a benchmark measures in fractions, and stops where it cannot go on"
)]

mod support;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::Parser;
use support::{
    Server, bare,
    cpu::{self, Clock, Memory},
    measure::{Bench, Effort},
    scenario::{self, Scenario},
    shim, table,
};

/// As the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is measured; the yardstick first, under the name that ratios look for.
const SERVERS: [Server; 2] = [
    Server { name: "bare", is_bare: true, start: bare::start },
    Server { name: "shim", is_bare: false, start: shim::start },
];

/// The yardstick once more: what its ratio to itself is off 1 is noise.
const CONTROL: Server = Server { name: "control", is_bare: true, start: bare::start };

/// Speed of the proxy end to end, over loopback.
#[derive(Parser)]
struct Flags {
    /// Milliseconds of a slice.
    #[arg(long, default_value_t = 250)]
    slice: u64,
    /// Slices for each server and scenario; medians are printed.
    #[arg(long, default_value_t = 20)]
    slices: usize,
    /// Keep-alive connections, each with one request at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Worker threads of each server.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// The core that everything runs on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Run on all cores.
    #[arg(long)]
    all_cores: bool,
    /// Measure the yardstick against itself as well, to see how far off noise takes a ratio.
    #[arg(long)]
    control: bool,
    /// Only these scenarios.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> io::Result<()> {
    let flags = Flags::parse();
    let scenarios = chosen(&flags.only)?;
    if !flags.all_cores {
        cpu::run_on(flags.core)?;
    }
    let clock = Clock::checked()?;
    let servers: Vec<Server> = SERVERS.into_iter().chain(flags.control.then_some(CONTROL)).collect();
    let bench = Bench::start(&servers, flags.workers.max(1), clock)?;
    let idle = Memory::read()?;
    let effort = Effort {
        time: Duration::from_millis(flags.slice.max(1)),
        slices: flags.slices.max(1),
        connections: flags.connections.max(1),
    };
    announce(&flags, clock, idle)?;
    table::print(&bench.run(&scenarios, &effort)?)?;
    writeln!(io::stdout().lock(), "resident at the end: {} MiB", Memory::read()?.resident_kib / 1024)
}

fn announce(flags: &Flags, clock: Clock, idle: Memory) -> io::Result<()> {
    let Flags { slice, slices, connections, workers, .. } = flags;
    writeln!(
        io::stdout().lock(),
        "{slices} slices of {slice} ms, {connections} connections, {workers} workers a server; CPU time by {clock:?}; \
         {:.1} MiB resident before the first request\n",
        idle.resident_kib as f64 / 1024.0
    )
}

/// The scenarios of these names; all without any.
fn chosen(names: &[String]) -> io::Result<Vec<Scenario>> {
    let all = scenario::all();
    if let Some(unknown) =
        names.iter().find(|name| !all.iter().any(|scenario| scenario.name == name.as_str()))
    {
        let known: Vec<&str> = all.iter().map(|scenario| scenario.name).collect();
        return Err(io::Error::other(format!("no scenario `{unknown}`; there are {}", known.join(", "))));
    }
    let keep = |scenario: &Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    Ok(all.into_iter().filter(keep).collect())
}
