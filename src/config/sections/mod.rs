//! The typed sections, one file each: its keys, their types and bounds, when a change takes effect, and the rules within
//! the section. `config/default.toml` documents the same keys. An `Option` in a section means "off", never "default".

pub(super) mod admin;
pub(crate) mod auth;
pub(super) mod budget;
pub(super) mod canary;
pub(super) mod deprecation;
pub(super) mod facts;
pub(super) mod forwarding;
pub(super) mod general;
pub(super) mod hold;
pub(super) mod ignore;
pub(super) mod ledger;
pub(super) mod limits;
pub(super) mod list;
pub(super) mod log;
pub(super) mod modes;
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
