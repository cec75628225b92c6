//! Reads the records of a list by the layout of one before.
//!
//! One program wrote them all, so most have the same members in the same order and differ in values alone. A [`Layout`] is the text around
//! the values of a record that was read member by member. Where another record has the same text, byte for byte, each value stands at the
//! same place of the same JSON, and only the values are left to read. A record that differs in more is read member by member.
//! `docs/performance.md` has what this gains.

use std::ops::Range;

use crate::translate::json::{JsonError, JsonReader, Raw, Text};
use crate::translate::orchestration::{
    FundsLocation, Orchestration, SetText, Unreadable, add_if_unknown, text_member,
};
use crate::translate::unknown::Unknown;

/// Optional members make several layouts.
const LAYOUTS_MAX: usize = 4;
/// Layouts are given up when so many more records have none than have one.
const MISSES_MAX: u8 = 8;

/// A record with more members makes no layout, because each name is compared with those before it.
const MEMBERS_MAX: usize = 64;

/// Reads the orchestrations of one list.
#[derive(Debug, Default)]
pub(super) struct RecordReader<'a> {
    /// The one that was used last is the first.
    layouts: Vec<Layout<'a>>,
    misses: u8,
    /// The record that was read last.
    record: Orchestration<'a>,
}

impl<'a> RecordReader<'a> {
    /// As [`Orchestration::read`].
    ///
    /// # Errors
    /// As [`Orchestration::read`].
    pub(super) fn read(&mut self, reader: &mut JsonReader<'a>) -> Result<&Orchestration<'a>, Unreadable> {
        reader.peek_kind();
        let has_layouts = self.misses < MISSES_MAX;
        // After too many misses layouts are given up: trying them costs more than it gains.
        if has_layouts && self.read_by_layout(reader).is_some() {
            return Ok(&self.record);
        }
        let start = reader.position();
        self.record = Orchestration::read(reader)?;
        let written = reader.since(start);
        self.misses = self.misses.saturating_add(1);
        // No record follows the last one, so a layout of it would be made for nothing.
        let is_last = reader.peek_kind() != Some(b',');
        if has_layouts && self.layouts.len() < LAYOUTS_MAX && !is_last {
            self.layouts.extend(Layout::of(written));
        }
        Ok(&self.record)
    }

    fn read_by_layout(&mut self, reader: &mut JsonReader<'a>) -> Option<()> {
        let Self { layouts, record, .. } = self;
        let number = layouts.iter_mut().position(|layout| layout.read(reader, record).is_some())?;
        // The layout that fits is tried first for the next record.
        layouts.swap(0, number);
        self.misses = self.misses.saturating_sub(1);
        Some(())
    }
}

/// What stands around the values of a record.
#[derive(Debug, Default)]
struct Layout<'a> {
    values: Vec<Value<'a>>,
    /// What follows the last value.
    end: &'a str,
    /// The members that are unknown.
    unknown: Unknown,
}

#[derive(Debug)]
struct Value<'a> {
    /// What stands between the value before and this one.
    before: &'a str,
    kind: Kind,
    /// The length of a text in the record before.
    length: usize,
    /// The layout of an object. It may differ where that of the record does not: clients choose what is in it.
    inside: Layout<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The content of a string.
    Text(SetText),
    /// Any object.
    Metadata,
    /// Any value, of a member that is not read.
    Skipped,
}

impl<'a> Layout<'a> {
    /// The layout of a record that can be read. `None` where a member is repeated, where there are too many, or where an end is other than a
    /// profile's id.
    fn of(record: &'a str) -> Option<Self> {
        let mut builder = Builder { record, ..Builder::default() };
        JsonReader::of(record).object(|name, value| builder.member(name, value)).ok()?;
        Some(builder.finish())
    }

    /// The layout of any object, of which no member is read.
    fn of_any(object: &'a str) -> Result<Self, Unsuitable> {
        let mut builder = Builder { record: object, ..Builder::default() };
        JsonReader::of(object).object(|_, value| builder.skipped(value))?;
        Ok(builder.finish())
    }

    /// Reads a record of this layout. Of another one the reader is left where it was.
    fn read(&mut self, reader: &mut JsonReader<'a>, record: &mut Orchestration<'a>) -> Option<()> {
        *record = Orchestration { unknown: self.unknown, ..Orchestration::default() };
        self.read_values(reader, record)?;
        record.add_status_if_unknown();
        Some(())
    }

    fn read_values(&mut self, reader: &mut JsonReader<'a>, record: &mut Orchestration<'a>) -> Option<()> {
        reader.known_object(|reader| {
            for value in &mut self.values {
                reader.known(value.before)?;
                match value.kind {
                    Kind::Text(set) => set(record, Some(value.text(reader)?)),
                    Kind::Metadata => record.metadata = Some(value.object(reader, record)?),
                    Kind::Skipped => drop(reader.value().ok()?),
                }
            }
            reader.known(self.end)
        })
    }
}

