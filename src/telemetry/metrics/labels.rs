//! Label values that several metrics share. Values that belong to one part of the program are declared there.

use http::StatusCode;

use crate::config::Mode;
use crate::telemetry::metrics::label_set::{LabelValue, label};
use crate::translate::drift::DriftKind;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// How the proxy handled a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RouteLabel {
    /// On one of the four routes.
    Route(Route),
    /// As a client's request for a token.
    Token,
    /// Passed through to legacy, because it matches no route.
    PassThrough,
}

impl LabelValue for RouteLabel {
    const LABEL: &'static str = "route";
    const ALL: &'static [Self] = &[
        Self::Route(Route::Create),
        Self::Route(Route::Get),
        Self::Route(Route::List),
        Self::Route(Route::Cancel),
        Self::Token,
        Self::PassThrough,
    ];

    fn index(self) -> usize {
        match self {
            Self::Route(route) => route as usize,
            Self::Token => Route::ALL.len(),
            Self::PassThrough => Route::ALL.len() + 1,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Route(route) => route.as_str(),
            Self::Token => "token",
            Self::PassThrough => "pass_through",
        }
    }
}

impl From<Route> for RouteLabel {
    fn from(route: Route) -> Self {
        Self::Route(route)
    }
}

label!(
    DriftKind,
    "kind",
    Member = "member",
    Status = "status",
    ProblemType = "problem_type",
    ContentType = "content_type",
);
label!(Side, "side", Legacy = "legacy", New = "new");
label!(
    Mode,
    "mode",
    Legacy = "legacy",
    Shadow = "shadow",
    Hold = "hold",
    Canary = "canary",
    Both = "both",
    New = "new",
);

/// The class of the status that the client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusClass {
    Informational,
    Success,
    Redirection,
    ClientError,
    /// 5xx, and every status outside the five classes.
    ServerError,
    /// The client disconnected before the response.
    ClientClosed,
}
label!(
    StatusClass,
    "status_class",
    Informational = "1xx",
    Success = "2xx",
    Redirection = "3xx",
    ClientError = "4xx",
    ServerError = "5xx",
    ClientClosed = "client_closed",
);

impl StatusClass {
    /// `None`: the client disconnected before the response.
    #[must_use]
    pub(crate) const fn of(status: Option<u16>) -> Self {
        match status {
            None => Self::ClientClosed,
            Some(100..=199) => Self::Informational,
            Some(200..=299) => Self::Success,
            Some(300..=399) => Self::Redirection,
            Some(400..=499) => Self::ClientError,
            Some(_) => Self::ServerError,
        }
    }
}

/// The outcome of a call to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamOutcome {
    Informational,
    Success,
    Redirection,
    ClientError,
    ServerError,
    /// No connection: nothing was sent.
    NotSent,
    /// The request may have been sent, and the response is missing or incomplete.
    Broken,
    TimedOut,
    /// The proxy's own token was missing or refused.
    NoToken,
}
label!(
    UpstreamOutcome,
    "outcome",
    Informational = "1xx",
    Success = "2xx",
    Redirection = "3xx",
    ClientError = "4xx",
    ServerError = "5xx",
    NotSent = "not_sent",
    Broken = "broken",
    TimedOut = "timed_out",
    NoToken = "no_token",
);

impl UpstreamOutcome {
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match StatusClass::of(Some(status.as_u16())) {
            StatusClass::Informational => Self::Informational,
            StatusClass::Success => Self::Success,
            StatusClass::Redirection => Self::Redirection,
            StatusClass::ClientError => Self::ClientError,
            StatusClass::ServerError | StatusClass::ClientClosed => Self::ServerError,
        }
    }
}

/// The first outcome of a create that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreateOutcome {
    Accepted,
    Refused,
    /// No connection: nothing was sent.
    NotSent,
    /// The request may have been sent, and no response says whether it took effect.
    Unknown,
}
label!(
    CreateOutcome,
    "outcome",
    Accepted = "accepted",
    Refused = "refused",
    NotSent = "not_sent",
    Unknown = "unknown",
);

impl CreateOutcome {
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::REQUEST_TIMEOUT => Self::Unknown,
            status if status.is_success() => Self::Accepted,
            status if status.is_client_error() => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

/// The result of a duplicate check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DuplicateCheckResult {
    /// The other side has no conversion with this `ref_id`: the create may be sent.
    Absent,
    /// The ledger knows every reference of the other side, so it was not asked: the create may be sent.
    Local,
    /// The other side has one: nothing is sent.
    Found,
    /// The credentials have no read scope.
    Forbidden,
    /// The other side answered 429.
    Throttled,
    Failed,
}
label!(
    DuplicateCheckResult,
    "result",
    Absent = "absent",
    Local = "local",
    Found = "found",
    Forbidden = "forbidden",
    Throttled = "throttled",
    Failed = "failed",
);

/// What the lookup after a create without a conclusive response found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The create had taken effect.
    Found,
    /// Another conversion has the `ref_id`.
    Conflict,
    /// Nothing conclusive before the deadline: the client got 504.
    Unresolved,
}
label!(Resolution, "resolution", Found = "found", Conflict = "conflict", Unresolved = "unresolved");

/// The result of assembling a list page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageResult {
    /// As many rows as requested, or the end of the list.
    Complete,
    /// Fewer rows because of `list.upstream_calls_max`, with a cursor for the rest.
    Truncated,
    /// No row after `list.upstream_calls_max` calls: an error.
    Exhausted,
    /// An upstream refused or failed.
    Failed,
}
label!(
    PageResult,
    "result",
    Complete = "complete",
    Truncated = "truncated",
    Exhausted = "exhausted",
    Failed = "failed"
);

/// What found one reference on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FoundBy {
    DuplicateCheck,
    List,
}
label!(FoundBy, "found_by", DuplicateCheck = "duplicate_check", List = "list");

/// Why a row from an upstream is not on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// The legacy API could not have returned it.
    NeverConversion,
    /// It does not match the filter, or an earlier page had it.
    Filtered,
    /// It is the other side's record once more.
    Mirrored,
}
label!(
    DropReason,
    "reason",
    NeverConversion = "never_conversion",
    Filtered = "filtered",
    Mirrored = "mirrored"
);
