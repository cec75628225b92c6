//! The proxy over real sockets: in this process or as the program itself, before the sandbox or before bare sockets.
//! One file a behaviour. Waiting is for signals, each with a deadline; no test asserts a time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, in its helpers as well")]

mod access_log;
mod base_path;
mod callers_by_certificate;
mod command_line;
mod connections;
mod drain;
mod failures;
mod framing;
mod http2;
mod identity;
mod lists;
mod mutual_tls;
mod once;
mod pass_through;
mod paths;
mod refusals;
mod reload;
mod routes;
mod shell;
mod support;
mod volume;
