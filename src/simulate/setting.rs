//! What one world is like, drawn from the dice. What may happen together is what the exploration allows: `docs/money-safety.md` names the
//! worlds that are excluded.

use crate::config::Stage;
use crate::sandbox::{Dice, Mirror, RepeatedRef};
use crate::translate::side::Side;

/// How a world begins, and what may happen in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The stages that the replicas begin in. From `Canary` on, the operator has opened new.
    pub(super) stages: [Stage; 2],
    pub(super) references: usize,
    /// Whether lists of new show legacy's conversions.
    pub(super) mirror: Mirror,
    /// What new answers to a repeated reference.
    pub(super) repeated_ref: RepeatedRef,
    pub(super) special: Special,
    /// Whether the ledger is restored from before its last writes.
    pub(super) restores: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Nothing,
    /// HTTP/1.1 connections answer twice.
    Strays,
    /// Creates through the new API's own path use the references.
    Native,
    /// The same, and new is walked.
    NativeAndWalks,
    /// A withdrawal on new has used the first reference.
    Withdrawal,
    /// The operator releases claims.
    Released,
    /// Claims and the mark are deleted by hand.
    RowsDeleted,
    /// The second replica runs without the ledger at first, and legacy is walked.
    WithoutLedger,
    /// The first reference was converted on legacy before there was a ledger, and legacy is walked.
    Older,
}

impl Special {
    /// The side that is walked.
    pub(super) const fn walks(self) -> Option<Side> {
        match self {
            Self::WithoutLedger | Self::Older => Some(Side::Legacy),
            Self::NativeAndWalks => Some(Side::New),
            _ => None,
        }
    }

    pub(super) const fn has_native(self) -> bool {
        matches!(self, Self::Native | Self::NativeAndWalks)
    }
}

impl Setting {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        use Stage::{Canary, Live, Observe, Ready, Sealed, Shadow};
        let (special, may_restore) = match dice.below(14) {
            0..=2 => (Special::Nothing, true),
            3 | 4 => (Special::Strays, false),
            5 | 6 => (Special::Native, false),
            7 => (Special::NativeAndWalks, false),
            8 => (Special::Withdrawal, false),
            9 => (Special::Released, false),
            10 => (Special::RowsDeleted, false),
            11 | 12 => (Special::WithoutLedger, false),
            _ => (Special::Older, true),
        };
        let stages = match special {
            Special::WithoutLedger => dice.pick([[Observe, Observe], [Ready, Ready]]),
            Special::Older => dice.pick([[Live, Ready], [Ready, Ready], [Canary, Ready]]),
            Special::Released => dice.pick([[Sealed, Ready], [Live, Ready], [Ready, Ready]]),
            Special::NativeAndWalks => [Live, Ready],
            Special::RowsDeleted => dice.pick([[Ready, Live], [Ready, Canary], [Ready, Ready]]),
            _ => dice.pick([
                [Observe, Observe],
                [Observe, Shadow],
                [Observe, Ready],
                [Ready, Live],
                [Ready, Canary],
                [Live, Sealed],
                [Ready, Ready],
            ]),
        };
        let mirrors = special == Special::Nothing || special == Special::Strays;
        let shows = mirrors && dice.one_in(2);
        Self {
            stages,
            references: 1 + dice.index(3),
            mirror: if shows { dice.pick([Mirror::SameId, Mirror::OtherId]) } else { Mirror::Off },
            repeated_ref: dice.pick([
                RepeatedRef::Conflict,
                RepeatedRef::Conflict,
                RepeatedRef::WithoutExisting,
                RepeatedRef::Success,
            ]),
            special,
            restores: may_restore && dice.one_in(2),
        }
    }

    /// In words, as the head of a trace.
    pub(super) fn words(&self) -> String {
        let Self { stages: [first, second], references, mirror, repeated_ref, special, restores } = self;
        format!(
            "replicas in {first} and {second}, {references} references, mirror {mirror:?}, repeated references {repeated_ref:?}, \
             special: {special:?}, the ledger may be restored: {restores}"
        )
    }
}
