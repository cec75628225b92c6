//! What a request allocates and how large the futures on its way are: figures that do not depend on the machine.
//!
//! ```text
//! cargo bench --bench baseline    # writes benches/baseline.md
//! ```
//!
//! Commit the file, so that a change that raises a figure is seen in its diff.

#![allow(
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a benchmark measures in fractions, and stops where it cannot go on"
)]

mod support;

use std::{alloc::System, fmt::Write as _, fs, io, time::Duration};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{
    ALLOCATIONS, Server, bare,
    cpu::Clock,
    measure::{Bench, Effort, Slot},
    scenario, shim,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.md");

fn main() -> io::Result<()> {
    let _ = ALLOCATIONS.set(|| ALLOCATOR.stats().allocations + ALLOCATOR.stats().reallocations);
    let servers = [
        Server { name: "bare", is_bare: true, start: bare::start },
        Server { name: "shim", is_bare: false, start: shim::start },
    ];
    let bench = Bench::start(&servers, 1, Clock::Stat)?;
    let scenarios = scenario::all();
    let effort = Effort { time: Duration::from_millis(500), slices: 3, connections: 1 };
    let slots = bench.run(&scenarios, &effort)?;
    let mut text = String::from(
        "Written by `cargo bench --bench baseline`.\n\nAllocations of a request, the least of three slices, rounded:\n\n\
         | request | conversion-shim | bare hyper |\n|---|---|---|\n",
    );
    for pair in slots.chunks(2) {
        let [bare, shim] = pair else { continue };
        let _ = writeln!(text, "| {} | {:.0} | {:.0} |", shim.scenario.name, least(shim), least(bare));
    }
    text.push_str("\nSizes of futures, in bytes:\n\n| future | bytes |\n|---|---|\n");
    for (name, size) in conversion_shim::proxy::future_sizes() {
        let _ = writeln!(text, "| {name} | {size} |");
    }
    fs::write(FILE, text)
}

fn least(slot: &Slot<'_>) -> f64 {
    slot.readings.iter().map(|reading| reading.allocations).fold(f64::INFINITY, f64::min)
}
