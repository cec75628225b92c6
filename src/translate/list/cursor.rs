//! The proxy's list cursor: the position in a listing, valid across restarts, mode changes and the sides' own cursor expiry.

use jiff::Timestamp;

use super::position::SidePosition;
use crate::translate::side::Side;

/// Order by `created_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    /// Oldest first.
    Ascending,
    /// Newest first; the default of both APIs.
    Descending,
}

impl SortOrder {
    /// The name on the wire.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    /// Whether `one` precedes `other` in this order.
    #[must_use]
    pub(crate) fn before<T: Ord>(self, one: &T, other: &T) -> bool {
        match self {
            Self::Ascending => one < other,
            Self::Descending => one > other,
        }
    }
}

/// The `page_cursor` parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PageCursor {
    /// Absent: the first page.
    #[default]
    Start,
    /// A cursor of the proxy's own.
    Ours(Box<Cursor>),
    /// A cursor of the legacy API's.
    Foreign,
}

/// A keyset cursor: the `created_at` of the last record returned, and which records of that instant were returned.
///
/// A few records are named by their ids, so the order in which a side returns records of one instant does not matter. Of many, each
/// side's part is a run. The next page requests records from that instant on and skips these; the sides' own cursors only save calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) order: SortOrder,
    /// `created_at` of the last record returned.
    pub(crate) at: Timestamp,
    /// Ids returned for that instant.
    pub(crate) ids: Vec<String>,
    /// Whether `ids` are all of them; if not, the runs name the rest.
    pub(crate) names_all: bool,
    /// The instant has too many rows to pair those of both sides.
    pub(crate) is_unpaired: bool,
    /// Hash of the filters that the hints were made with.
    pub(crate) filters: u64,
    pub(crate) legacy: SidePosition,
    pub(crate) new: SidePosition,
}

impl Cursor {
    /// A cursor after the records `ids`, all created at `at`.
    #[must_use]
    pub fn new(order: SortOrder, at: Timestamp, ids: Vec<String>) -> Self {
        Self {
            order,
            at,
            ids,
            names_all: true,
            is_unpaired: false,
            filters: 0,
            legacy: SidePosition::default(),
            new: SidePosition::default(),
        }
    }

    pub(crate) const fn side(&self, side: Side) -> &SidePosition {
        match side {
            Side::Legacy => &self.legacy,
            Side::New => &self.new,
        }
    }

    pub(crate) const fn side_mut(&mut self, side: Side) -> &mut SidePosition {
        match side {
            Side::Legacy => &mut self.legacy,
            Side::New => &mut self.new,
        }
    }

    pub(crate) fn names(&self, id: &str) -> bool {
        self.ids.iter().any(|returned| returned == id)
    }
}
