//! The rules of the cutover, one by one, over real sockets: the real config, ledger, client and server before the sandbox.
//! One file a route. Waiting is for signals, each with a deadline; no test asserts a time. Random interleavings of the same
//! rules are in `tests/money/model`.

mod absence;
mod canary;
mod cancel;
mod claims;
mod dense_list;
mod duplicate_check;
mod dying_cursor;
mod facts;
mod foreign_success;
mod get;
mod hidden;
mod letter_case;
mod list;
mod native;
mod odd_times;
mod outcome;
mod paths;
mod unreadable;
mod untouched;
mod upstream_calls;
