//! How far a page came whose calls ran out before its position, so that a retry of the request goes on from there.

use jiff::Timestamp;

use super::source::SideRows;

/// What one request learned on the way to its position. It holds no rows.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Per side, in the order of the page's sides; `None` where the side is read from the beginning.
    pub(super) checkpoints: Vec<Option<Box<SideRows>>>,
    /// The instant that has too many rows to pair them.
    pub(super) unpaired_at: Option<Timestamp>,
}
