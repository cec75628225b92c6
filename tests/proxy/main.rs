//! The proxy over real sockets, before the sandbox or before bare sockets: HTTP, routing, credentials, rate limits and attacks.
//!
//! Every wait is for a signal, with a deadline; no test asserts a duration.
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

mod auth;
mod compat;
mod hostile;
mod http;
mod rate_limit;
mod routes;
