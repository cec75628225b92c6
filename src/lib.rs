//! conversion-shim: unchanged Stablecoin Conversion clients on the Orchestrations API.
//!
//! # One request, told once
//!
//! [`server`] accepts → [`proxy`] takes one config snapshot, asks [`auth`] who is there, and finds the route
//! ([`translate::route`], pure) → no route: stream through [`upstream`] and stop. A client's request for a token: by way of
//! [`auth`], which rewrites its scopes. A route in mode `legacy`: stream to legacy, but for a create once there is a [`ledger`]:
//! its flow runs in every mode, because the claim must be written before anything is sent. Otherwise the route's flow in
//! [`cutover`] runs: it asks [`translate`] (pure) what to send, sends it through [`upstream`], asks [`translate`] what the answer
//! means, and returns a legacy answer or a [`failure::Failure`]. [`proxy`] turns a `Failure` into a problem in one place, writes
//! one access line, and hands a copy of what was asked and answered to [`shadow`] when the mode says so.
#![cfg_attr(
    not(feature = "testing"),
    allow(
        unreachable_pub,
        unused_imports,
        reason = "`pub` and re-exports are for tests: checked with the feature on"
    )
)]

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
mod http;
#[cfg(not(feature = "testing"))]
mod ledger;
#[cfg(not(feature = "testing"))]
mod proxy;
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
pub mod http;
#[cfg(feature = "testing")]
pub mod ledger;
#[cfg(feature = "testing")]
pub mod proxy;
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
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod translate;
#[cfg(feature = "testing")]
pub mod upstream;

pub use cli::run;
