//! The typed sections, one file each: its keys, their types and bounds, when a change takes effect, and the rules within
//! the section. `config/default.toml` documents the same keys. An `Option` in a section means "off", never "default".

pub(super) mod admin;
pub(crate) mod auth;
pub(super) mod budget;
pub(super) mod canary;
pub(super) mod deprecation;
pub(super) mod drift;
pub(super) mod facts;
pub(super) mod forwarding;
pub(super) mod gate;
pub(super) mod general;
pub(super) mod hold;
pub(super) mod ignore;
pub(super) mod ledger;
pub(super) mod limits;
pub(super) mod list;
pub(super) mod log;
pub(super) mod modes;
mod named_texts;
pub(super) mod reconcile;
pub(super) mod reload;
pub(super) mod routes;
pub(super) mod sandbox;
pub(super) mod server;
pub(super) mod shadow;
pub(super) mod timeouts;
pub(super) mod tls;
pub(super) mod traces;
pub(super) mod upstream;
pub(super) mod usage;

/// The keys that texts outside their sections name.
pub(crate) mod keys {
    pub(crate) use super::admin::LISTEN as ADMIN_LISTEN;
    pub(crate) use super::budget::WAIT_MAX as BUDGET_WAIT_MAX;
    pub(crate) use super::drift::KNOWN as DRIFT_KNOWN;
    pub(crate) use super::facts::{FILE as FACTS_FILE, FOUND_AT as FACTS_FOUND_AT, MIRROR as FACTS_MIRROR};
    pub(crate) use super::gate::ENFORCE as GATE_ENFORCE;
    pub(crate) use super::general::STAGE;
    pub(crate) use super::ledger::{
        ID as LEDGER_ID, NATIVE_CREATES as LEDGER_NATIVE_CREATES, NEW_IN_USE as LEDGER_NEW_IN_USE,
        ONLY_DOOR as LEDGER_ONLY_DOOR, TENANT as LEDGER_TENANT, URL as LEDGER_URL,
        URL_FILE as LEDGER_URL_FILE,
    };
    pub(crate) use super::limits::{CONNECTIONS_MAX, IN_FLIGHT_ALL};
    pub(crate) use super::routes::CREATE as ROUTES_CREATE;
    pub(crate) use super::sandbox::LISTEN as SANDBOX_LISTEN;
    pub(crate) use super::shadow::LOG as SHADOW_LOG;
    pub(crate) use super::tls::{CERTIFICATE as TLS_CERTIFICATE, CLIENT_CA as TLS_CLIENT_CA, KEY as TLS_KEY};
    pub(crate) use super::upstream::{
        CA_FILE, CLIENT_CERTIFICATE, CLIENT_KEY, LEGACY_URL, NEW_URL, OAUTH_URL, POOL_IDLE_MAX,
    };
}
