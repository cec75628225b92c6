//! The two forms of a cursor on the wire. The first is also what version 0.1 writes and reads; the second is written only where many
//! records share a second.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::cursor::{Cursor, PageCursor, SortOrder};
use super::position::{Hint, Run, SidePosition, id_hash};
use crate::translate::side::Side;

/// Prefixes of the proxy's own cursors. The legacy API's cursors have neither.
const NAMED: &str = "cs1.";
const DENSE: &str = "cs2.";

/// Marks the kind of id that follows in a cursor's bytes.
const UUID: u8 = 0;
const TEXT: u8 = 1;

/// Bits of the byte after the order.
const NAMES_ALL: u8 = 1;
const IS_UNPAIRED: u8 = 2;

/// Bits of a side's first byte.
const HAS_HINT: u8 = 1;
const HINT_HAS_SINCE: u8 = 2;
const RISES: u8 = 4;
const FALLS: u8 = 8;

impl PageCursor {
    /// Parses the parameter; `None` when it has the proxy's prefix but does not decode.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with(NAMED) || text.starts_with(DENSE) {
            return decode(text).map(|cursor| Self::Ours(Box::new(cursor)));
        }
        Some(if text.is_empty() { Self::Start } else { Self::Foreign })
    }
}

impl Cursor {
    /// The cursor as a query parameter's value, which needs no escaping: letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(self)
    }
}

fn encode(cursor: &Cursor) -> String {
    // The form that version 0.1 reads, wherever it can hold the cursor: a list may go on at a replica of either version.
    if *cursor == Cursor::new(cursor.order, cursor.at, cursor.ids.clone()) {
        let mut out = head(cursor);
        cursor.ids.iter().for_each(|id| push_id(&mut out, id));
        return format!("{NAMED}{}", URL_SAFE_NO_PAD.encode(out));
    }
    let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let mut out = head(cursor);
    out.push(flag(cursor.names_all, NAMES_ALL) | flag(cursor.is_unpaired, IS_UNPAIRED));
    out.extend(cursor.filters.to_be_bytes());
    out.extend((cursor.ids.len() as u64).to_be_bytes());
    cursor.ids.iter().for_each(|id| push_id(&mut out, id));
    for side in [Side::Legacy, Side::New] {
        push_side(&mut out, cursor.side(side));
    }
    let sum = checksum(&out);
    out.extend(sum);
    format!("{DENSE}{}", URL_SAFE_NO_PAD.encode(out))
}

fn decode(text: &str) -> Option<Cursor> {
    if let Some(body) = text.strip_prefix(NAMED) {
        let bytes = URL_SAFE_NO_PAD.decode(body).ok()?;
        let mut bytes = CodecReader(&bytes);
        let (order, at) = bytes.head()?;
        let mut ids = Vec::new();
        while !bytes.0.is_empty() {
            ids.push(bytes.id()?);
        }
        return Some(Cursor::new(order, at, ids));
    }
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(DENSE)?).ok()?;
    let (bytes, sum) = bytes.split_last_chunk()?;
    // A cut cursor must be refused: part of it would decode to another position.
    if *sum != checksum(bytes) {
        return None;
    }
    let mut bytes = CodecReader(bytes);
    let (order, at) = bytes.head()?;
    let flags = bytes.byte()?;
    let filters = bytes.number()?;
    let mut ids = Vec::new();
    // The number is a client's; nothing is allocated for it before the bytes are there.
    for _ in 0..bytes.number()? {
        ids.push(bytes.id()?);
    }
    let (legacy, new) = (bytes.side()?, bytes.side()?);
    bytes.0.is_empty().then_some(Cursor {
        order,
        at,
        ids,
        names_all: flags & NAMES_ALL != 0,
        is_unpaired: flags & IS_UNPAIRED != 0,
        filters,
        legacy,
        new,
    })
}

/// Finds damage; it is no signature, because a cursor reads nothing that its client may not read.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let [sum @ .., _, _, _, _] = id_hash(&URL_SAFE_NO_PAD.encode(bytes)).to_be_bytes();
    sum
}

fn head(cursor: &Cursor) -> Vec<u8> {
    let mut out = vec![u8::from(cursor.order == SortOrder::Descending)];
    out.extend(cursor.at.as_nanosecond().to_be_bytes());
    out
}

/// A canonical UUID is stored as 16 bytes, which halves most cursors; any other id as length and text.
fn push_id(out: &mut Vec<u8>, id: &str) {
    // 16 bytes in place of 36, if exactly this text comes back from them.
    match Uuid::try_parse(id).ok().filter(|uuid| uuid.hyphenated().to_string() == *id) {
        Some(uuid) => {
            out.push(UUID);
            out.extend(uuid.as_bytes());
        }
        None => {
            out.push(TEXT);
            push_text(out, id);
        }
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_be_bytes());
    out.extend(text.as_bytes());
}

