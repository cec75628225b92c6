//! conversion-shim: unchanged Stablecoin Conversion clients on the Orchestrations API.
//!
//! # One request
//!
//! [`server`] accepts a connection and frames requests → [`proxy`] takes one config snapshot, checks the head, admits the request (in-flight
//! limits), identifies the caller, and matches the route ([`translate::route`], pure). No route: it streams to legacy and is done. Otherwise
//! the handler in [`routes`] runs: it asks [`translate`] (pure) what to send, sends it through [`upstream`], asks [`translate`] what the answer
//! means, and returns a legacy answer or a [`failure::Failure`]. [`proxy`] maps a `Failure` to a problem document in one place, writes one access
//! line, and gives [`shadow`] a copy when the mode says so.
#![cfg_attr(
    not(feature = "testing"),
    allow(
        unreachable_pub,
        unused_imports,
        reason = "`pub` and re-exports are for tests: checked with the feature on"
    )
)]

mod demo;
mod probe;

// The modules are private: this crate is a program. Tests and benches see them through the feature `testing`, which the dev-dependency
// of this crate on itself switches on. Without it the compiler finds what only tests use, as dead code.
#[cfg(not(feature = "testing"))]
mod admin;
#[cfg(not(feature = "testing"))]
mod cli;
#[cfg(not(feature = "testing"))]
mod config;
#[cfg(not(feature = "testing"))]
mod deprecation;
#[cfg(not(feature = "testing"))]
mod failure;
#[cfg(not(feature = "testing"))]
mod gate;
#[cfg(not(feature = "testing"))]
mod http;
#[cfg(not(feature = "testing"))]
mod ledger;
#[cfg(not(feature = "testing"))]
mod proxy;
#[cfg(not(feature = "testing"))]
mod reconcile;
#[cfg(not(feature = "testing"))]
mod report;
#[cfg(not(feature = "testing"))]
mod routes;
#[cfg(not(feature = "testing"))]
#[allow(dead_code, reason = "tests inspect and steer the vendor through it")]
mod sandbox;
#[cfg(not(feature = "testing"))]
mod server;
#[cfg(not(feature = "testing"))]
mod shadow;
#[cfg(not(feature = "testing"))]
mod simulate;
#[cfg(not(feature = "testing"))]
mod telemetry;
#[cfg(not(feature = "testing"))]
mod translate;
#[cfg(not(feature = "testing"))]
mod upstream;

#[cfg(feature = "testing")]
pub mod admin;
#[cfg(feature = "testing")]
pub mod cli;
#[cfg(feature = "testing")]
pub mod config;
#[cfg(feature = "testing")]
pub mod deprecation;
#[cfg(feature = "testing")]
pub mod failure;
#[cfg(feature = "testing")]
pub mod gate;
#[cfg(feature = "testing")]
pub mod http;
#[cfg(feature = "testing")]
pub mod ledger;
#[cfg(feature = "testing")]
pub mod proxy;
#[cfg(feature = "testing")]
#[allow(missing_docs, reason = "the docs of a type say what its fields are")]
pub mod reconcile;
#[cfg(feature = "testing")]
pub mod report;
#[cfg(feature = "testing")]
pub mod routes;
#[cfg(feature = "testing")]
pub mod sandbox;
#[cfg(feature = "testing")]
pub mod server;
#[cfg(feature = "testing")]
pub mod shadow;
#[cfg(feature = "testing")]
pub mod simulate;
#[cfg(feature = "testing")]
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod translate;
#[cfg(feature = "testing")]
pub mod upstream;

pub use cli::run;