impl<'a> Value<'a> {
    fn text(&mut self, reader: &mut JsonReader<'a>) -> Option<Text<'a>> {
        let text = reader.known_text(self.length)?;
        // The next value here probably has the same length, which is tried in one step.
        self.length = text.as_written().len();
        Some(text)
    }

    /// Nothing inside is read into `record`.
    fn object(&mut self, reader: &mut JsonReader<'a>, record: &mut Orchestration<'a>) -> Option<Raw<'a>> {
        let start = reader.position();
        if self.inside.read_values(reader, record).is_some() {
            return Some(reader.raw_since(start));
        }
        reader.value().ok().filter(|value| value.is_object())
    }
}

#[derive(Default)]
struct Builder<'a> {
    record: &'a str,
    /// Where the last value ends.
    read: usize,
    names: Vec<String>,
    layout: Layout<'a>,
}

/// The record makes no layout.
struct Unsuitable;

impl From<JsonError> for Unsuitable {
    fn from(_: JsonError) -> Self {
        Self
    }
}

impl<'a> Builder<'a> {
    fn member(&mut self, name: &str, reader: &mut JsonReader<'a>) -> Result<(), Unsuitable> {
        // Of a repeated key the last value counts, which a layout cannot tell apart.
        if self.names.len() == MEMBERS_MAX || self.names.iter().any(|known| known == name) {
            return Err(Unsuitable);
        }
        self.names.push(name.to_owned());
        // A `null` is part of what stands around the values.
        let is_null = reader.peek_kind() == Some(b'n');
        let start = reader.position();
        match (name, text_member(name)) {
            ("source" | "destination" | "metadata", _) | (_, Some(_)) if is_null => drop(reader.value()?),
            ("source", _) => {
                self.add(Kind::Text(|it, id| it.source = FundsLocation::profile(id)), profile_id(reader)?);
            }
            ("destination", _) => {
                self.add(
                    Kind::Text(|it, id| it.destination = FundsLocation::profile(id)),
                    profile_id(reader)?,
                );
            }
            (_, Some((_, set))) => self.add(Kind::Text(set), content(reader)?),
            ("metadata", _) => {
                let inside = Layout::of_any(reader.value()?.as_written())?;
                self.add(Kind::Metadata, start..reader.position());
                self.layout.values.last_mut().ok_or(Unsuitable)?.inside = inside;
            }
            (_, None) => {
                add_if_unknown(&mut self.layout.unknown, name);
                self.skipped(reader)?;
            }
        }
        Ok(())
    }

    fn skipped(&mut self, reader: &mut JsonReader<'a>) -> Result<(), Unsuitable> {
        if reader.peek_kind() == Some(b'"') {
            self.add(Kind::Text(|_, _| ()), content(reader)?);
        } else {
            let start = reader.position();
            reader.value()?;
            self.add(Kind::Skipped, start..reader.position());
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, at: Range<usize>) {
        let before = &self.record[self.read..at.start];
        self.layout.values.push(Value { before, kind, length: at.len(), inside: Layout::default() });
        self.read = at.end;
    }

    fn finish(mut self) -> Layout<'a> {
        self.layout.end = &self.record[self.read..];
        self.layout
    }
}

/// Reads a string, and returns where its content is.
fn content(reader: &mut JsonReader<'_>) -> Result<Range<usize>, Unsuitable> {
    let text = reader.text()?.ok_or(Unsuitable)?;
    let end = reader.position() - 1;
    Ok(end - text.as_written().len()..end)
}

