//! Evidence before every step: what the new API would have answered, compared with what the old one did.

pub mod heartbeat;
pub mod record;
pub mod report;
pub mod terms;
