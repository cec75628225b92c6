//! What a request asks for, by method and path.

use http::Method;
use serde::Deserialize;

use crate::translate::side::Side;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Create a conversion or an orchestration.
    Create,
    /// Read one by its id.
    Get,
    /// Read a page of the records.
    List,
    /// Cancel a conversion (legacy only).
    Cancel,
    /// Fetch an access token; has no side.
    Token,
    /// Anything else; has no side.
    Other,
}

impl Operation {
    /// The name used in `/sandbox/faults` and `/sandbox/inspector`.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Cancel => "cancel",
            Self::Token => "token",
            Self::Other => "other",
        }
    }
}

/// A request's side (none for tokens and unknown paths) and operation.
pub(super) type OperationTarget = (Option<Side>, Operation);

/// The target of a method and path, and the record id that the path ends in.
pub(super) fn classify<'path>(method: &Method, path: &'path str) -> (OperationTarget, Option<&'path str>) {
    const LEGACY: &str = "/v2/conversion/stablecoins";
    const NEW: &str = "/v2/orchestration/orchestrations";
    let unknown = ((None, Operation::Other), None);
    if path == "/oauth2/token" && method == Method::POST {
        return ((None, Operation::Token), None);
    }
    let (side, rest) = match (path.strip_prefix(LEGACY), path.strip_prefix(NEW)) {
        (Some(rest), _) => (Side::Legacy, rest),
        (_, Some(rest)) => (Side::New, rest),
        _ => return unknown,
    };
    let id = rest.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/'));
    let operation = match (method.as_str(), id, side) {
        ("POST", None, _) if rest.is_empty() => Operation::Create,
        ("GET", None, _) if rest.is_empty() => Operation::List,
        ("GET", Some(_), _) => Operation::Get,
        ("DELETE", Some(_), Side::Legacy) => Operation::Cancel,
        _ => return unknown,
    };
    ((Some(side), operation), id)
}
