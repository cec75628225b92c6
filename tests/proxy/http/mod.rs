//! The proxy over real sockets: in this process or as the program itself, before the sandbox or before bare sockets.
//! One file a behaviour. Waiting is for signals, each with a deadline; no test asserts a time.

mod access_log;
mod base_path;
mod callers_by_certificate;
mod codings;
mod connections;
mod drain;
mod early_answers;
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
mod start;
mod upstream_connections;
mod upstream_streams;
mod volume;
