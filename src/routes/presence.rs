//! Who may say 404. Pure: what each side answered about an id, and what that proves together.

use crate::translate::side::Side;

/// What one side answered about an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SideAnswer {
    /// The record.
    Found,
    /// "There is no such record", in the vendor's own words, or a record that was never a conversion.
    NotFound,
    /// Neither: another refusal, a failure, an answer that cannot be read.
    Unclear,
}

/// Which side the proxy knows to hold the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The id was seen there, or the ledger has it.
    On(Side),
    /// Nobody knows the id.
    Nowhere,
    /// The ledger could not be asked.
    CouldNotLook,
}

/// What the client may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// That side's record.
    Found(Side),
    /// Every side that was asked said so, and nobody knows better.
    NotFound,
    /// A record that is known, on a side that denies it or was not clear about it.
    Unavailable(Side),
    /// That side's answer, which is neither.
    Unclear(Side),
    /// Every side said no, and the ledger that might know better could not be asked.
    CouldNotLook,
}

/// Concludes from the answers of the sides that were asked, in the order in which they were asked.
pub(super) fn conclude(known: Known, answers: &[(Side, SideAnswer)]) -> Presence {
    let side_of =
        |wanted: SideAnswer| answers.iter().find(|(_, answer)| *answer == wanted).map(|(side, _)| *side);
    match (side_of(SideAnswer::Found), side_of(SideAnswer::Unclear), known) {
        (Some(side), _, _) => Presence::Found(side),
        (None, Some(side), _) => Presence::Unclear(side),
        (None, None, Known::On(side)) => Presence::Unavailable(side),
        (None, None, Known::CouldNotLook) => Presence::CouldNotLook,
        (None, None, Known::Nowhere) => Presence::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_found_needs_every_side_and_nobody_who_knows_better() {
        use SideAnswer::{Found, NotFound, Unclear};
        let all = [Found, NotFound, Unclear];
        for known in [Known::Nowhere, Known::On(Side::Legacy), Known::On(Side::New), Known::CouldNotLook] {
            for (legacy, new) in all.into_iter().flat_map(|legacy| all.map(|new| (legacy, new))) {
                let presence = conclude(known, &[(Side::Legacy, legacy), (Side::New, new)]);
                let may_say_404 = (legacy, new, known) == (NotFound, NotFound, Known::Nowhere);
                assert_eq!(presence == Presence::NotFound, may_say_404, "{known:?} {legacy:?} {new:?}");
                let is_found = legacy == Found || new == Found;
                assert_eq!(matches!(presence, Presence::Found(_)), is_found, "{known:?} {legacy:?} {new:?}");
            }
        }
    }
}
