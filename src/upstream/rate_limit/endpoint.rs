//! What a call counts as: the endpoint, which has a limit of its own at the vendor, and the class, which decides the buckets.

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
}

impl Endpoint {
    /// Every endpoint, in display order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Create(Side::Legacy),
        Self::Get(Side::Legacy),
        Self::List(Side::Legacy),
        Self::Cancel,
        Self::Create(Side::New),
        Self::Get(Side::New),
        Self::List(Side::New),
        Self::Token,
    ];

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
        }
    }

    /// The labels: the side, which the token endpoint has none of, and the operation.
    const fn labels(self) -> (Option<Side>, &'static str) {
        match self {
            Self::Create(side) => (Some(side), "create"),
            Self::Get(side) => (Some(side), "get"),
            Self::List(side) => (Some(side), "list"),
            Self::Cancel => (Some(Side::Legacy), "cancel"),
            Self::Token => (None, "token"),
        }
    }
}

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
    }
}
