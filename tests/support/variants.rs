//! A vendor that differs from the documented one, at random.

use conversion_shim::sandbox::{EmptyList, ListShape, ListsNothing, Mirror, RefMatch, RepeatedRef, Variants};
use serde_json::json;

/// Up to three differences. `below` throws a number below its argument.
pub(crate) fn choose(mut below: impl FnMut(u64) -> u64) -> Variants {
    let mut variants = Variants::default();
    for _ in 0..below(4) {
        match below(14) {
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
            11 => variants.mirror_back = Mirror::SameId,
            12 => variants.mirror_back = Mirror::OtherId,
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
    match which % 7 {
        0 => Variants { camel_case: true, ..variants },
        1 => Variants { empty_list: EmptyList::Html, ..variants },
        2 => Variants { empty_list: EmptyList::None, ..variants },
        3 => Variants { empty_list: EmptyList::Null, ..variants },
        4 => Variants { list_shape: ListShape::Data, ..variants },
        side => {
            let lists_nothing = if side == 5 { ListsNothing::Legacy } else { ListsNothing::New };
            let forms = [EmptyList::None, EmptyList::Null, EmptyList::Html];
            let empty_list = forms[usize::try_from(which / 7 % 3).unwrap_or_default()];
            Variants { lists_nothing, empty_list, ..variants }
        }
    }
}

/// The keys by which an operator tells the proxy of it.
pub(crate) fn facts(variants: &Variants) -> Vec<(&'static str, &'static str)> {
    let mirror = |key: &'static str, mirror| match mirror {
        Mirror::Off => None,
        Mirror::SameId => Some((key, "same_id")),
        Mirror::OtherId => Some((key, "other_id")),
    };
    let mirrors = [("facts.mirror", variants.mirror), ("facts.mirror_back", variants.mirror_back)];
    let mirrors = mirrors.into_iter().filter_map(|(key, value)| mirror(key, value));
    let ref_match = match variants.ref_match {
        RefMatch::Exact => None,
        RefMatch::Case => Some(("facts.ref_match", "case")),
        RefMatch::Trim => Some(("facts.ref_match", "trimmed")),
    };
    mirrors.chain(ref_match).collect()
}
