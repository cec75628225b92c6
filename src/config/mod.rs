//! The config as meant: what the rest of the proxy reads, one immutable snapshot at a time.
//!
//! It is read twice. As written ([`load`], `written`): layers of loose values, each knowing where it came from. As meant
//! (`check`, `sections`, `refusals`): the types here. All problems of a config are told at once. [`reload`] swaps one snapshot for the
//! next. Nothing here opens a socket, reads the process's environment or knows what a mode does.

pub mod auth;
pub mod load;
pub mod reload;

mod best_effort;
mod budget;
mod check;
mod deprecation;
mod ignore;
mod modes;
mod parse;
mod problem;
mod read;
mod reload_history;
mod renamed;
mod restart_required;
mod rules;
mod schema;
mod secret;
mod settings;
mod shadow;
mod tls;
mod traces;
mod upstream;
mod values;

use std::net::SocketAddr;

pub use self::auth::Auth;
pub use self::best_effort::admin_listen;
pub use self::budget::Budget;
pub use self::check::explain;
pub use self::deprecation::{Deprecation, Usage};
pub use self::ignore::{IgnoreRule, PathPattern};
pub use self::modes::{Mode, Modes, Stage, UnknownName};
pub use self::problem::Problem;
pub use self::read::Row;
pub use self::reload_history::{Change, PastReload, RELOADS_KEPT, Refused, Reloaded, Reloads};
pub use self::secret::Secret;
pub use self::settings::{
    Admin, Canary, Forwarding, Hold, InFlight, Ledger, LedgerKind, Limits, List, Log, LogFormat, Reload,
    Sandbox, Server, Timeouts, Tls,
};
pub use self::shadow::{Go, Sample, Shadow};
pub use self::tls::{ClientAuth, Identity, TlsVersion};
pub use self::traces::Traces;
pub use self::upstream::{Upstream, Upstreams};

/// A whole config, checked. `config/default.toml` explains every key.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// The path in the base URL that clients have; starts with a slash, never ends in one, has one spelling.
    pub base_path: String,
    /// How far the cutover is. What counts is `modes`, which single routes may override.
    pub stage: Stage,
    /// The mode of every route.
    pub modes: Modes,
    /// How many processes share the ledger.
    pub replicas: u32,
    /// `[upstream]`
    pub upstream: Upstreams,
    /// `[auth]`
    pub auth: Auth,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[hold]`
    pub hold: Hold,
    /// `[list]`
    pub list: List,
    /// `[limits]`
    pub limits: Limits,
    /// `[server]`
    pub server: Server,
    /// `[forwarding]`
    pub forwarding: Forwarding,
    /// `[tls]`; `None` = plain HTTP.
    pub tls: Option<Tls>,
    /// `[log]`
    pub log: Log,
    /// `[tracing]`
    pub traces: Traces,
    /// `[reload]`
    pub reload: Reload,
    /// `[canary]`
    pub canary: Canary,
    /// `[ledger]`; `None` = none configured.
    pub ledger: Option<Ledger>,
    /// `[shadow]`
    pub shadow: Shadow,
    /// `[budget]`
    pub budget: Budget,
    /// `[usage]`
    pub usage: Usage,
    /// `[deprecation]`
    pub deprecation: Deprecation,
    /// `[admin]`
    pub admin: Admin,
    /// `[sandbox]`
    pub sandbox: Sandbox,
    /// Twelve hex digits that name the effective config, secrets excluded: equal on replicas that run the same one.
    pub hash: String,
    /// Which key decided each route's mode, so that a refusal can name it.
    decided: rules::Decided,
}

impl Config {
    /// The refusals that need the ledger's memory (whether any create ever went to the new API): once one did, no reader
    /// may go back to where it cannot see it. Empty = nothing to refuse.
    #[must_use]
    pub fn check_against_history(&self, ever_created_on_new: bool) -> Vec<Problem> {
        if ever_created_on_new { rules::blind_readers(&self.modes, &self.decided) } else { Vec::new() }
    }
}
