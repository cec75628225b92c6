//! The vendor's paths, relative to the base URL of their API.

use super::side::Side;

/// The namespace of the legacy API's conversions. A write under it that no route takes could be a create.
pub(crate) const CONVERSION_NAMESPACE: &str = "/conversion";
/// The legacy API's collection of conversions.
pub(crate) const CONVERSIONS: &str = "/conversion/stablecoins";
/// The new API's collection of orchestrations.
pub(crate) const ORCHESTRATIONS: &str = "/orchestration/orchestrations";

/// Where the vendor's sandbox takes test funds for a profile, which is an escaped segment.
pub(crate) fn sandbox_deposit(profile: &str) -> String {
    format!("/sandbox/profiles/{profile}/deposit")
}

/// The collection of a side.
pub(crate) const fn collection(side: Side) -> &'static str {
    match side {
        Side::Legacy => CONVERSIONS,
        Side::New => ORCHESTRATIONS,
    }
}
