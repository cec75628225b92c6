//! `[facts]`: what was found out about the vendor.

use std::path::PathBuf;

use figment::value::Value;
use jiff::Timestamp;

use crate::config::Upstreams;
use crate::config::facts_file::{self, FactsFile};
use crate::config::read::{ConfigKey, KeyReader};
use crate::translate::facts::{EmptyList, Facts, Mirror, ProfileFilter, QueryPlus, RefMatch, RefSpace};

pub(crate) const FILE: &str = "facts.file";
pub(crate) const MIRROR: &str = "facts.mirror";
pub(crate) const FOUND_AT: &str = "facts.found_at";

/// The facts, and the file that they came from if there is one.
#[derive(Debug)]
pub(in crate::config) struct FactsSection {
    pub(in crate::config) facts: Facts,
    pub(in crate::config) file: Option<FactsFile>,
}

pub(in crate::config) fn read(keys: &mut KeyReader, upstreams: Option<&Upstreams>) -> Option<FactsSection> {
    let path = keys.on_reload(FILE).file();
    let file = match (path.clone().flatten(), upstreams) {
        (Some(path), Some(upstreams)) => merged(keys, path, upstreams),
        // Without readable upstreams it is not known whether the file is about them; they have a problem of their own.
        (None, _) | (_, None) => None,
    };
    let facts = known(keys);
    path?;
    Some(FactsSection { facts: facts?, file })
}

/// Takes the facts of a file for keys that are not set. A file about other hosts says nothing about these.
fn merged(keys: &mut KeyReader, path: PathBuf, upstreams: &Upstreams) -> Option<FactsFile> {
    keys.named_files.push(path.clone());
    let (file, facts) = match facts_file::read(&path, upstreams) {
        Ok(read) => read,
        Err(message) => {
            keys.problem(FILE, message);
            return None;
        }
    };
    if file.is_in_use {
        for (name, value) in facts {
            keys.merge_unset(FILE, &path, (&format!("facts.{name}"), value));
        }
        keys.merge_unset(FILE, &path, (FOUND_AT, Value::from(file.found_at.to_string())));
    }
    Some(file)
}

/// When the facts were found out.
pub(in crate::config) fn read_found_at(keys: &mut KeyReader) -> Option<Option<Timestamp>> {
    let not_a_time = |text: &str| format!("{text:?} is not a time such as 2026-12-01T18:00:00Z");
    keys.on_reload(FOUND_AT).optional(|text| text.parse().map_err(|_| not_a_time(text)))
}

fn known(keys: &mut KeyReader) -> Option<Facts> {
    let ref_space = fact(keys.on_reload("facts.ref_space"), RefSpace::ALL, RefSpace::as_str);
    let mirror = fact(keys.on_reload(MIRROR), Mirror::ALL, Mirror::as_str);
    let mirror_back = fact(keys.on_reload("facts.mirror_back"), Mirror::ALL, Mirror::as_str);
    let profile_filter =
        fact(keys.on_reload("facts.profile_filter"), ProfileFilter::ALL, ProfileFilter::as_str);
    let ref_match = fact(keys.on_reload("facts.ref_match"), RefMatch::ALL, RefMatch::as_str);
    let bodies = keys.on_reload("facts.empty_list").texts();
    let empty_list = bodies.and_then(|bodies| empty_list(keys, &bodies));
    let query_plus = fact(keys.on_reload("facts.query_plus"), QueryPlus::ALL, QueryPlus::as_str);
    Some(Facts {
        ref_space: ref_space?,
        mirror: mirror?,
        mirror_back: mirror_back?,
        profile_filter: profile_filter?,
        ref_match: ref_match?,
        empty_list: empty_list?,
        query_plus: query_plus?,
    })
}

/// One of these names; "" is "not known", the default.
fn fact<T: Copy + Default, const N: usize>(
    key: ConfigKey<'_>,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Option<T> {
    let find = |text: &str| {
        all.into_iter()
            .find(|fact| name(*fact) == text)
            .ok_or_else(|| format!("{text:?} is none of {}", all.map(name).join(", ")))
    };
    key.optional_or("(not known)", find).map(Option::unwrap_or_default)
}

fn empty_list(keys: &mut KeyReader, bodies: &[String]) -> Option<EmptyList> {
    let mut known = EmptyList::default();
    for body in bodies {
        match body.as_str() {
            EmptyList::ARRAY => known.array = true,
            EmptyList::ABSENT => known.absent = true,
            EmptyList::NULL => known.null = true,
            other => {
                let message = format!(
                    "{other:?} is none of {}, {}, {}",
                    EmptyList::ARRAY,
                    EmptyList::ABSENT,
                    EmptyList::NULL
                );
                keys.problem("facts.empty_list", message);
                return None;
            }
        }
    }
    Some(known)
}
