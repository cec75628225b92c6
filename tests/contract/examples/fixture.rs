//! Fixtures: how `tests/fixtures/<route>/<case>.json` is read and compared. `tests/fixtures/README.md` explains the keys.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A part of a fixture that travels as JSON: kept as the file has it, so that escapes and digits can be compared.
pub(crate) type Json = Box<RawValue>;

/// Bytes that travel: JSON as the file has it, or `{"text": "…"}` for what is not (readable) JSON, or must be exact.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Body(Json);

impl Body {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Verbatim {
            text: String,
        }
        serde_json::from_str::<Verbatim>(self.0.get())
            .map_or_else(|_| self.0.get().as_bytes().to_vec(), |verbatim| verbatim.text.into_bytes())
    }
}

fn folder(route: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(route)
}

/// The names in a folder of fixtures (`""` is the folder of all), sorted.
pub(crate) fn names(route: &str) -> Vec<String> {
    let entries =
        fs::read_dir(folder(route)).unwrap_or_else(|error| panic!("tests/fixtures/{route}: {error}"));
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().expect("a UTF-8 name")).collect();
    names.sort();
    names
}

/// Runs `test` on every fixture of a route, and fails with the names of all that failed. A file that is not a fixture, or
/// that has a key which `T` does not know, fails.
pub(crate) fn each<T: DeserializeOwned>(route: &str, test: impl Fn(&str, T)) {
    let names = names(route);
    assert!(!names.is_empty(), "no fixtures for {route}");
    let run = |name: &String| {
        let shown = format!("{route}/{name}");
        assert!(name.ends_with(".json"), "{shown} is not used by any test");
        let text = fs::read_to_string(folder(route).join(name)).unwrap();
        test(&shown, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{shown}: {error}")));
    };
    let failed: Vec<_> =
        names.iter().filter(|name| catch_unwind(AssertUnwindSafe(|| run(name))).is_err()).collect();
    assert!(failed.is_empty(), "{} of {} fixtures for {route} failed: {failed:?}", failed.len(), names.len());
}

/// JSON with sorted keys and no white space between tokens; every string and number is byte for byte as written.
/// A key that comes twice is an error: an answer must not say two things.
pub(crate) fn canonical(json: &str) -> String {
    let json = json.trim();
    let join = |parts: Vec<String>| parts.join(",");
    match json.as_bytes().first() {
        Some(b'{') => {
            let Members(members) =
                serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
            let member = |(key, value): (String, Json)| format!("{key:?}:{}", canonical(value.get()));
            format!("{{{}}}", join(members.into_iter().map(member).collect()))
        }
        Some(b'[') => {
            let elements: Vec<Json> =
                serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
            format!("[{}]", join(elements.iter().map(|element| canonical(element.get())).collect()))
        }
        _ => {
            let scalar: Json = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
            scalar.get().to_owned()
        }
    }
}

struct Members(BTreeMap<String, Json>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object without double keys")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Json>()? {
                    if members.insert(key.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("key `{key}` comes twice")));
                    }
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Visitor)
    }
}

/// Compares what came out with what the file expects: byte for byte if it says `{"text": …}`, else up to the order of keys.
pub(crate) fn assert_json(name: &str, what: &str, found: &[u8], expected: &Body) {
    let found = std::str::from_utf8(found).expect("UTF-8");
    if serde_json::from_str::<BTreeMap<String, Json>>(expected.0.get())
        .is_ok_and(|members| members.len() == 1 && members.contains_key("text"))
    {
        assert_eq!(found, String::from_utf8(expected.bytes()).unwrap(), "{name}: {what}");
    } else {
        assert_eq!(canonical(found), canonical(expected.0.get()), "{name}: {what}");
    }
}

/// Unwraps what a fixture says must work.
pub(crate) fn expect_ok<T, E: Debug>(name: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{name}: expected it to work, but: {error:?}"))
}
