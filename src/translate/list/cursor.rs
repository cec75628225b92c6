//! The proxy's list cursor: the position in a listing, valid across restarts, mode changes and the sides' own cursor expiry.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

/// Prefix of the proxy's own cursors, with their version. The legacy API's cursors do not have it.
const TAG: &str = "cs1.";

/// Marks the kind of id that follows in a cursor's bytes.
const UUID: u8 = 0;
const TEXT: u8 = 1;

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
    Ours(Cursor),
    /// A cursor of the legacy API's.
    Foreign,
}

impl PageCursor {
    /// Parses the parameter; `None` when it has the proxy's prefix but does not decode.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(TAG) {
            Some(body) => Cursor::decode(body).map(Self::Ours),
            None if text.is_empty() => Some(Self::Start),
            None => Some(Self::Foreign),
        }
    }
}

/// A keyset cursor: the `created_at` of the last record returned, and the ids already returned for that instant.
///
/// The next page requests records from that instant on and skips these ids. So the order in which a side returns records of
/// one instant does not matter, and the cursor needs no cursor of the sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) order: SortOrder,
    /// `created_at` of the last record returned.
    pub(crate) at: Timestamp,
    ids: Vec<String>,
}

impl Cursor {
    /// A cursor after the records `ids`, all created at `at`.
    #[must_use]
    pub const fn new(order: SortOrder, at: Timestamp, ids: Vec<String>) -> Self {
        Self { order, at, ids }
    }

    /// The ids already returned for the cursor's instant.
    #[must_use]
    pub(crate) fn returned_ids(&self) -> &[String] {
        &self.ids
    }

    /// Whether a record belongs to an earlier page.
    #[must_use]
    pub(crate) fn is_past(&self, at: Timestamp, id: &str) -> bool {
        self.order.before(&at, &self.at) || at == self.at && self.ids.iter().any(|returned| returned == id)
    }

    /// The cursor as a query parameter's value, which needs no escaping: letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = vec![u8::from(self.order == SortOrder::Descending)];
        bytes.extend(self.at.as_nanosecond().to_be_bytes());
        for id in &self.ids {
            // A canonical UUID is stored as 16 bytes, which halves most cursors; any other id as length and text.
            match Uuid::try_parse(id).ok().filter(|uuid| uuid.hyphenated().to_string() == *id) {
                Some(uuid) => {
                    bytes.push(UUID);
                    bytes.extend(uuid.as_bytes());
                }
                None => {
                    bytes.push(TEXT);
                    bytes.extend((id.len() as u64).to_be_bytes());
                    bytes.extend(id.as_bytes());
                }
            }
        }
        format!("{TAG}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    fn decode(body: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(body).ok()?;
        let (&order, rest) = bytes.split_first()?;
        let (&at, mut rest) = rest.split_first_chunk::<16>()?;
        let order = match order {
            0 => SortOrder::Ascending,
            1 => SortOrder::Descending,
            _ => return None,
        };
        let mut ids = Vec::new();
        while let Some((&kind, tail)) = rest.split_first() {
            let (id, tail) = match kind {
                UUID => {
                    let (id, tail) = tail.split_first_chunk()?;
                    (Uuid::from_bytes(*id).hyphenated().to_string(), tail)
                }
                TEXT => {
                    let (length, tail) = tail.split_first_chunk()?;
                    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
                    let (id, tail) = tail.split_at_checked(length)?;
                    (String::from_utf8(id.to_vec()).ok()?, tail)
                }
                _ => return None,
            };
            ids.push(id);
            rest = tail;
        }
        Some(Self { order, at: Timestamp::from_nanosecond(i128::from_be_bytes(at)).ok()?, ids })
    }
}
