//! The values that labels have. All are known in advance, so that no client can make a new series.

use http::StatusCode;

use crate::config::Mode;
use crate::telemetry::metrics::registry::{Name, label};
use crate::translate::route::Route;
use crate::translate::side::Side;

/// How the proxy handled a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteLabel {
    /// On one of the four routes.
    Route(Route),
    /// As a client's request for a token.
    Token,
    /// Passed through to legacy.
    PassThrough,
}

impl Name for RouteLabel {
    const LABEL: &'static str = "route";
    const ALL: &'static [Self] = &[
        Self::Route(Route::Create),
        Self::Route(Route::Get),
        Self::Route(Route::List),
        Self::Route(Route::Cancel),
        Self::Token,
        Self::PassThrough,
    ];

    fn place(self) -> usize {
        match self {
            Self::Route(route) => route as usize,
            Self::Token => Route::ALL.len(),
            Self::PassThrough => Route::ALL.len() + 1,
        }
    }

    fn text(self) -> &'static str {
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

/// What the client was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// 1xx
    Informational,
    /// 2xx
    Success,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx, and whatever else there may be.
    ServerError,
    /// The client left before its answer.
    Gone,
}
label!(
    StatusClass,
    "status_class",
    Informational = "1xx",
    Success = "2xx",
    Redirection = "3xx",
    ClientError = "4xx",
    ServerError = "5xx",
    Gone = "gone",
);

impl StatusClass {
    /// The class of a status; `None`: there was none.
    #[must_use]
    pub const fn of(status: Option<u16>) -> Self {
        match status {
            None => Self::Gone,
            Some(100..=199) => Self::Informational,
            Some(200..=299) => Self::Success,
            Some(300..=399) => Self::Redirection,
            Some(400..=499) => Self::ClientError,
            Some(_) => Self::ServerError,
        }
    }
}

/// What came of a call to a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamOutcome {
    /// 1xx
    Informational,
    /// 2xx
    Success,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx
    ServerError,
    /// No connection: nothing was sent.
    NotSent,
    /// It was sent, or may have been, and no whole answer came.
    Broken,
    /// Too late.
    TimedOut,
    /// The proxy's own token was missing, or refused.
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
    /// What an answer's status says.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match StatusClass::of(Some(status.as_u16())) {
            StatusClass::Informational => Self::Informational,
            StatusClass::Success => Self::Success,
            StatusClass::Redirection => Self::Redirection,
            StatusClass::ClientError => Self::ClientError,
            StatusClass::ServerError | StatusClass::Gone => Self::ServerError,
        }
    }
}

/// What came of sending a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The side took it.
    Accepted,
    /// The side said no.
    Refused,
    /// It never left.
    NotSent,
    /// It left, and what became of it was not told.
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
    /// What an answer's status says.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::REQUEST_TIMEOUT => Self::Unknown,
            status if status.is_success() => Self::Accepted,
            status if status.is_client_error() => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

/// What a look at the other side came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateCheckResult {
    /// There is no such conversion: the create may be sent.
    Absent,
    /// There is one: nothing was sent.
    Found,
    /// The credentials may not look.
    Forbidden,
    /// The side said 429.
    Throttled,
    /// It could not be found out.
    Failed,
}
label!(
    DuplicateCheckResult,
    "result",
    Absent = "absent",
    Found = "found",
    Forbidden = "forbidden",
    Throttled = "throttled",
    Failed = "failed",
);

/// What became of a create with no certain outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It had taken effect.
    Found,
    /// Another conversion has its reference.
    Conflict,
    /// Nothing was found in time: the client was answered 504.
    Unresolved,
}
label!(Resolution, "resolution", Found = "found", Conflict = "conflict", Unresolved = "unresolved");

/// How putting a page together ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// As long as it was to be.
    Whole,
    /// Short, because of `list.upstream_calls_max`; with a cursor.
    Cut,
    /// Empty when the calls were used up: an error.
    Exhausted,
    /// A side refused, or failed.
    Failed,
}
label!(PageEnd, "result", Whole = "whole", Cut = "cut", Exhausted = "exhausted", Failed = "failed");

/// Why a row was left out of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The old API could not have made it.
    NeverConversion,
    /// The client did not ask for it, or has got it already.
    Filtered,
}
label!(DropReason, "reason", NeverConversion = "never_conversion", Filtered = "filtered");
