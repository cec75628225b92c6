//! What may happen. An event names what it is about, so that a trace from which others were left out can still be played: what does not
//! apply any more is left out as well.

use crate::config::Stage;
use crate::translate::side::Side;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorldEvent {
    Start {
        request: u32,
        replica: usize,
        reference: usize,
        body: BodyKind,
    },
    /// A request's next effect is performed.
    Go {
        request: u32,
        how: How,
    },
    /// A POST that was under way takes effect, or never does.
    Post {
        number: u32,
        takes_effect: bool,
    },
    /// A statement that was not confirmed is written, or never is.
    LateStatement {
        written: bool,
    },
    /// `page_from`: that side answers an HTML 404.
    Get {
        replica: usize,
        record: usize,
        page_from: Option<Side>,
    },
    Cancel {
        replica: usize,
        record: usize,
    },
    /// The next page of a listing, or the first one of a new listing.
    Page {
        listing: u8,
        replica: usize,
        limit: u8,
        ascending: bool,
    },
    /// From now on a side's reads do not show what is made.
    Lag(Side),
    CatchUp(Side),
    Stage {
        replica: usize,
        stage: Stage,
    },
    /// A process is killed and started again.
    Crash {
        replica: usize,
    },
    /// The ledger goes back to before its last writes.
    Restore {
        writes: usize,
    },
    DeleteRows {
        reference: usize,
    },
    OpenNew,
    Accept,
    Trip,
    TripReset,
    Release {
        reference: usize,
    },
    /// A create through the new API's own path.
    Native {
        reference: usize,
    },
    /// The replica without the ledger sends a create to legacy.
    Unclaimed {
        reference: usize,
    },
    StartWithLedger,
    Walk,
    WalkEnds,
    /// New shows a status that this build does not know.
    UnknownStatus {
        record: usize,
    },
    /// Time passes without anything else. What is under way takes effect first, or never does.
    Wait {
        minutes: u16,
        takes_effect: bool,
    },
    /// Faults end, everything becomes visible, and each reference is retried until its answer is final.
    Settle,
}

/// What a create asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Usual,
    OtherAmount,
    /// Sent past the proxy.
    Native,
}

impl BodyKind {
    pub(super) const fn amount(self) -> &'static str {
        match self {
            Self::Usual => "100",
            Self::OtherAmount => "250.5",
            Self::Native => "77",
        }
    }
}

/// How an effect goes. A fault that the effect cannot have is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Usual,
    Statement(StatementFault),
    Lookup(LookupFault),
    Send(SendFault),
    /// The time of the request is over.
    TimeIsUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatementFault {
    NotWritten,
    Unconfirmed,
    Late,
    /// The id of a record cannot be stored.
    WithoutId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupFault {
    Unavailable,
    /// An empty list that says that there is more.
    Partial,
    Forbidden,
    Throttled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendFault {
    NotSent,
    /// The vendor refuses, in a problem document.
    Refused,
    /// No answer arrives.
    Lost(PostOutcome),
    /// An HTML page of something in between, with this status.
    Gateway(u16, PostOutcome),
    /// A success that shows another record.
    Foreign(PostOutcome),
    /// A 409 without the record.
    BareConflict,
    /// Another request's refusal, on a reused connection.
    StrayRefusal(PostOutcome),
    StrayConflict(PostOutcome),
    /// Another request's success that names no reference.
    StraySuccess(PostOutcome),
}

/// What becomes of a POST whose answer says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostOutcome {
    Never,
    Taken,
    Later,
}
