//! No reference is converted twice: the ledger alone, the randomized model of the whole system, real processes that are killed, and a soak.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests panic to fail, and print what they measured or skipped"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test binary uses a part of the support code")]
mod support;

mod complete;
mod drift;
mod gate_evidence;
mod gate_replicas;
mod gate_steps;
mod gate_vendor;
mod gates;
mod identity;
mod ledger;
mod model;
mod other_database;
mod probe;
mod processes;
mod reconcile;
mod soak;
mod trip;
mod what_broke;
