//! Shadow comparison: what the new API would have answered, compared with what legacy did answer, before a route moves.
//!
//! The client's response is on its way before any of this work starts. One comparison, in order:
//!
//! 1. On the data path, [`Shadow::capture`] samples a request; [`capture`] copies the request and the response as they pass and
//!    queues a job when the response has ended. A full queue, spent memory or a back-off after a 429 (`cooldown`) drops the
//!    job and counts it in [`stats`].
//! 2. Everything else runs on one thread of its own: `runner` takes jobs, bounds their number and contains panics.
//!    [`ShadowThread`] owns that thread; dropping it stops the thread in order.
//! 3. `compare_job` runs one comparison. A create is never sent: [`dry_run`] computes the new API's answer from the request. A
//!    get or a list is read from the new API by a client that has no other method than GET (`shadow_client`).
//! 4. Pure: [`probe_rows`] sets aside what `probe` converted, [`compare`] finds the differences, [`verdict`] classifies them, [`redact`]
//!    makes them safe to write.
//! 5. `record_builder` makes the [`record`]; `record_writer` writes it or counts it as suppressed. `heartbeat` reports at
//!    intervals on shadow itself ([`heartbeat_record`]). The `report` command reads both kinds of lines.

pub(crate) mod capture;
pub mod compare;
pub mod coverage;
pub mod dry_run;
pub mod heartbeat_record;
pub mod json;
pub(crate) mod pair;
pub mod probe_rows;
pub mod record;
pub mod redact;
pub mod side_response;
pub mod stats;
pub mod types;
pub mod verdict;

mod clock;
mod compare_job;
mod handle;
mod heartbeat;
mod job;
mod record_builder;
mod record_writer;
mod runner;
mod shadow_client;
mod worker;

pub use self::handle::Shadow;
pub use self::runner::{ShadowThread, StartError};
