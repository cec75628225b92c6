//! A vendor that differs from the documented one, at random.

use conversion_shim::sandbox::{EmptyList, ListShape, Mirror, RefMatch, RepeatedRef, Variants};
use serde_json::json;

/// Up to three differences. `below` throws a number below its argument.
pub(crate) fn choose(mut below: impl FnMut(u64) -> u64) -> Variants {
    let mut variants = Variants::default();
    for _ in 0..below(4) {
        match below(12) {
            0 => variants.mirror = Mirror::SameId,
            1 => variants.mirror = Mirror::OtherId,
            2 => variants.mirror_own_created_at = true,
            3 => variants.shared_refs = true,
            4 => variants.ref_match = RefMatch::Case,
            5 => variants.ref_match = RefMatch::Trim,
            6 => variants.plus_is_literal = true,
            7 => variants.repeated_ref = RepeatedRef::WithoutExisting,
            8 => variants.repeated_ref = RepeatedRef::WithoutProblem,
            9 => variants.repeated_ref = RepeatedRef::Success,
            10 => variants.html_not_found = true,
            _ => decorate(&mut variants, below(4)),
        }
    }
    variants
}

fn decorate(variants: &mut Variants, which: u64) {
    match which {
        0 => variants.list_shape = ListShape::Orchestrations,
        1 => variants.list_shape = ListShape::Both,
        _ => {
            let more = json!({ "source": { "label": "x" }, "destination": { "crypto": {}, "fiat": null } });
            variants.record_members = more.as_object().cloned().unwrap_or_default();
        }
    }
}

/// A difference in which the proxy can read nothing, or believes nothing: for a while.
pub(crate) fn blind(variants: &Variants, which: u64) -> Variants {
    let variants = variants.clone();
    match which % 5 {
        0 => Variants { camel_case: true, ..variants },
        1 => Variants { empty_list: EmptyList::Html, ..variants },
        2 => Variants { empty_list: EmptyList::None, ..variants },
        3 => Variants { empty_list: EmptyList::Null, ..variants },
        _ => Variants { list_shape: ListShape::Data, ..variants },
    }
}

/// The keys by which an operator tells the proxy of it.
pub(crate) fn facts(variants: &Variants) -> Vec<(&'static str, &'static str)> {
    let mirror = match variants.mirror {
        Mirror::Off => None,
        Mirror::SameId => Some(("facts.mirror", "same_id")),
        Mirror::OtherId => Some(("facts.mirror", "other_id")),
    };
    let ref_match = match variants.ref_match {
        RefMatch::Exact => None,
        RefMatch::Case => Some(("facts.ref_match", "case")),
        RefMatch::Trim => Some(("facts.ref_match", "trimmed")),
    };
    mirror.into_iter().chain(ref_match).collect()
}