/// Reads an end that is a profile's id and nothing else, and returns where the id is.
fn profile_id(reader: &mut JsonReader<'_>) -> Result<Range<usize>, Unsuitable> {
    let (mut profiles, mut id) = (0, None);
    reader.object(|name, profile| {
        profiles += 1;
        if (name, profiles) != ("profile", 1) {
            return Err(Unsuitable);
        }
        profile.object(|member, value| match (member, &id) {
            ("profile_id", None) => {
                id = Some(content(value)?);
                Ok(())
            }
            _ => Err(Unsuitable),
        })
    })?;
    id.ok_or(Unsuitable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as different serializers write them, and rows that make no layout.
    const ROWS: [&str; 16] = [
        r#"{"id":"1","source":{"profile":{"profile_id":"p"},"profile":{}},"status":"FAILED"}"#,
        r#"{"id":"1","source":{"profile":{"profile_id":"p"},"tier":{}},"status":"FAILED"}"#,
        r#"{"id":"3d7a1e5b-9c2f-4d8a-a6b3-0","customer_id":"c","source_asset":"USD","destination_asset":"USDG","status":"COMPLETED","source":{"profile":{"profile_id":"p"}},"destination":{"profile":{"profile_id":"q"}},"created_at":"2026-04-20T12:00:00.397730Z","metadata":{"a":{"b":["c"]}}}"#,
        r#"{"id":"3d7a1e5b-9c2f-4d8a-a6b3-1","customer_id":"d","source_asset":"USDP","destination_asset":"USD","status":"FAILED","source":{"profile":{"profile_id":""}},"destination":{"profile":{"profile_id":"7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c"}},"created_at":"","metadata":{}}"#,
        r#"{"id":"3","ref_id":null,"fee":12,"status":"ON_HOLD","fail_reason":null,"completed_at":"x","metadata":null,"source":null}"#,
        r#"{"id":"3","ref_id":null,"fee":[{"a":"b"},-1.5e3],"status":"\u0046AILED","fail_reason":true,"completed_at":"\"\\","metadata":null,"source":null}"#,
        r#"{ "id" : "1" , "r\u0065f_id":"a", "source": { "profile" : {"profile_id": "p" } } ,"metadata":{ "x":1 } }"#,
        r#"{ "id" : "2" , "r\u0065f_id":"b", "source": { "profile" : {"profile_id": "q" } } ,"metadata": {"x":[]} }"#,
        r#"{"id":"1","metadata":{"order":"1","lines":["a"],"note":"\u0061"}}"#,
        r#"{"id":"2","metadata":{"order":"22","lines":[],"note":"\""}}"#,
        r#"{"id":"1","id":null,"status":"a","status":"PENDING"}"#,
        r#"{"source":{"crypto":{"a":1}},"destination":{"profile":{"profile_id":"p","tier":1},"fiat":{}}}"#,
        r#"{"metadata":{"a":"b"},"metadata":null,"source":{},"destination":{"profile":{}}}"#,
        "{}",
        r#"{"id":7}"#,
        r#"{"metadata":"none"}"#,
    ];

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            usize::try_from(mixed >> 33).unwrap() % end
        }

        /// A list of rows, some of them damaged.
        fn list(&mut self) -> String {
            let mut rows = Vec::new();
            let first = self.below(ROWS.len());
            for _ in 0..1 + self.below(6) {
                // Mostly neighbours, which share a layout.
                let number = if self.below(4) > 0 { first ^ self.below(2) } else { self.below(ROWS.len()) };
                let mut row = ROWS[number].as_bytes().to_vec();
                if self.below(4) == 0 {
                    let (at, byte) = (self.below(row.len()), b"\"\\{}[],: a1n\n\x01"[self.below(14)]);
                    match self.below(3) {
                        0 => row[at] = byte,
                        1 => row.insert(at, byte),
                        _ => drop(row.remove(at)),
                    }
                }
                rows.push(String::from_utf8(row).unwrap());
            }
            format!("[{}]", rows.join([",", " , "][self.below(2)]))
        }
    }

    fn records<'a>(
        list: &'a str,
        mut read: impl FnMut(&mut JsonReader<'a>) -> Result<String, Unreadable>,
    ) -> (Vec<String>, Result<(), Unreadable>) {
        let mut records = Vec::new();
        let mut reader = JsonReader::of(list);
        let end = reader.array(|element| {
            records.push(read(element)?);
            Ok(())
        });
        (records, end.and_then(|()| Ok(reader.end()?)))
    }

    #[test]
    fn a_record_read_by_layout_is_that_read_member_by_member() {
        let mut random = Random(1);
        let mut by_layout = 0;
        for _ in 0..20_000 {
            let list = random.list();
            let mut reader = RecordReader::default();
            let found = records(&list, |element| {
                let misses = reader.misses;
                let record = format!("{:?}", reader.read(element)?);
                by_layout += usize::from(reader.misses <= misses);
                Ok(record)
            });
            let expected = records(&list, |element| Ok(format!("{:?}", Orchestration::read(element)?)));
            assert_eq!(found, expected, "{list}");
        }
        assert!(by_layout > 5_000, "only {by_layout}");
    }

    #[test]
    fn layouts_are_given_up_where_no_record_has_the_one_before() {
        let rows: Vec<_> = (0..40).map(|number| format!(r#"{{"id":"a","x{number}":1}}"#)).collect();
        let list = format!("[{}]", rows.join(","));
        let mut reader = RecordReader::default();
        let (records, end) = records(&list, |element| Ok(format!("{:?}", reader.read(element)?)));
        assert_eq!((records.len(), end), (40, Ok(())));
        assert_eq!((reader.layouts.len(), reader.misses), (LAYOUTS_MAX, 40));
    }

    #[test]
    fn a_record_of_many_members_makes_no_layout() {
        let record = |members| {
            let members: Vec<_> = (0..members).map(|number| format!(r#""x{number}":1"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(Layout::of(&record(MEMBERS_MAX)).is_some());
        assert!(Layout::of(&record(MEMBERS_MAX + 1)).is_none());
    }
}
