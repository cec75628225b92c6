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

pub mod auth;
pub mod body;
pub mod cli;
pub mod config;
pub mod copy;
pub mod cutover;
pub mod failure;
pub mod headers;
pub mod ledger;
pub mod meters;
pub mod outlive;
pub mod proxy;
pub mod sandbox;
pub mod server;
pub mod shadow;
pub mod side;
pub mod spans;
pub mod telemetry;
pub mod translate;
pub mod upstream;
