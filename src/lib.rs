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

pub mod admin;
pub mod cli;
pub mod config;
pub mod deprecation;
pub mod failure;
pub mod http;
pub mod ledger;
pub mod proxy;
pub mod report;
pub mod routes;
pub mod sandbox;
pub mod server;
pub mod shadow;
pub mod telemetry;
pub mod translate;
pub mod upstream;
