//! Input and output of the create protocol: events, effects and decisions. Values without payload.

use super::rules::Rules;
pub use crate::ledger::ClaimState;
use crate::translate::problem::says_insufficient_scopes;
use crate::translate::side::Side;

/// What is fixed for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// The side that the mode chooses for a reference that is not claimed.
    pub target: Side,
    /// Where the read routes look.
    pub reads: Reads,
    /// Whether references are recorded. Without a ledger the request is sent to `target` and its outcome judged.
    pub ledger: bool,
    /// Whether the proxy made the reference for this request, so that nobody else can have used it.
    pub generated: bool,
    /// Whether the body could be read strictly; if not, it can only be forwarded to legacy as it is.
    pub readable: bool,
    /// Readings of the reference, from 1 to [`CANDIDATES_MAX`](super::protocol::CANDIDATES_MAX).
    pub candidates: u8,
    /// The rules in force; all of them in a release.
    pub rules: Rules,
}

/// Where the three read routes look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reads {
    /// All on `legacy` or `shadow`: clients see no record of new.
    LegacyOnly,
    /// At least one on `both`.
    Both,
    /// All on `new`: the old API is gone.
    NewOnly,
}

/// What the ledger says about a reference, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimView {
    /// The only side that a create with this reference may be sent to.
    pub side: Side,
    /// How far the claim has come.
    pub state: ClaimState,
    /// Grows whenever the side is chosen anew.
    pub generation: u32,
    /// Whether the claim knows the id of its record.
    pub has_record: bool,
}

/// What the shell does next. Every effect but `Pause` and `Send` concerns the candidate with the given index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Insert the claim, which begins its first attempt, or read it.
    Claim { candidate: u8, side: Side },
    /// Turn a refused claim of that generation into a new one, with a first attempt.
    ChooseAnew { candidate: u8, side: Side, generation: u32 },
    /// Begin another attempt while the claim is as expected; `checked` also settles it.
    Begin { candidate: u8, expected: ClaimView, checked: bool },
    /// Settle the claim on its side while it is as expected.
    MarkChecked { candidate: u8, expected: ClaimView },
    /// Settle the claim on the other side, with the record found there, while it is as expected. Unless `with_others`, it has no open attempt but
    /// this request's (`own_attempt`).
    MoveClaim { candidate: u8, expected: ClaimView, to: Side, own_attempt: bool, with_others: bool },
    /// Store the id of the record, in that generation and on that side.
    RememberId { candidate: u8, claim: ClaimView },
    /// Close this request's attempt, in that generation and on that side.
    Close { candidate: u8, claim: ClaimView },
    /// Look the reference up on a side.
    Lookup { candidate: u8, side: Side, purpose: Purpose },
    /// Send the POST. It happens once in the life of a request.
    Send { side: Side },
    /// Wait before the next lookup; `number` counts from 0.
    Pause { number: u8 },
}

/// Why a reference is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Does the other side hold it? Only a proof of absence lets the create go on.
    DuplicateCheck,
    /// The other side holds it: does the claim's side hold it as well?
    ConfirmMove,
    /// What does the record look like that the claim knows?
    KnownRecord,
    /// What became of a create whose answer says nothing certain?
    Resolve,
    /// Did a refusal on a reused connection belong to this request?
    ConfirmRefusal,
    /// Which record does a 409 without one mean?
    Existing,
}

/// What an effect came to; [`next`](super::protocol::next) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The claim as it stands, after `Claim` or a `ChooseAnew` that changed it.
    Claimed(ClaimResult),
    /// The claim after a conditional statement; `None`: it was not as expected and nothing changed.
    Changed(Option<ClaimView>),
    /// The ledger did not confirm; the statement may have happened.
    LedgerFailed,
    Lookup(Lookup),
    /// What the answer to the POST proves.
    Answer(CreateAnswer),
    Paused,
    /// No time is left for another lookup.
    TimeIsUp,
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimResult {
    /// The claim, whoever made it.
    pub claim: ClaimView,
    /// Whether this request made it, or chose its side anew.
    pub inserted: bool,
    /// Whether a create may have gone to new: the mark says so or a claim names new.
    pub created_on_new: bool,
    /// Whether a create through the new API's own path used this reference.
    pub native: bool,
    /// Whether the ledger alone proves that the other side does not hold a reference that this request claimed first.
    pub complete: bool,
}

