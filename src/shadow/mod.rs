//! Evidence before every step: what the new API would have answered, compared with what the old one did.
//!
//! Pure, values in and values out: [`answer`] is what a side said, [`rehearsal`] what the new API would say to a create,
//! [`compare`] finds what differs, [`verdict`] judges it, [`coverage`] tells what traffic was seen, [`redact`] makes all of it fit
//! to be written. [`record`] and [`heartbeat`] are what is written, in the words of [`terms`].

pub mod answer;
pub mod compare;
pub mod coverage;
pub mod heartbeat;
pub mod json;
pub mod record;
pub mod redact;
pub mod rehearsal;
pub mod terms;
pub mod verdict;
