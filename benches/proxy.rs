//! The proxy end to end over loopback: requests per second and CPU time per request, as ratios within one run.
//!
//! ```text
//! cargo bench --bench proxy                                     # everything, a few minutes
//! cargo bench --bench proxy -- --seconds 2 --rounds 5 --only list100
//! ```
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
    cpu::{Clock, Memory},
    measure::{Bench, Effort},
    scenario::{self, Scenario, Target},
    shim, table,
};

/// What is measured; the yardstick first, under the name that ratios look for.
const SERVERS: [Server; 2] = [
    Server { name: "bare", translates: false, start: bare::start },
    Server { name: "shim", translates: true, start: shim::start },
];

/// The yardstick once more: what its ratio to itself is off 1 is noise.
const CONTROL: Server = Server { name: "control", translates: false, start: bare::start };

/// Speed of the proxy end to end, over loopback.
#[derive(Parser)]
struct Flags {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each measurement is repeated; medians are printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Keep-alive connections, each with one request at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Worker threads of each server; with 1, threads that steal work from each other are out of the picture.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Measure the yardstick against itself as well, to see how far off noise takes a ratio.
    #[arg(long)]
    control: bool,
    /// Only these scenarios, and what they are compared with.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> io::Result<()> {
    let flags = Flags::parse();
    let scenarios = chosen(&flags.only)?;
    let clock = Clock::checked()?;
    let servers: Vec<Server> = SERVERS.into_iter().chain(flags.control.then_some(CONTROL)).collect();
    let bench = Bench::start(&servers, flags.workers.max(1), clock)?;
    let idle = Memory::read()?;
    let effort = Effort {
        time: Duration::from_secs_f64(flags.seconds),
        rounds: flags.rounds.max(1),
        connections: flags.connections.max(1),
    };
    announce(&flags, clock, idle)?;
    table::print(&bench.run(&scenarios, &effort)?)?;
    writeln!(io::stdout().lock(), "resident at the end: {} MiB", Memory::read()?.resident_kib / 1024)
}

fn announce(flags: &Flags, clock: Clock, idle: Memory) -> io::Result<()> {
    let Flags { seconds, rounds, connections, workers, .. } = flags;
    writeln!(
        io::stdout().lock(),
        "{rounds} rounds of {seconds} s, {connections} connections, {workers} workers a server; CPU time by {clock:?}; \
         {:.1} MiB resident before the first request\n",
        idle.resident_kib as f64 / 1024.0
    )
}

/// The scenarios of these names, with the pass-through that each is compared with.
fn chosen(names: &[String]) -> io::Result<Vec<Scenario>> {
    let all = scenario::all();
    if let Some(unknown) =
        names.iter().find(|name| !all.iter().any(|scenario| scenario.name == name.as_str()))
    {
        let known: Vec<&str> = all.iter().map(|scenario| scenario.name).collect();
        return Err(io::Error::other(format!("no scenario `{unknown}`; there are {}", known.join(", "))));
    }
    let wanted = |scenario: &Scenario| names.iter().any(|name| name == scenario.name);
    let bases: Vec<&str> = all.iter().filter(|scenario| wanted(scenario)).filter_map(base).collect();
    let keep = |scenario: &Scenario| names.is_empty() || wanted(scenario) || bases.contains(&scenario.name);
    Ok(all.into_iter().filter(keep).collect())
}

fn base(scenario: &Scenario) -> Option<&'static str> {
    match scenario.target {
        Target::OfBare(_) => None,
        Target::OfPassThrough(base, _) => Some(base),
    }
}
