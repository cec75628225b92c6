//! What a call counts as: the endpoint, which has a limit of its own at the vendor, and the class, which decides the buckets.

use crate::config::{Budget, ENDPOINTS_MAX, EndpointLimit};
use crate::telemetry::metrics::label_set::{Label, LabelSet, label};
use crate::translate::route::Route;
use crate::translate::side::Side;

/// An endpoint with a rate limit of its own at the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `POST` to a collection.
    Create(Side),
    /// `GET` of one record.
    Get(Side),
    /// `GET` of a collection, a lookup by reference included.
    List(Side),
    /// `DELETE` of a conversion; the new API has no such call.
    Cancel,
    Token,
    /// A path that passes through, by its row in `budget.endpoints`, from 0.
    Path(u8),
}

/// The endpoints that do not depend on the config.
const FIXED: [Endpoint; 8] = [
    Endpoint::Create(Side::Legacy),
    Endpoint::Get(Side::Legacy),
    Endpoint::List(Side::Legacy),
    Endpoint::Cancel,
    Endpoint::Create(Side::New),
    Endpoint::Get(Side::New),
    Endpoint::List(Side::New),
    Endpoint::Token,
];

impl Endpoint {
    /// Every endpoint, in display order.
    pub(crate) const ALL: [Self; FIXED.len() + ENDPOINTS_MAX] = {
        let mut all = [Self::Path(0); FIXED.len() + ENDPOINTS_MAX];
        let mut at = 0;
        while at < all.len() {
            all[at] = if at < FIXED.len() { FIXED[at] } else { Self::Path((at - FIXED.len()) as u8) };
            at += 1;
        }
        all
    };

    /// The legacy API's endpoint of a route.
    #[must_use]
    pub(crate) const fn of_legacy(route: Route) -> Self {
        match route {
            Route::Create => Self::Create(Side::Legacy),
            Route::Get => Self::Get(Side::Legacy),
            Route::List => Self::List(Side::Legacy),
            Route::Cancel => Self::Cancel,
        }
    }

    /// The endpoint of a path that passes through; `None` if the vendor's table does not name it.
    #[must_use]
    pub(crate) fn of_path(budget: &Budget, path: &str) -> Option<Self> {
        budget.endpoint_of(path).and_then(|row| u8::try_from(row).ok()).map(Self::Path)
    }

    /// A call on behalf of a client.
    #[must_use]
    pub(crate) const fn client(self) -> Cost {
        Cost { endpoint: self, class: CallClass::Client }
    }

    /// A lookup by reference that is part of a create: the duplicate check, or the resolution of an unknown outcome.
    #[must_use]
    pub(crate) const fn lookup(self) -> Cost {
        Cost { endpoint: self, class: CallClass::Lookup }
    }

    /// A call of the shadow comparison.
    pub(super) const fn shadow(self) -> Cost {
        Cost { endpoint: self, class: CallClass::Shadow }
    }

    /// Its row in `budget.endpoints`.
    pub(super) fn row(self, budget: &Budget) -> Option<&EndpointLimit> {
        match self {
            Self::Path(row) => budget.endpoints.get(usize::from(row)),
            Self::Create(_) | Self::Get(_) | Self::List(_) | Self::Cancel | Self::Token => None,
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Create(Side::Legacy) => 0,
            Self::Get(Side::Legacy) => 1,
            Self::List(Side::Legacy) => 2,
            Self::Cancel => 3,
            Self::Create(Side::New) => 4,
            Self::Get(Side::New) => 5,
            Self::List(Side::New) => 6,
            Self::Token => 7,
            Self::Path(row) => FIXED.len() + row as usize,
        }
    }

    /// The name in logs and spans: `legacy create`, `new list`, `token`.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create(Side::Legacy) => "legacy create",
            Self::Get(Side::Legacy) => "legacy get",
            Self::List(Side::Legacy) => "legacy list",
            Self::Cancel => "legacy cancel",
            Self::Create(Side::New) => "new create",
            Self::Get(Side::New) => "new get",
            Self::List(Side::New) => "new list",
            Self::Token => "token",
            Self::Path(row) => ROW_NAMES[row as usize],
        }
    }

    /// The labels: the side, which the endpoints beside the routes have none of, and the operation or row.
    const fn labels(self) -> (Option<Side>, &'static str) {
        match self {
            Self::Create(side) => (Some(side), "create"),
            Self::Get(side) => (Some(side), "get"),
            Self::List(side) => (Some(side), "list"),
            Self::Cancel => (Some(Side::Legacy), "cancel"),
            Self::Token => (None, "token"),
            Self::Path(row) => (None, ROW_NAMES[row as usize]),
        }
    }
}

/// The names of the rows of `budget.endpoints`, from 1.
const ROW_NAMES: [&str; ENDPOINTS_MAX] = [
    "path_1", "path_2", "path_3", "path_4", "path_5", "path_6", "path_7", "path_8", "path_9", "path_10",
    "path_11", "path_12", "path_13", "path_14", "path_15", "path_16",
];

impl LabelSet for (Endpoint,) {
    const COUNT: usize = Endpoint::ALL.len();

    fn index(self) -> usize {
        self.0.index()
    }

    fn from_index(index: usize) -> Self {
        (Endpoint::ALL[index],)
    }

    fn append_to(self, labels: &mut Vec<Label>) {
        let (side, operation) = self.0.labels();
        labels.extend([("side", side.map_or("none", Side::as_str)), ("endpoint", operation)]);
    }
}

/// Which part of the rate limit a call spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallClass {
    /// Calls for clients' requests, and requests for the proxy's own tokens.
    Client,
    /// Lookups by reference for a create.
    Lookup,
    Shadow,
}
label!(CallClass, "class", Client = "client", Lookup = "lookup", Shadow = "shadow");

/// The endpoint and the class of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(super) endpoint: Endpoint,
    pub(super) class: CallClass,
}

/// The right to send one call. Sending consumes it, so no call is sent twice on one turn.
#[must_use = "dropping a permit wastes a turn"]
#[derive(Debug)]
pub(crate) struct Permit(Cost);

impl Permit {
    pub(super) const fn new(cost: Cost) -> Self {
        Self(cost)
    }

    /// The endpoint that the call counts against.
    #[must_use]
    pub(crate) const fn endpoint(&self) -> Endpoint {
        self.0.endpoint
    }

    pub(in crate::upstream) const fn cost(&self) -> Cost {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_its_own_index_and_labels() {
        let mut seen = Vec::new();
        for (at, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint.index(), at, "{endpoint:?}");
            let mut labels = Vec::new();
            (endpoint,).append_to(&mut labels);
            assert!(!seen.contains(&labels), "{labels:?}");
            seen.push(labels);
        }
        assert_eq!(seen[6], [("side", "new"), ("endpoint", "list")]);
        assert_eq!(seen[7], [("side", "none"), ("endpoint", "token")]);
        assert_eq!(seen[8], [("side", "none"), ("endpoint", "path_1")]);
    }
}
