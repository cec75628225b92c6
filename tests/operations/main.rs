//! What an operator works with: configuration, command line, admin listener, shadow comparison and its report, deployment files and
//! the runbook.
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

mod admin;
mod cli;
mod comparison;
mod config;
mod demo;
mod deploy;
mod documents;
mod reference;
mod report;
mod runbook;
mod shadow;
mod upgrade;
