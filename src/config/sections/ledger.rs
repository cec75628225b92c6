//! `[ledger]`

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::read::KeyReader;
use crate::config::secret::Secret;
use crate::config::values::MILLISECOND;
use crate::translate::side::Side;

pub(crate) const URL: &str = "ledger.url";
pub(crate) const URL_FILE: &str = "ledger.url_file";
pub(crate) const TENANT: &str = "ledger.tenant";
pub(crate) const ID: &str = "ledger.id";
pub(crate) const NEW_IN_USE: &str = "ledger.new_in_use";
pub(crate) const NATIVE_CREATES: &str = "ledger.native_creates";
pub(crate) const ONLY_DOOR: &str = "ledger.only_door";

/// Maximum length of a tenant, in bytes.
pub const TENANT_MAX: usize = 256;
/// Stands for a url that is not readable here: the kind that any number of replicas can share.
const PLACEHOLDER: &str = "postgres://not-readable-here";

/// `[ledger]`, when a ledger is configured.
#[derive(Clone, Debug)]
pub struct LedgerSection {
    /// Its url; may hold a password. The path of a SQLite file is absolute if a config file gave it.
    pub url: Secret,
    /// The kind that the url's scheme names.
    pub kind: LedgerKind,
    /// Namespace of the `ref_id`s.
    pub(crate) tenant: String,
    /// Timeout of one ledger operation.
    pub(crate) timeout: Duration,
    /// Maximum number of connections of this process.
    pub(crate) pool_max: u32,
    /// What happens to creates on the new API's own path.
    pub(crate) native_creates: NativeCreates,
    /// Id of the ledger that is meant; `None` = any, and no create may go to the new API.
    pub(crate) id: Option<String>,
    /// Whether creates may have gone to the new API. The ledger's mark must say the same.
    pub(crate) new_in_use: bool,
    /// Whether all conversions of the credentials are made through this proxy.
    pub(crate) only_door: bool,
    /// Whether a commit survives every fail-over of the database.
    pub(crate) failover_keeps_commits: bool,
}

/// What happens to creates on the new API's own path that pass through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeCreates {
    /// Their references are recorded beside the claims.
    Record,
    /// They are passed through, and nothing is recorded.
    Pass,
}

impl NativeCreates {
    const ALL: [Self; 2] = [Self::Record, Self::Pass];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Pass => "pass",
        }
    }
}

/// The kind of database that holds the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    /// A file. One process uses it: the lock file keeps a second one out.
    Sqlite,
    /// A server, which several replicas share.
    Postgres,
}

impl LedgerKind {
    /// The kind of a ledger url. Errors never repeat the url.
    fn of_url(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let location = rest.trim_start_matches('/');
        match scheme {
            "sqlite" if rest.contains(":memory:") || rest.contains("mode=memory") => {
                Err("is an in-memory ledger, which would lose every claim when the process ends".into())
            }
            // Parameters such as `mode=ro` or `immutable` would change what a commit means.
            "sqlite" if rest.contains(['?', '#']) => {
                Err("has parameters, and a sqlite ledger takes none".into())
            }
            "sqlite" if !location.is_empty() => Ok(Self::Sqlite),
            "postgres" | "postgresql" if rest.starts_with("//") && !location.is_empty() => Ok(Self::Postgres),
            "sqlite" | "postgres" | "postgresql" => Err("has no path or host".into()),
            _ => Err("is neither sqlite:PATH nor postgres://HOST/DATABASE".into()),
        }
    }
}

impl LedgerSection {
    /// Whether the url differs from another one in nothing but the user and the password of a PostgreSQL database: then it is the same
    /// ledger, and new connections may use them at once.
    pub(crate) fn is_same_database(&self, other: &Self) -> bool {
        let address = address_of(self.url.reveal());
        self.kind == LedgerKind::Postgres && address.is_some() && address == address_of(other.url.reveal())
    }

    /// Whether the ledger may know every reference of a side: no other client creates there.
    pub(crate) fn may_be_complete(&self, side: Side) -> bool {
        let is_recorded = match side {
            Side::Legacy => true,
            Side::New => self.native_creates == NativeCreates::Record,
        };
        self.only_door && is_recorded
    }

    /// Whether the url holds a password, in its user part or as a parameter.
    fn has_password(&self) -> bool {
        let url = self.url.reveal();
        let user =
            url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map_or("", |(user, _)| user);
        let query = url.split_once('?').map_or("", |(_, query)| query);
        // Decoded: `%70assword` names the same parameter.
        let in_query = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "password");
        self.kind == LedgerKind::Postgres && (user.contains(':') || in_query)
    }
}

/// A PostgreSQL url without user and password. `None` without a database name: it would be the user's.
fn address_of(url: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (_, rest) = url.split_once("://")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let query = form_urlencoded::parse(query.as_bytes()).into_owned();
    // Everything but user and password can lead to another server or database.
    let query: Vec<_> = query.filter(|(name, _)| name != "user" && name != "password").collect();
    let has_database = place.split_once('/').is_some_and(|(_, database)| !database.is_empty())
        || query.iter().any(|(name, _)| name == "dbname");
    has_database.then_some((place, query))
}

