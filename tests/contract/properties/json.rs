//! The reader and `serde_json` have one opinion of every text. Known differences, and there are no others:
//!
//! - a string value with half of a surrogate pair is carried as written, where `serde_json` refuses to make it a `String`
//!   (as a key it is refused by both);
//! - a number too large for an `f64` is carried as written, where `serde_json` refuses to make it a number.

use conversion_shim::translate::json::{DEPTH_MAX, JsonReader, Raw};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

/// The one value that a text holds, by our reader.
fn ours(text: &[u8]) -> Option<&str> {
    let mut reader = JsonReader::new(text).ok()?;
    let value = reader.value().ok()?;
    reader.end().ok()?;
    Some(value.as_written())
}

/// The same by `serde_json`. It skips what it takes as written without a limit on depth and without a look at surrogates,
/// so depth and keys are asked for level by level.
fn theirs(text: &[u8]) -> Option<&str> {
    let raw: &RawValue = serde_json::from_slice(text).ok()?;
    are_keys_readable(raw, 0).then(|| raw.get())
}

fn are_keys_readable(raw: &RawValue, depth: usize) -> bool {
    let inner: Vec<&RawValue> = match raw.get().as_bytes()[0] {
        b'{' => match serde_json::from_str(raw.get()) {
            Ok(Members(values)) => values,
            Err(_) => return false,
        },
        b'[' => serde_json::from_str(raw.get()).expect("an array"),
        _ => return true,
    };
    depth < DEPTH_MAX && inner.into_iter().all(|inner| are_keys_readable(inner, depth + 1))
}

/// The values of an object, all of them, after its keys were read as strings.
struct Members<'a>(Vec<&'a RawValue>);

impl<'a> serde::Deserialize<'a> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'a> serde::de::Visitor<'a> for Visitor {
            type Value = Members<'a>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some((_, value)) = map.next_entry::<String, &RawValue>()? {
                    values.push(value);
                }
                Ok(Members(values))
            }
        }
        from.deserialize_map(Visitor)
    }
}

/// Tokens on either side of the border.
#[rustfmt::skip]
const ODD: &[&str] = &[
    "true", "false", "tru", "nul", "-", "-0", "0", "00", "01", "1.", ".5", "1.5", "1e5", "1E+5", "1e", "-1e-0",
    "1e999", "+1", "NaN", "\"\\u00e9\"", "\"\\ud83d\"", "\"\\ud83d\\udcb6\"", "\"\\u12\"", "\"\\ug123\"", "\"\\u12g3\"", "\"\\u123g\"", "\"\\x\"", "\"\\",
    "\"\u{1}\"", "\"\t\"", "\"é💶\"", "\u{feff}", "\u{a0}", "\t", "\r", "/", "'a'", "\"", "\\",
];

