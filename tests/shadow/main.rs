//! Shadow comparisons over real sockets: the real config, client and server before the sandbox. Waiting is for the lines that
//! shadow writes; no test asserts a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may panic, in its helpers as well"
)]

#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../processes/dice.rs"]
mod dice;
#[path = "../support/house.rs"]
mod house;
#[path = "../operator/process.rs"]
mod process;

mod comparing;
mod end_to_end;
mod held_credentials;
mod isolation;
mod support;
mod writing;
