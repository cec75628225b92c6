//! The config: from layers of untyped values to one immutable, typed snapshot.
//!
//! [`load`] merges `default.toml`, the config file, the environment and flags (`layers`); the typed reader (`read`) hands each
//! key to its section (`sections`), and the rules over several sections follow (`rules`). The result is a [`Config`]
//! (`snapshot`), or every problem at once. [`reload`] replaces one snapshot by the next. Nothing here opens a socket, reads the
//! process environment, or implements a mode.
//!
//! A key is named in `config/default.toml` and in its section, nowhere else: the section says how it is parsed, its bounds,
//! and whether a change needs a restart.

pub mod load;
pub mod reload;

pub(crate) mod facts_file;
mod file_read;
pub(crate) mod pem;

mod best_effort;
mod layers;
mod problem;
mod read;
mod reload_history;
mod renamed;
mod restart_required;
mod rules;
mod schema;
mod secret;
mod sections;
mod snapshot;
mod sources;
mod values;
mod watched_files;

pub(crate) use self::best_effort::admin_listen;
pub use self::load::explain;
pub use self::problem::ConfigProblem;
pub use self::read::ConfigRow;
pub use self::reload_history::{
    ConfigChange, PastReload, RELOADS_KEPT, ReloadHistory, ReloadRefusal, ReloadResult,
};
pub(crate) use self::secret::Secret;
pub(crate) use self::sections::auth;
pub(crate) use self::sections::budget::{Budget, ENDPOINTS_MAX, EndpointLimit};
pub use self::sections::canary::Canary;
pub(crate) use self::sections::deprecation::Deprecation;
pub(crate) use self::sections::forwarding::Forwarding;
pub(crate) use self::sections::gate::Override;
pub use self::sections::ignore::{IgnoreRule, PathPattern};
pub(crate) use self::sections::keys;
pub use self::sections::ledger::{LedgerKind, LedgerSection, NativeCreates, TENANT_MAX};
pub(crate) use self::sections::limits::{InFlight, Limits};
pub(crate) use self::sections::log::{Log, LogFormat};
pub(crate) use self::sections::modes::{CreateProgress, CutoverProgress, ReadProgress};
pub use self::sections::modes::{Mode, Modes, Stage, UnknownName};
pub(crate) use self::sections::shadow::{Cover, Go, Shadow};
pub use self::sections::tls::{ClientAuth, Tls, TlsIdentity, TlsVersion};
pub(crate) use self::sections::traces::Traces;
pub(crate) use self::sections::upstream::{HttpVersion, Upstream, Upstreams};
pub use self::snapshot::Config;
pub(crate) use self::values::of_file;
pub(crate) use self::watched_files::FileThread;
