//! The report: whether the shadow log says that a route may move on. It reads lines, adds them up in bounded memory, checks the
//! thresholds, and renders for people ([`text`], [`html`]) and machines ([`document`]). It opens no file, reads no clock and prints
//! nothing; `cli` does.

#![expect(clippy::float_arithmetic, reason = "shares and milliseconds; no money is added up here")]

mod bounded;
mod builder;
mod compared_hosts;
mod continuity;
mod counters;
mod coverage;
pub mod document;
mod drift;
pub mod html;
mod judge;
mod latency;
mod lines;
mod matrix;
mod notes;
mod pair_logs;
mod process;
mod route;
mod rules;
mod running;
mod signatures;
mod summary;
pub mod text;
mod timeline;
mod uncovered;

pub use builder::{ReportBuilder, ReportScope};
