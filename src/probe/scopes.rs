//! Which scopes the token endpoint granted, and under which names.

use super::calls::Calls;
use super::facts_found::FactsFound;
use crate::config::auth::CredentialSet;

const NAMES: [(CredentialSet, &str); 3] = [
    (CredentialSet::Legacy, "scopes_legacy"),
    (CredentialSet::New, "scopes_new"),
    (CredentialSet::Lookup, "scopes_lookup"),
];

/// Reads what came with the tokens of this probe.
pub(super) fn probe(calls: &Calls, found: &mut FactsFound) {
    if calls.has_given_token() {
        return found.unclear("scopes", "the token is that of --token-file");
    }
    for (set, name) in NAMES {
        let Some((asked, granted)) = calls.scopes(set) else { continue };
        let Some(granted) = granted else {
            found.unclear(name, "no answer of the token endpoint names scopes");
            continue;
        };
        let missing: Vec<_> = asked
            .iter()
            .filter(|asked| !granted.split_whitespace().any(|granted| granted == *asked))
            .collect();
        if !missing.is_empty() {
            found.finding(format!("{name}: not granted, although asked for: {missing:?}"));
        }
        found.measured(name, &granted, "the answer of the token endpoint");
    }
}
