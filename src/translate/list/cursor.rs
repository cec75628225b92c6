//! Where a listing stands, in a form that outlives the process, the mode and the upstream's own cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

/// Marks a cursor as the proxy's own, and its version. The old API's cursors do not look like this.
const TAG: &str = "cs1.";

/// What kind of id follows, in a cursor's bytes.
const UUID: u8 = 0;
const TEXT: u8 = 1;

/// Oldest or newest first, by `created_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first: the default of both APIs.
    Descending,
}

impl Order {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    /// Whether `one` comes before `other`.
    #[must_use]
    pub fn before<T: Ord>(self, one: &T, other: &T) -> bool {
        match self {
            Self::Ascending => one < other,
            Self::Descending => one > other,
        }
    }
}

/// What a client gave as `page_cursor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PageCursor {
    /// Nothing: the first page.
    #[default]
    Start,
    /// One that the proxy handed out.
    Ours(Cursor),
    /// One that the old API handed out.
    Foreign,
}

impl PageCursor {
    /// Reads the parameter; `None` when it bears the proxy's tag but is damaged.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(TAG) {
            Some(body) => Cursor::decode(body).map(Self::Ours),
            None if text.is_empty() => Some(Self::Start),
            None => Some(Self::Foreign),
        }
    }
}

/// A keyset cursor: the last instant handed out, and which records of that instant were.
///
/// The next page asks for records from that instant on and skips those, so it does not matter in which order a side
/// returns records of one instant, and no upstream cursor is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The listing's order.
    pub order: Order,
    /// `created_at` of the last record handed out.
    pub at: Timestamp,
    ids: Vec<String>,
}

impl Cursor {
    /// A cursor after `ids`, all of which were created at `at`.
    #[must_use]
    pub const fn new(order: Order, at: Timestamp, ids: Vec<String>) -> Self {
        Self { order, at, ids }
    }

    /// The ids handed out at the cursor's instant.
    #[must_use]
    pub fn handed_out(&self) -> &[String] {
        &self.ids
    }

    /// Whether a record was already handed out on an earlier page.
    #[must_use]
    pub fn is_past(&self, at: Timestamp, id: &str) -> bool {
        self.order.before(&at, &self.at) || at == self.at && self.ids.iter().any(|handed| handed == id)
    }

    /// The cursor as a query parameter's value: letters, digits, `-`, `_` and `.` only.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = vec![u8::from(self.order == Order::Descending)];
        bytes.extend(self.at.as_nanosecond().to_be_bytes());
        for id in &self.ids {
            // A canonical UUID travels as its 16 bytes, any other id as text with its length before it.
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
            0 => Order::Ascending,
            1 => Order::Descending,
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
