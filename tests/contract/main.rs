//! The two APIs as documents: the translation between them by example, by property and under mutated input, and the sandbox that
//! implements both.
//!
//! `PROPTEST_CASES=20000 cargo test --test contract fuzz` runs more mutated inputs.
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

mod examples;
mod fuzz;
mod properties;
mod sandbox;
