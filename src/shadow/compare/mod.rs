//! The differences between two responses in the legacy shape, each with its kind and severity. What they amount to is decided in
//! `verdict`.
//!
//! Only what the legacy API documents is compared field by field: a record, its metadata, a list and its rows, a problem. A value
//! under any other key is compared as a whole.

pub mod difference;
mod field;
mod list;
mod problem;
mod record;

pub(crate) use self::field::MONEY;
pub use self::list::{ListComparison, list};
pub use self::problem::{problem, status_code};
pub use self::record::record;