/// The inner value is `None` when no ledger is configured.
pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Option<LedgerSection>> {
    let url = keys.on_restart(URL).secret(URL_FILE, PLACEHOLDER, LedgerKind::of_url);
    let tenant = keys.on_restart(TENANT).text();
    let timeout = keys.on_restart("ledger.timeout").duration(MILLISECOND);
    let pool_max = keys.on_restart("ledger.pool_max").number(1..=1000);
    let native_creates = keys.on_reload(NATIVE_CREATES).choice(NativeCreates::ALL, NativeCreates::as_str);
    if tenant.as_ref().is_some_and(|tenant| tenant.trim() != tenant || tenant.is_empty()) {
        keys.problem(TENANT, "is empty, or has blanks around it");
    }
    if tenant.as_ref().is_some_and(|tenant| tenant.len() > TENANT_MAX || tenant.contains('\0')) {
        keys.problem(TENANT, format!("is longer than {TENANT_MAX} bytes, or has a NUL"));
    }
    let id = keys.on_reload(ID).optional(id);
    let new_in_use = keys.on_reload(NEW_IN_USE).boolean();
    let only_door = keys.on_restart(ONLY_DOOR).boolean();
    let failover_keeps_commits = keys.on_restart("ledger.failover_keeps_commits").boolean();
    let Some((url, kind)) = url? else {
        let named = matches!(id, Some(Some(_))) || [new_in_use, only_door].contains(&Some(true));
        // A url that is missing by a slip would let creates run without their claims.
        if named && keys.complete {
            keys.problem(URL, "is not set, and other keys of [ledger] say that there is a ledger");
        }
        return Some(None);
    };
    let url = located(keys, url, kind);
    let ledger = LedgerSection {
        url,
        kind,
        tenant: tenant?,
        timeout: timeout?,
        pool_max: pool_max?,
        native_creates: native_creates?,
        id: id?,
        new_in_use: new_in_use?,
        only_door: only_door?,
        failover_keeps_commits: failover_keeps_commits?,
    };
    if ledger.has_password() {
        keys.refuse_flag(URL, "holds a password");
    }
    Some(Some(ledger))
}

/// An id as `ledger init` prints it, or as an operator chose it.
fn id(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match text.len() {
        1..=64 if text.bytes().all(allowed) => Ok(text.to_owned()),
        _ => {
            Err("is not 1 to 64 letters, digits, `-`, `_` or `.`, as `conversion-shim ledger init` prints it"
                .into())
        }
    }
}

/// The url with an absolute path, if a file gave a relative one: started from another directory, the process would find another
/// file, or none, and make a ledger without claims.
fn located(keys: &mut KeyReader, url: Secret, kind: LedgerKind) -> Secret {
    let source = keys.source(URL);
    let Some(folder) = source.strip_prefix("file ").and_then(|file| Path::new(file).parent()) else {
        return url;
    };
    let Some(path) = url.reveal().strip_prefix("sqlite:").filter(|_| kind == LedgerKind::Sqlite) else {
        return url;
    };
    let relative = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
    // From the folder of the file that gives the path: from the working directory, a start elsewhere would make an empty ledger.
    let Ok(path) = std::path::absolute(folder.join(&relative)) else { return url };
    if relative.is_relative() && !path.exists() && relative.exists() {
        keys.problem(
            URL,
            format!(
                "a relative path counts from the folder of the file that gives it: {} does not exist, and {} in the working directory \
                 does; move that ledger there with its -wal and -shm files, or write its absolute path",
                path.display(),
                relative.display(),
            ),
        );
    }
    Secret::new(format!("sqlite:{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_the_url_is_the_kind_of_the_ledger() {
        assert_eq!(LedgerKind::of_url("sqlite:/var/lib/l.db"), Ok(LedgerKind::Sqlite));
        assert_eq!(LedgerKind::of_url("sqlite:l.db"), Ok(LedgerKind::Sqlite));
        assert_eq!(LedgerKind::of_url("postgres://u:p@h/d"), Ok(LedgerKind::Postgres));
        assert_eq!(LedgerKind::of_url("postgresql:///d?host=/run/pg"), Ok(LedgerKind::Postgres));
    }

    #[test]
    fn only_user_and_password_may_differ_in_the_same_database() {
        let ledger = |url: &str| {
            let environment = vec![("SHIM_LEDGER__URL".to_owned(), url.to_owned())];
            let sources = crate::config::load::Sources { environment, ..Default::default() };
            crate::config::load::load(&sources).unwrap().config.ledger.clone().unwrap()
        };
        let first = ledger("postgres://u:p@h:5432/d?sslmode=require");
        for same in [
            "postgres://v:q@h:5432/d?sslmode=require",
            "postgres://h:5432/d?sslmode=require&password=x&user=y",
        ] {
            assert!(first.is_same_database(&ledger(same)), "{same}");
        }
        for other in [
            "postgres://u:p@i:5432/d?sslmode=require",
            "postgres://u:p@h:5432/e?sslmode=require",
            "postgres://u:p@h:5432/d",
            "sqlite:d",
        ] {
            assert!(!first.is_same_database(&ledger(other)), "{other}");
        }
        let by_user = ledger("postgres://u:p@h");
        assert!(!by_user.is_same_database(&ledger("postgres://v:p@h")), "the database is the user's");
    }

    #[test]
    fn an_unusable_url_is_refused_without_repeating_it() {
        let urls = ["sqlite:", "sqlite::memory:", "sqlite://hunter2?mode=memory", "postgres:", "postgres://"];
        for url in urls.into_iter().chain(["mysql://u:hunter2@h/d", "hunter2", "sqlite:?x=1"]) {
            let error = LedgerKind::of_url(url).expect_err(url);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
