//! When get and cancel may answer 404. Pure: which sides are asked about an id, what each answered, and what the answers prove together.

use super::record_side::RecordSide;
use crate::translate::facts::Mirror;
use crate::translate::side::Side;

/// What one side answered about an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideAnswer {
    Found,
    /// The vendor's own 404, or a record that is not a conversion.
    NotFound,
    /// Proves neither: another refusal, a failure, an unreadable answer.
    Unclear,
}

/// Which side the proxy knows to hold the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownSide {
    /// The record was made on this side.
    On(Side),
    /// This side showed the record; where it was made is not known.
    Seen(Side),
    /// The id is not known.
    Nowhere,
    /// The ledger could not be read.
    CouldNotLook,
}

impl KnownSide {
    /// From what is cached of an id and what the ledger has on record, which outweighs where it was seen.
    pub(crate) fn of(cached: Option<RecordSide>, on_record: Option<Side>) -> Self {
        match (cached, on_record) {
            (Some(RecordSide::MadeOn(side)), _) | (_, Some(side)) => Self::On(side),
            (Some(RecordSide::SeenOn(side)), None) => Self::Seen(side),
            (None, None) => Self::Nowhere,
        }
    }

    /// The sides that a get asks, the likelier one first. `creates_on`: the side of most creates.
    pub(crate) fn asked_by_get(self, creates_on: Side, sealed: bool) -> Vec<Side> {
        if sealed {
            return vec![Side::New];
        }
        let first = match self {
            Self::On(side) | Self::Seen(side) => side,
            Self::Nowhere | Self::CouldNotLook => creates_on,
        };
        vec![first, first.other()]
    }

    /// Whether a cancel is sent to legacy. A record that was only seen on new may be legacy's, unless it is known that new shows none of
    /// those.
    pub(crate) fn is_cancelled_on_legacy(self, mirror: Mirror, sealed: bool) -> bool {
        let is_on_new = self == Self::On(Side::New) || self == Self::Seen(Side::New) && mirror == Mirror::No;
        !sealed && !is_on_new
    }
}

/// What the answers prove together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Found(Side),
    /// Every side answered 404, and the id is not known.
    NotFound,
    /// The record is known, but the side that holds it answered 404.
    Unavailable(Side),
    /// Nothing: the client gets this side's answer.
    Unclear(Side),
    /// Every side answered 404, but the ledger, which may know the id, could not be read.
    CouldNotLook,
}

/// Concludes from the answers of the sides that were asked, in the order in which they were asked.
pub(crate) fn conclude(known: KnownSide, answers: &[(Side, SideAnswer)]) -> Presence {
    let side_of =
        |wanted: SideAnswer| answers.iter().find(|(_, answer)| *answer == wanted).map(|(side, _)| *side);
    match (side_of(SideAnswer::Found), side_of(SideAnswer::Unclear), known) {
        (Some(side), _, _) => Presence::Found(side),
        (None, Some(side), _) => Presence::Unclear(side),
        (None, None, KnownSide::On(side) | KnownSide::Seen(side)) => Presence::Unavailable(side),
        (None, None, KnownSide::CouldNotLook) => Presence::CouldNotLook,
        (None, None, KnownSide::Nowhere) => Presence::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_found_needs_a_404_of_every_side_and_an_unknown_id() {
        use SideAnswer::{Found, NotFound, Unclear};
        let all = [Found, NotFound, Unclear];
        let sides = [Side::Legacy, Side::New].into_iter();
        let known = sides.flat_map(|side| [KnownSide::On(side), KnownSide::Seen(side)]);
        for known in known.chain([KnownSide::Nowhere, KnownSide::CouldNotLook]) {
            for (legacy, new) in all.into_iter().flat_map(|legacy| all.map(|new| (legacy, new))) {
                let presence = conclude(known, &[(Side::Legacy, legacy), (Side::New, new)]);
                let may_say_404 = (legacy, new, known) == (NotFound, NotFound, KnownSide::Nowhere);
                assert_eq!(presence == Presence::NotFound, may_say_404, "{known:?} {legacy:?} {new:?}");
                let is_found = legacy == Found || new == Found;
                assert_eq!(matches!(presence, Presence::Found(_)), is_found, "{known:?} {legacy:?} {new:?}");
            }
        }
    }
}
