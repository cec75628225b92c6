//! `[auth]`: whose credentials travel to the vendor, who may come in, and what becomes of clients' token requests. The types;
//! `read` makes them from what is written.

mod read;

use std::time::Duration;

use super::modes::{Mode, Modes};
use super::secret::Secret;
use crate::translate::route::Route;
use crate::translate::side::Side;
use crate::translate::token::Rewriting;

pub(super) use self::read::read;

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Whose credentials travel to the vendor.
    pub mode: AuthMode,
    /// The path of clients' token requests, in its one spelling; `None` = they are nothing special.
    pub token_path: Option<String>,
    /// What becomes of the scopes in clients' token requests.
    pub scopes: Scopes,
    /// Longest wait for the token endpoint.
    pub timeout: Duration,
    /// How long before its end a token of the proxy's own is replaced.
    pub refresh_margin: Duration,
    /// Who may come in while the proxy's own credentials travel.
    pub callers: Vec<Caller>,
    /// `[auth.legacy]`
    pub(super) legacy: Option<ClientCredentials>,
    /// `[auth.new]`
    pub(super) new: Option<ClientCredentials>,
    /// `[auth.lookup]`
    pub(super) lookup: Option<ClientCredentials>,
}

/// Whose credentials travel to the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// The caller's own.
    Passthrough,
    /// The proxy's own; callers prove themselves to the proxy.
    ClientCredentials,
}

/// What becomes of the scopes in clients' token requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// By the modes in force.
    Auto,
    /// Nothing.
    Off,
    /// The new API's are asked for too.
    Add,
    /// The new API's are asked for instead.
    Replace,
}

/// What the proxy uses credentials of its own for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSet {
    /// Whatever goes to the legacy side.
    Legacy,
    /// Whatever goes to the new side.
    New,
    /// Looking for records; never to answer a caller's own get or list.
    Lookup,
}

impl CredentialSet {
    /// Every one, in the order of the config.
    pub const ALL: [Self; 3] = [Self::Legacy, Self::New, Self::Lookup];

    /// The name used in config and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::New => "new",
            Self::Lookup => "lookup",
        }
    }
}

/// An OAuth client of the proxy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// `client_id`
    pub client_id: String,
    /// `client_secret`
    pub client_secret: Secret,
    /// What is asked for; when empty, the vendor gives what it gives.
    pub scopes: Vec<String>,
}

impl ClientCredentials {
    pub(super) const fn secret(&self) -> &Secret {
        &self.client_secret
    }
}

/// Somebody who may come in. What is set must match, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// For logs.
    pub name: String,
    /// SHA-256 of the bearer token.
    pub token: Option<[u8; 32]>,
    /// SHA-256 of the client certificate, as DER.
    pub certificate: Option<[u8; 32]>,
    /// May get and list, and ask for whatever else changes nothing.
    pub read: bool,
    /// May create and cancel, and do whatever else is not safe.
    pub write: bool,
}

impl Auth {
    /// The credentials for one purpose, if there are any.
    #[must_use]
    pub const fn credentials(&self, holder: CredentialSet) -> Option<&ClientCredentials> {
        match holder {
            CredentialSet::Legacy => self.legacy.as_ref(),
            CredentialSet::New => self.new.as_ref(),
            CredentialSet::Lookup => self.lookup.as_ref(),
        }
    }

    /// Whose credentials go to a side in place of the caller's; `None` = the caller's own go.
    #[must_use]
    pub const fn holder(&self, side: Side) -> Option<CredentialSet> {
        match (self.mode, side) {
            (AuthMode::Passthrough, _) => None,
            (AuthMode::ClientCredentials, Side::Legacy) => Some(CredentialSet::Legacy),
            (AuthMode::ClientCredentials, Side::New) => Some(CredentialSet::New),
        }
    }

    /// What becomes of the scopes in clients' token requests; `None` = nothing. By itself it follows the modes: while no route
    /// looks at the new side, nothing; while both sides are in use, both sides' scopes; at the end the new side's alone.
    #[must_use]
    pub fn rewriting(&self, modes: &Modes) -> Option<Rewriting> {
        match self.scopes {
            Scopes::Off => None,
            Scopes::Add => Some(Rewriting::Add),
            Scopes::Replace => Some(Rewriting::Replace),
            Scopes::Auto if modes.is_sealed() => Some(Rewriting::Replace),
            Scopes::Auto if Route::ALL.into_iter().all(|route| modes.of(route) == Mode::Legacy) => None,
            Scopes::Auto => Some(Rewriting::Add),
        }
    }
}

impl AuthMode {
    pub(super) const ALL: [Self; 2] = [Self::Passthrough, Self::ClientCredentials];

    /// The name used in config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

impl Scopes {
    pub(super) const ALL: [Self; 4] = [Self::Auto, Self::Off, Self::Add, Self::Replace];

    /// The name used in config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Add => "add",
            Self::Replace => "replace",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stage;
    use super::super::load::{Flag, Sources, load};
    use super::*;

    #[test]
    fn the_stage_says_which_scopes_are_asked_for() {
        let auth = load(&Sources::default()).unwrap().config.auth.clone();
        let told = Stage::ALL.map(|stage| (stage.as_str(), auth.rewriting(&stage.modes())));
        let (add, replace) = (Some(Rewriting::Add), Some(Rewriting::Replace));
        assert_eq!(
            told,
            [
                ("observe", None),
                ("shadow", add),
                ("ready", add),
                ("hold", add),
                ("canary", add),
                ("live", add),
                ("sealed", replace),
            ]
        );
    }

    #[test]
    fn creates_that_went_back_need_both_sides_scopes() {
        let flags = vec![Flag::new("--set", "stage", "hold"), Flag::new("--set", "routes.create", "legacy")];
        let config = load(&Sources { flags, ..Sources::default() }).unwrap().config;
        assert_eq!(config.auth.rewriting(&config.modes), Some(Rewriting::Add));
    }
}