/// What a lookup by reference proved about one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The side holds no record with this reference.
    Absent,
    /// It holds one; `matches`: with the fields that this request asks for.
    /// `made_on`: both sides show this one record, and that side made it.
    Found {
        matches: bool,
        made_on: Option<Side>,
    },
    /// It holds a record that is no conversion.
    OtherKind,
    CouldNot,
    /// Nothing was proved, and the side asks for fewer calls.
    Throttled,
    /// The side does not know the caller.
    Unauthorized,
    /// The side knows the caller, who may not read.
    Forbidden,
}

/// What the answer to the POST proves. `reused`: it came on a reused HTTP/1.1 connection, so it may belong to another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreateAnswer {
    /// A record that matches; `candidate`: the reference that it names (legacy may leave it out).
    Accepted { candidate: Option<u8>, reused: bool },
    /// A success with a record that is not this request's, or with none that can be read.
    Foreign,
    /// A definite refusal with a problem document.
    Refused { reused: bool, refusal: Refusal },
    /// A 409; `candidate`: the reference of the record that it shows.
    Exists { candidate: Option<u8>, reused: bool },
    /// A 409 whose record is no conversion.
    OtherKind,
    /// Anything else: a timeout, a reset, a 5xx.
    Unknown,
    /// The request never left the proxy.
    NotSent,
}

/// What a definite refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 401: the side does not know the caller.
    Unauthorized,
    /// 403 for want of scopes: the side knows the caller, whose token may not do this.
    Forbidden,
    /// This request, or its time.
    Other,
}

impl Refusal {
    /// Of a problem document with that status.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        if status == 401 {
            Self::Unauthorized
        } else if says_insufficient_scopes(status, body) {
            Self::Forbidden
        } else {
            Self::Other
        }
    }
}

impl CreateAnswer {
    /// Whether it leaves open what became of the create.
    pub(super) const fn is_unsure(self) -> bool {
        match self {
            Self::Unknown
            | Self::Foreign
            | Self::Accepted { candidate: None, reused: true }
            | Self::Exists { candidate: None, reused: true } => true,
            Self::Accepted { .. }
            | Self::Refused { .. }
            | Self::Exists { .. }
            | Self::OtherKind
            | Self::NotSent => false,
        }
    }
}

/// The end of a request, from which its answer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreateDecision {
    /// The conversion exists, on that side.
    Accepted { side: Side, evidence: Evidence },
    /// The side refused, and nothing came of this request.
    Refused { side: Side },
    /// A conversion with this reference exists on that side.
    AlreadyExists { side: Side, evidence: Evidence },
    /// The reference is used by a record that is no conversion; nothing was sent.
    UsedByAnotherKind { side: Side },
    /// The reference was used on the old API, which is gone; `known`: the claim knows the record's id.
    UsedOnRetiredApi { known: bool },
    /// The side that had to be looked at does not know the caller; nothing was sent.
    Unauthorized { side: Side },
    /// The caller may not read on the side that had to be looked at; nothing was sent.
    Forbidden { side: Side },
    /// The side that had to be looked at proved nothing; nothing was sent.
    CouldNotLook { side: Side },
    /// The claim knows a record that could not be read now; nothing was sent.
    RecordUnavailable { side: Side },
    /// The ledger did not do its part; nothing was sent.
    LedgerUnavailable,
    /// The reference belongs to new and the body cannot be read strictly; nothing was sent.
    Unreadable,
    /// The request never left the proxy.
    NotSent { side: Side },
    /// The outcome is not known; the claim keeps its attempt open.
    OutcomeUnknown { side: Side },
}

/// Where the record that is shown comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// The answer to the POST.
    Answer,
    /// The last lookup that found one on that side.
    Lookup,
}
