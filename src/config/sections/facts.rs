//! `[facts]`: what was found out about the vendor.

use crate::config::read::{ConfigKey, KeyReader};
use crate::translate::facts::{EmptyList, Facts, Mirror, ProfileFilter, RefMatch};

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Facts> {
    let mirror = fact(keys.on_reload("facts.mirror"), Mirror::ALL, Mirror::as_str);
    let mirror_back = fact(keys.on_reload("facts.mirror_back"), Mirror::ALL, Mirror::as_str);
    let profile_filter =
        fact(keys.on_reload("facts.profile_filter"), ProfileFilter::ALL, ProfileFilter::as_str);
    let ref_match = fact(keys.on_reload("facts.ref_match"), RefMatch::ALL, RefMatch::as_str);
    let bodies = keys.on_reload("facts.empty_list").texts();
    let empty_list = bodies.and_then(|bodies| empty_list(keys, &bodies));
    Some(Facts {
        mirror: mirror?,
        mirror_back: mirror_back?,
        profile_filter: profile_filter?,
        ref_match: ref_match?,
        empty_list: empty_list?,
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
            EmptyList::ABSENT => known.absent = true,
            EmptyList::NULL => known.null = true,
            other => {
                let message = format!("{other:?} is none of {}, {}", EmptyList::ABSENT, EmptyList::NULL);
                keys.problem("facts.empty_list", message);
                return None;
            }
        }
    }
    Some(known)
}