fn push_side(out: &mut Vec<u8>, SidePosition { run, behind, hint }: &SidePosition) {
    let has_since = hint.as_ref().is_some_and(|hint| hint.since.is_some());
    let flags =
        [(hint.is_some(), HAS_HINT), (has_since, HINT_HAS_SINCE), (run.rises, RISES), (run.falls, FALLS)];
    out.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum());
    out.extend(behind.to_be_bytes());
    out.extend(run.count.to_be_bytes());
    if run.count > 0 {
        out.extend(run.digest.to_be_bytes());
        out.extend(run.last_hash.to_be_bytes());
        push_id(out, &run.last);
        out.extend(run.stride.to_be_bytes());
        out.extend((run.landmarks.len() as u64).to_be_bytes());
        out.extend(run.landmarks.iter().flat_map(|landmark| landmark.to_be_bytes()));
    }
    if let Some(Hint { cursor, since, skip, last, first }) = hint {
        push_text(out, cursor);
        out.extend(since.iter().flat_map(|at| at.as_nanosecond().to_be_bytes()));
        out.extend(skip.to_be_bytes());
        out.extend(last.to_be_bytes());
        out.extend(first.to_be_bytes());
    }
}

/// The bytes that are still to be read.
struct CodecReader<'a>(&'a [u8]);

impl CodecReader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn small(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(i128::from_be_bytes(self.array()?)).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn id(&mut self) -> Option<String> {
        match self.byte()? {
            UUID => Some(Uuid::from_bytes(self.array()?).hyphenated().to_string()),
            TEXT => self.text(),
            _ => None,
        }
    }

    fn head(&mut self) -> Option<(SortOrder, Timestamp)> {
        let order = match self.byte()? {
            0 => SortOrder::Ascending,
            1 => SortOrder::Descending,
            _ => return None,
        };
        Some((order, self.timestamp()?))
    }

    fn side(&mut self) -> Option<SidePosition> {
        let flags = self.byte()?;
        let behind = self.small()?;
        let mut run = Run { count: self.small()?, ..Run::default() };
        if run.count > 0 {
            (run.digest, run.last_hash, run.last) = (self.number()?, self.number()?, self.id()?);
            (run.rises, run.falls) = (flags & RISES != 0, flags & FALLS != 0);
            run.stride = self.small()?;
            for _ in 0..self.number()? {
                run.landmarks.push(self.number()?);
            }
        }
        let hint = if flags & HAS_HINT == 0 { None } else { Some(self.hint(flags & HINT_HAS_SINCE != 0)?) };
        Some(SidePosition { run, behind, hint })
    }

    fn hint(&mut self, has_since: bool) -> Option<Hint> {
        let cursor = self.text()?;
        let since = if has_since { Some(self.timestamp()?) } else { None };
        Some(Hint { cursor, since, skip: self.small()?, last: self.number()?, first: self.number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{DENSE, decode, encode};
    use crate::translate::list::cursor::{Cursor, SortOrder};
    use crate::translate::list::position::{Hint, Run, SidePosition};
    use jiff::Timestamp;

    fn dense() -> Cursor {
        let mut run = Run::default();
        (0..500).for_each(|number| run.push(&uuid::Uuid::from_u128(number).to_string()));
        let hint =
            Hint { cursor: "c".repeat(500), since: Some(Timestamp::MAX), skip: 7, last: u64::MAX, first: 1 };
        let side = SidePosition { run, behind: 500, hint: Some(hint) };
        let mut cursor = Cursor::new(SortOrder::Descending, Timestamp::MIN, vec!["x".to_owned()]);
        (cursor.names_all, cursor.is_unpaired, cursor.filters) = (false, true, 3);
        (cursor.legacy, cursor.new) = (side.clone(), side);
        cursor
    }

    #[test]
    fn a_dense_cursor_comes_back_as_it_was_and_is_short() {
        let text = encode(&dense());
        assert!(text.starts_with(DENSE) && text.len() < 2048, "{} bytes", text.len());
        assert_eq!(decode(&text), Some(dense()));
    }

    #[test]
    fn a_dense_cursor_that_was_changed_or_cut_is_refused() {
        let text = encode(&dense());
        for at in DENSE.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(decode(std::str::from_utf8(&changed).unwrap()), None, "{at}");
            assert_eq!(decode(&text[..at]), None, "{at}");
        }
    }
}