/// Text that is JSON more often than not: tokens, in an order that grammar does not care about.
fn near_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        8 => prop::sample::select(vec!["{", "}", "[", "]", ",", ":", "\"a\"", "\"\"", " ", "\n", "1", "null", "{}", "[]"]),
        2 => prop::sample::select(ODD.to_vec()),
    ];
    prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A well-formed document, then a few bytes replaced, removed or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..4_u8, any::<u8>());
    (any_value(), prop::collection::vec(change, 0..4)).prop_map(|(value, changes)| {
        let mut text = value.to_string().into_bytes();
        for (at, kind, byte) in changes {
            let at = at.index(text.len() + 1);
            match kind {
                0 if at < text.len() => text[at] = byte,
                1 if at < text.len() => drop(text.remove(at)),
                2 => text.truncate(at),
                _ => text.insert(at, b"\"\\{}[],:0e-u \x1f"[usize::from(byte) % 14]),
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(super::cases(1000))]

    #[test]
    fn near_json_is_judged_alike(text in near_json()) {
        prop_assert_eq!(ours(text.as_bytes()), theirs(text.as_bytes()), "{}", text);
    }

    #[test]
    fn any_text_is_judged_alike(text in any::<String>()) {
        prop_assert_eq!(ours(text.as_bytes()), theirs(text.as_bytes()));
    }

    #[test]
    fn a_mutated_document_is_judged_alike(text in mutated()) {
        prop_assert_eq!(ours(&text), theirs(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn a_string_says_what_serde_json_says(inside in "([ -~é💶]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\udcb6){0,12}") {
        let text = format!("\"{inside}\"");
        let expected = serde_json::from_str::<String>(&text).ok();
        let found = ours(text.as_bytes()).and_then(|_| {
            let raw = JsonReader::new(text.as_bytes()).unwrap().value().unwrap();
            raw.as_text().unwrap().value().map(String::from)
        });
        prop_assert_eq!(found, expected);
    }

    /// Strings are scanned eight bytes at a time: every position of the byte that ends a run counts.
    #[test]
    fn the_end_of_a_string_is_found_at_any_offset(before in 0..24_usize, fill in 0x20..=0xff_u8, after in 0..24_usize, end in any::<u8>()) {
        let fill = if matches!(fill, b'"' | b'\\') { b'x' } else { fill };
        let fill = char::from(fill).to_string();
        let text = format!("\"{}{}{}\"", fill.repeat(before), char::from(end), fill.repeat(after));
        prop_assert_eq!(ours(text.as_bytes()), theirs(text.as_bytes()), "{:?}", text);
    }

    #[test]
    fn objects_and_arrays_are_walked_as_written(value in any_value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut reader = JsonReader::new(text.as_bytes()).unwrap();
        let mut parts = Vec::new();
        match &value {
            Value::Object(_) => reader.object(|key, value| {
                parts.push((Some(key.to_owned()), value.value()?));
                Ok::<(), conversion_shim::translate::json::JsonError>(())
            }).unwrap(),
            Value::Array(_) => reader.array(|value| {
                parts.push((None, value.value()?));
                Ok::<(), conversion_shim::translate::json::JsonError>(())
            }).unwrap(),
            _ => parts.push((None, reader.value().unwrap())),
        }
        reader.end().unwrap();
        let parsed = |raw: Raw<'_>| serde_json::from_str::<Value>(raw.as_written()).unwrap();
        let found: Vec<_> = parts.into_iter().map(|(key, raw)| (key, parsed(raw))).collect();
        let whole = parsed(JsonReader::new(text.as_bytes()).unwrap().value().unwrap());
        let expected: Vec<_> = match whole {
            Value::Object(members) => members.into_iter().map(|(key, value)| (Some(key), value)).collect(),
            Value::Array(elements) => elements.into_iter().map(|value| (None, value)).collect(),
            other => vec![(None, other)],
        };
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn odd_tokens_are_judged_alike_wherever_they_stand() {
    for &odd in ODD {
        for text in [
            odd.to_string(),
            format!("[{odd}]"),
            format!("[1,{odd} ,2]"),
            format!("{{\"a\":{odd}}}"),
            format!("{{{odd}:1}}"),
        ] {
            assert_eq!(ours(text.as_bytes()), theirs(text.as_bytes()), "{text}");
        }
    }
}

#[test]
fn depth_ends_where_serde_jsons_does() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [DEPTH_MAX - 1, DEPTH_MAX, DEPTH_MAX + 1, 100_000] {
            let core = if open == "[" { "" } else { "1" };
            let text = open.repeat(depth) + core + &close.repeat(depth);
            assert_eq!(ours(text.as_bytes()).is_some(), depth <= DEPTH_MAX, "{depth} × {open}");
            assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), depth <= DEPTH_MAX, "{depth} × {open}");
        }
    }
}

#[test]
fn the_known_differences() {
    for (text, carried) in
        [(r#""\ud83d""#, true), (r#"["\udcb6\ud83d"]"#, true), ("1e999", true), (r#"{"\ud83d":1}"#, false)]
    {
        assert_eq!(ours(text.as_bytes()).is_some(), carried, "{text}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
}
