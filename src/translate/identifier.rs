//! Ids and asset codes, compared as a vendor may read them: a UUID says the same in either letter case (RFC 9562, section 4), and a side
//! may answer one in another spelling than it was asked for. A reference (`ref_id`) is no identifier in this sense: the fact `ref_match`
//! says how the vendor compares those.

use std::borrow::Cow;

use uuid::Uuid;

/// Whether two ids name one thing: they are equal, or the same UUID.
#[must_use]
pub(crate) fn same(one: &str, other: &str) -> bool {
    one == other || uuid(one).is_some_and(|one| uuid(other) == Some(one))
}

/// Whether an answer shows the record that was asked for. Beside [`same`], a vendor whose ids are no UUIDs may ignore their letter case;
/// no two of its ids differ by that alone then, and by chance none do.
#[must_use]
pub(crate) fn names(found: &str, asked: &str) -> bool {
    found.eq_ignore_ascii_case(asked) || same(found, asked)
}

/// Whether two codes name one asset.
#[must_use]
pub(crate) fn same_asset(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// A UUID in lower case with its hyphens, any other id as it is.
#[must_use]
pub(crate) fn canonical(id: &str) -> Cow<'_, str> {
    match uuid(id).map(|uuid| uuid.hyphenated().to_string()) {
        Some(canonical) if canonical != id => Cow::Owned(canonical),
        Some(_) | None => Cow::Borrowed(id),
    }
}

/// Whether an id says that there is none: empty, or the nil UUID that the old API shows for one that was not given.
#[must_use]
pub(crate) fn is_absent(id: &str) -> bool {
    id.is_empty() || uuid(id).is_some_and(|uuid| uuid.is_nil())
}

fn uuid(id: &str) -> Option<Uuid> {
    // With hyphens, without, in braces, as a URN: what servers read as a UUID.
    Uuid::try_parse(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWER: &str = "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c";
    const UPPER: &str = "7C4E8F2A-1D3B-4A5E-9F6C-8B2D7E0A4F1C";

    #[test]
    fn a_uuid_is_the_same_in_every_spelling() {
        for other in
            [LOWER, UPPER, "7c4e8f2a1d3b4a5e9f6c8b2d7e0a4f1c", "{7C4E8F2A-1d3b-4A5E-9F6C-8B2D7E0A4F1C}"]
        {
            assert!(same(LOWER, other) && same(other, LOWER) && names(other, UPPER), "{other}");
            assert_eq!(canonical(other), LOWER, "{other}");
        }
    }

    #[test]
    fn what_is_no_uuid_is_compared_letter_by_letter() {
        assert!(same("orch_1a", "orch_1a") && !same("orch_1a", "orch_1A") && names("orch_1a", "orch_1A"));
        assert_eq!(canonical("orch_1A"), "orch_1A");
        for other in
            ["", "x", "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1d", "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1", " "]
        {
            assert!(!same(LOWER, other) && !names(LOWER, other), "{other}");
        }
    }

    #[test]
    fn the_nil_uuid_is_no_id() {
        for absent in ["", "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"] {
            assert!(is_absent(absent), "{absent}");
        }
        assert!(!is_absent(LOWER) && !is_absent("0"));
    }
}
