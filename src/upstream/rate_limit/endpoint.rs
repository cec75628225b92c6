//! What a call is counted as: the vendor's endpoints, each with a limit of its own, and who pays. Values only.

use crate::telemetry::metrics::label_set::{Label, LabelSet, label};
use crate::translate::route::Route;
use crate::translate::side::Side;

/// What the vendor counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Making a record.
    Create(Side),
    /// One record by its id.
    Get(Side),
    /// A page of a list.
    List(Side),
    /// Stopping a conversion; the new API has no such call.
    Cancel,
    /// The token endpoint.
    Token,
}

impl Endpoint {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::Create(Side::Legacy),
        Self::Get(Side::Legacy),
        Self::List(Side::Legacy),
        Self::Cancel,
        Self::Create(Side::New),
        Self::Get(Side::New),
        Self::List(Side::New),
        Self::Token,
    ];

    /// The endpoint of a route, on the old API.
    #[must_use]
    pub const fn of_legacy(route: Route) -> Self {
        match route {
            Route::Create => Self::Create(Side::Legacy),
            Route::Get => Self::Get(Side::Legacy),
            Route::List => Self::List(Side::Legacy),
            Route::Cancel => Self::Cancel,
        }
    }

    /// A call on behalf of a client.
    #[must_use]
    pub const fn primary(self) -> Cost {
        Cost { endpoint: self, payer: CallClass::Client }
    }

    /// A look of the fence or the resolver: part of a create.
    #[must_use]
    pub const fn lookup(self) -> Cost {
        Cost { endpoint: self, payer: CallClass::Fence }
    }

    /// A call of a comparison.
    pub(super) const fn shadow(self) -> Cost {
        Cost { endpoint: self, payer: CallClass::Shadow }
    }

    pub(super) const fn at(self) -> usize {
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

    /// Its name: `legacy create`, `new list`, `token`.
    #[must_use]
    pub const fn name(self) -> &'static str {
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

    /// Whose it is, and what it does there; the token endpoint is neither side's.
    const fn parts(self) -> (Option<Side>, &'static str) {
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
        self.0.at()
    }

    fn from_index(index: usize) -> Self {
        (Endpoint::ALL[index],)
    }

    fn append_to(self, labels: &mut Vec<Label>) {
        let (side, does) = self.0.parts();
        labels.extend([("side", side.map_or("none", Side::as_str)), ("endpoint", does)]);
    }
}

/// On whose account a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallClass {
    /// What clients ask for; tokens of the proxy's own as well.
    Client,
    /// The fence and the resolver, for a create.
    Fence,
    /// Comparisons.
    Shadow,
}
label!(CallClass, "class", Client = "client", Fence = "lookup", Shadow = "shadow");

/// One call, and who pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub(super) endpoint: Endpoint,
    pub(super) payer: CallClass,
}

impl Cost {
    pub(super) fn is_of_fence(self) -> bool {
        self.payer == CallClass::Fence
    }
}

/// One call that is paid for. It is used up by sending, and there is no second one like it.
#[must_use = "the call is paid for"]
#[derive(Debug)]
pub struct Permit(Cost);

impl Permit {
    pub(super) const fn new(paid: Cost) -> Self {
        Self(paid)
    }

    /// What it is for.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
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
    fn every_endpoint_has_a_place_and_labels_of_its_own() {
        let mut told = Vec::new();
        for (at, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint.at(), at, "{endpoint:?}");
            let mut labels = Vec::new();
            (endpoint,).append_to(&mut labels);
            assert!(!told.contains(&labels), "{labels:?}");
            told.push(labels);
        }
        assert_eq!(told[6], [("side", "new"), ("endpoint", "list")]);
        assert_eq!(told[7], [("side", "none"), ("endpoint", "token")]);
    }
}
