//! Metrics of the process. To add one: declare it in [`registry`], and record or collect it where it happens.
//!
//! Requests record into [`Metrics`] with typed labels. What other parts count for their own purposes (ledger, rate limits, shadow, reloads) is
//! read when `/metrics` is requested, by `admin::collectors`. `docs/metrics.md` lists every metric.

pub(crate) mod exposition;
pub(crate) mod family;
pub(crate) mod label_set;
pub(crate) mod labels;
pub(crate) mod registry;

pub(crate) use registry::Metrics;
