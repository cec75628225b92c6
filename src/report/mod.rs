//! The report: what shadow's lines amount to, and whether a route may move on. Reads lines, adds them up in bounded memory,
//! judges, and renders for people ([`text`], [`html`]) and machines ([`document`]). Opens no files, knows no clock and prints
//! nothing: that is `cli`'s.

#![expect(clippy::float_arithmetic, reason = "shares and milliseconds; no money is added up here")]

mod bounded;
mod coverage;
pub mod document;
mod figures;
pub mod html;
mod judge;
mod latency;
mod lines;
mod matrix;
mod notes;
mod route;
mod rules;
mod running;
mod signatures;
mod stats;
mod summary;
pub mod text;
mod timeline;

pub use stats::{Scope, Tally};
