//! The rules of the create protocol as switches, so that the exploration can show what each of them prevents.
//!
//! Without the feature `mutants` every rule is in force and the switches compile to nothing.

/// One rule of the create protocol. `docs/money-safety.md` lists, for each, the shortest trace that breaks a promise without it.
#[cfg_attr(
    not(feature = "testing"),
    allow(dead_code, reason = "the last eight are the ledger's and the lookup's: tests ask for them")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Rule {
    /// A `ref_id` that is claimed for one side goes to that side, whatever the mode says.
    FollowClaim,
    /// The other side is looked at before an unchecked claim is sent.
    DuplicateCheck,
    /// While a read route is on `both`, an unchecked claim is checked even if no create is known on new.
    CheckWhileReadsAreBoth,
    /// A lookup that proves neither presence nor absence sends nothing.
    CouldNotLookIsNotAbsent,
    /// A create that was recorded beside the claims makes a legacy create look on new first.
    NativeCreateIsLookedUp,
    /// A claim moves to the other side only after its own side was seen empty.
    ConfirmBeforeMove,
    /// A claim moves only while no other request has an attempt open.
    MoveOnlyWithoutOpenAttempts,
    /// A repeated request begins an attempt of its own before it sends.
    BeginBeforeSend,
    /// A claim that knows its record is not sent again.
    KnownRecordIsNotSent,
    /// A claim that another replica gave its record before the attempt was begun is not sent either.
    BegunClaimIsReadAgain,
    /// The ledger alone answers a duplicate check only for a claim that this very request made.
    OnlyOwnClaimIsAnsweredLocally,
    /// The exception for old configs covers claims of the legacy side alone.
    KnownRecordOnNewIsNeverSent,
    /// Once the old API is gone, a claim on it sends nothing.
    SealedLegacyClaimIsNotSent,
    /// A 409 says that the reference exists, so it never closes an attempt.
    ConflictKeepsAttempt,
    /// An unknown outcome keeps its attempt open.
    UnknownKeepsAttempt,
    /// A refusal on a reused connection is believed only after a lookup, and keeps its attempt open.
    ConfirmRefusalOnReusedConnection,
    /// Where the lookup after such a refusal is refused, only a refusal of the credential in the same way is believed.
    RefusedLookupConfirmsOnlyItsLike,
    /// A success on a reused connection that names no reference counts only after a lookup.
    ConfirmUnnamedSuccessOnReusedConnection,
    /// A success whose record is not the one that was asked for is an unknown outcome.
    ForeignAnswerIsUnknown,
    /// A record that was found but differs from the request is no success.
    FoundMustMatch,
    /// A claim is refused, and may choose its side again, only when every attempt is closed.
    RefusedWhenAllClosed,
    /// An attempt is closed only in the generation and on the side in which it was begun.
    CloseOwnGeneration,
    /// "A create has gone to new" is true when the mark says so or any claim names new.
    AnyClaimOnNewCounts,
    /// While a hold stands, no statement inserts, begins, moves or chooses anew.
    HoldStopsSends,
    /// A side is complete only after a walk that ends later than any create without a claim.
    WalkEndsAfterLastUnclaimedCreate,
    /// A process that starts, and `ledger accept`, withdraw completeness, and a claim reads it as it stands.
    CompletenessIsWithdrawn,
    /// `ledger accept` withdraws the checks of claims without a record.
    ChecksAreWithdrawn,
    /// An empty list counts as absence only if it was asked for after the positive control had passed.
    ListIsAskedAfterControl,
}

impl Rule {
    /// Every rule.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 28] = [
        Self::FollowClaim,
        Self::DuplicateCheck,
        Self::CheckWhileReadsAreBoth,
        Self::CouldNotLookIsNotAbsent,
        Self::NativeCreateIsLookedUp,
        Self::ConfirmBeforeMove,
        Self::MoveOnlyWithoutOpenAttempts,
        Self::BeginBeforeSend,
        Self::KnownRecordIsNotSent,
        Self::BegunClaimIsReadAgain,
        Self::OnlyOwnClaimIsAnsweredLocally,
        Self::KnownRecordOnNewIsNeverSent,
        Self::SealedLegacyClaimIsNotSent,
        Self::ConflictKeepsAttempt,
        Self::UnknownKeepsAttempt,
        Self::ConfirmRefusalOnReusedConnection,
        Self::RefusedLookupConfirmsOnlyItsLike,
        Self::ConfirmUnnamedSuccessOnReusedConnection,
        Self::ForeignAnswerIsUnknown,
        Self::FoundMustMatch,
        Self::RefusedWhenAllClosed,
        Self::CloseOwnGeneration,
        Self::AnyClaimOnNewCounts,
        Self::HoldStopsSends,
        Self::WalkEndsAfterLastUnclaimedCreate,
        Self::CompletenessIsWithdrawn,
        Self::ChecksAreWithdrawn,
        Self::ListIsAskedAfterControl,
    ];
}

/// The rules in force: all of them, unless the exploration of the protocol breaks one (feature `mutants`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    #[cfg(feature = "mutants")]
    broken: u32,
}

impl Rules {
    /// Every rule in force.
    pub const ALL: Self = Self {
        #[cfg(feature = "mutants")]
        broken: 0,
    };

    /// Every rule in force but one.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self { broken: 1 << rule as u32 }
    }

    /// Whether the rule is in force.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub const fn keep(self, rule: Rule) -> bool {
        self.broken & (1 << rule as u32) == 0
    }

    /// Whether the rule is in force.
    #[cfg(not(feature = "mutants"))]
    #[must_use]
    pub const fn keep(self, _: Rule) -> bool {
        true
    }
}
