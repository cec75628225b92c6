//! How the config and the ledger contradict each other.

use crate::config::keys;

/// A contradiction between the config and the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The config names another ledger.
    #[error(
        "is {configured}, and the ledger at {} has {}: restore the ledger that the config means; `conversion-shim ledger init` \
         gives an id to a ledger that has none",
        keys::LEDGER_URL,
        found.as_ref().map_or_else(|| "no id".to_owned(), |id| format!("the id {id}"))
    )]
    OtherLedger {
        /// `ledger.id`.
        configured: String,
        /// The id in the ledger.
        found: Option<String>,
    },
    /// Creates may have gone to the new API, and the config would take any ledger.
    #[error(
        "is not set, and creates may have gone to the new API with this ledger{}: a lost or exchanged one would not be noticed",
        found.as_ref().map_or_else(String::new, |id| format!(", whose id is {id}"))
    )]
    NoId {
        /// The id in the ledger.
        found: Option<String>,
    },
    /// The config says that creates may have gone to the new API, and the ledger does not.
    #[error(
        "is true, and this ledger was never opened for creates on the new API: if creates went there, it is not the ledger that recorded \
         them, so restore that one; before the first of them, run `conversion-shim ledger open-new`"
    )]
    NotOpened,
    /// The ledger says that creates may have gone to the new API, and the config does not.
    #[error("is false, and creates may have gone to the new API with this ledger: set it to true")]
    Opened,
    /// The ledger belongs to other upstream hosts.
    #[error(
        "differs from what the ledger is for: {recorded} on record, {configured} configured; use the ledger of these hosts, or \
         `conversion-shim ledger accept --why` if the hosts were renamed"
    )]
    OtherHosts {
        /// The hosts on record.
        recorded: String,
        /// The hosts of the config.
        configured: String,
    },
    /// Creates may have gone to the new API, and no claim of this tenant is known.
    #[error(
        "is {0}, which the ledger does not know, and creates may have gone to the new API: correct it, or `conversion-shim ledger \
         accept --why` adds the tenant"
    )]
    UnknownTenant(String),
}

impl Mismatch {
    /// The config key that contradicts the ledger.
    #[must_use]
    pub fn config_key(&self) -> &'static str {
        match self {
            Self::OtherLedger { .. } | Self::NoId { .. } => keys::LEDGER_ID,
            Self::NotOpened | Self::Opened => keys::LEDGER_NEW_IN_USE,
            Self::OtherHosts { recorded, configured } => {
                let legacy = |hosts: &'_ str| hosts.split(' ').next().unwrap_or_default().to_owned();
                let is_same = is_same_host(&legacy(recorded), &legacy(configured));
                if is_same { keys::NEW_URL } else { keys::LEGACY_URL }
            }
            Self::UnknownTenant(_) => keys::LEDGER_TENANT,
        }
    }
}

/// Whether the hosts on record are those of the config.
pub(super) fn are_same_hosts(recorded: &str, configured: &str) -> bool {
    let (recorded, configured): (Vec<_>, Vec<_>) =
        (recorded.split(' ').collect(), configured.split(' ').collect());
    recorded.len() == configured.len()
        && recorded.iter().zip(configured).all(|(recorded, configured)| is_same_host(recorded, configured))
}

/// A host that was recorded without a port, as ledgers did at first, matches any.
fn is_same_host(recorded: &str, configured: &str) -> bool {
    let without_port = |host: &str| {
        let (name, port) = host.rsplit_once(':')?;
        port.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.to_owned())
    };
    recorded == configured || without_port(configured).is_some_and(|name| name == recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_on_record_counts_and_none_matches_any() {
        let same = |recorded: &str, configured: &str| are_same_hosts(recorded, configured);
        assert!(same("legacy=a:443 new=b:80", "legacy=a:443 new=b:80"));
        assert!(same("legacy=a new=b", "legacy=a:443 new=b:80"));
        assert!(same("legacy=a new=b:80", "legacy=a:1 new=b:80"));
        assert!(same("legacy=[::1] new=b", "legacy=[::1]:80 new=b:80"));
        for other in [
            "legacy=a:444 new=b:80",
            "legacy=a:443 new=b",
            "legacy=b:443 new=b:80",
            "legacy=a:443",
            "legacy=[::1]:443 new=b:80",
        ] {
            assert!(!same("legacy=a:443 new=b:80", other), "{other}");
        }
        assert!(!same("legacy=[::2] new=b", "legacy=[::1]:80 new=b:80"));
    }
}
