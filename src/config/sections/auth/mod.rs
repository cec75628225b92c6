//! `[auth]`: whose credentials go to the vendor, who may call the proxy, and how clients' token requests are rewritten.

mod callers;
mod credentials;

use std::time::Duration;

pub(crate) use self::callers::Caller;
pub(crate) use self::credentials::{ClientCredentials, CredentialSet};
use super::modes::{Mode, Modes};
use super::tls::Tls;
use crate::config::read::KeyReader;
use crate::config::values::{MILLISECOND, canonical_path};
use crate::translate::paths::CONVERSION_NAMESPACE;
use crate::translate::route::Route;
use crate::translate::side::Side;
use crate::translate::token::Rewriting;

#[derive(Clone, Debug)]
pub(crate) struct Auth {
    /// Whose credentials go to the vendor.
    pub(crate) mode: AuthMode,
    /// Normalized path of clients' token requests; `None` = there is no token route.
    pub(crate) token_path: Option<String>,
    /// How the scopes in clients' token requests are rewritten.
    pub(crate) scopes: Scopes,
    /// Timeout of the token endpoint.
    pub(crate) timeout: Duration,
    /// Whether equal token requests of one client are answered with one token.
    pub(crate) share_tokens: bool,
    /// How long before it expires one of the proxy's own tokens is replaced.
    pub(crate) refresh_margin: Duration,
    /// Who may call the proxy in mode `client_credentials`.
    pub(crate) callers: Vec<Caller>,
    legacy: Option<ClientCredentials>,
    new: Option<ClientCredentials>,
    lookup: Option<ClientCredentials>,
}

/// Whose credentials go to the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthMode {
    Passthrough,
    /// The proxy's own; callers authenticate to the proxy.
    ClientCredentials,
}

/// How the scopes in clients' token requests are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scopes {
    /// Depending on the modes: see [`Auth::rewriting`].
    Auto,
    Off,
    /// The new API's scopes are added.
    Add,
    /// The new API's scopes replace the old API's.
    Replace,
}

impl Auth {
    /// The proxy's own credentials for one purpose, if configured.
    #[must_use]
    pub(crate) const fn credentials(&self, set: CredentialSet) -> Option<&ClientCredentials> {
        match set {
            CredentialSet::Legacy => self.legacy.as_ref(),
            CredentialSet::New => self.new.as_ref(),
            CredentialSet::Lookup => self.lookup.as_ref(),
        }
    }

    /// The credentials that replace the caller's on the way to a side; `None` = the caller's own are forwarded.
    #[must_use]
    pub(crate) const fn credential_set(&self, side: Side) -> Option<CredentialSet> {
        match (self.mode, side) {
            (AuthMode::Passthrough, Side::Legacy | Side::New) => None,
            (AuthMode::ClientCredentials, Side::Legacy) => Some(CredentialSet::Legacy),
            (AuthMode::ClientCredentials, Side::New) => Some(CredentialSet::New),
        }
    }

    /// A side's own credentials, if they are set.
    pub(crate) fn own_credentials(&self, side: Side) -> Option<CredentialSet> {
        let own = match side {
            Side::Legacy => CredentialSet::Legacy,
            Side::New => CredentialSet::New,
        };
        Some(own).filter(|own| self.credentials(*own).is_some())
    }

    /// The credentials that read a side for the program itself.
    pub(crate) fn reading_credentials(&self, side: Side) -> Option<CredentialSet> {
        let lookup = Some(CredentialSet::Lookup).filter(|set| self.credentials(*set).is_some());
        lookup.or_else(|| self.own_credentials(side))
    }

    /// How the scopes in clients' token requests are rewritten; `None` = not at all.
    ///
    /// [`Scopes::Auto`] follows the modes: no rewriting while no route uses the new side, both sides' scopes while both
    /// sides are in use, and the new side's alone once no route uses the old one.
    #[must_use]
    pub(crate) fn rewriting(&self, modes: &Modes) -> Option<Rewriting> {
        match self.scopes {
            Scopes::Off => None,
            Scopes::Add => Some(Rewriting::Add),
            Scopes::Replace => Some(Rewriting::Replace),
            // Only new is called any more, so only its scopes are needed.
            Scopes::Auto if modes.is_sealed() => Some(Rewriting::Replace),
            Scopes::Auto if Route::ALL.into_iter().all(|route| modes.of(route) == Mode::Legacy) => None,
            Scopes::Auto => Some(Rewriting::Add),
        }
    }
}

impl AuthMode {
    const ALL: [Self; 2] = [Self::Passthrough, Self::ClientCredentials];

    /// The name in config and status.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

impl Scopes {
    const ALL: [Self; 4] = [Self::Auto, Self::Off, Self::Add, Self::Replace];

    /// The name in config and status.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Add => "add",
            Self::Replace => "replace",
        }
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader, base_path: Option<&str>) -> Option<Auth> {
    let mode = keys.on_reload("auth.mode").choice(AuthMode::ALL, AuthMode::as_str);
    let token_path = keys.on_reload("auth.token_path").optional(|text| token_path(text, base_path));
    let scopes = keys.on_reload("auth.scopes").choice(Scopes::ALL, Scopes::as_str);
    let timeout = keys.on_reload("auth.timeout").duration(MILLISECOND);
    let share_tokens = keys.on_reload("auth.share_tokens").boolean();
    let refresh_margin = keys.on_reload("auth.refresh_margin").duration(Duration::ZERO);
    let callers = callers::read(keys);
    let legacy = credentials::read(keys, &credentials::LEGACY);
    let new = credentials::read(keys, &credentials::NEW);
    let lookup = credentials::read(keys, &credentials::LOOKUP);
    let (mode, scopes) = (mode?, scopes?);
    if mode == AuthMode::ClientCredentials {
        // The proxy's own credentials must not serve everyone who can connect.
        callers::require(keys, callers.as_deref());
        // Which side a request goes to is decided per request, so both sides need credentials.
        credentials::require(keys, &credentials::LEGACY, legacy.as_ref());
        credentials::require(keys, &credentials::NEW, new.as_ref());
    }
    Some(Auth {
        mode,
        token_path: token_path?,
        scopes,
        timeout: timeout?,
        share_tokens: share_tokens?,
        refresh_margin: refresh_margin?,
        callers: callers?,
        legacy: legacy?,
        new: new?,
        lookup: lookup?,
    })
}

/// A caller that authenticates with a certificate needs a listener that requests one.
pub(in crate::config) fn check_client_auth(keys: &mut KeyReader, auth: &Auth, tls: Option<&Tls>) {
    let requested = tls.is_some_and(|tls| tls.client_auth.authorities().is_some());
    if !requested && auth.callers.iter().any(|caller| caller.certificate.is_some()) {
        let message = "has a certificate_sha256, and clients are not asked for a certificate; set tls.client_auth and \
                       tls.client_ca";
        keys.problem(callers::KEY, message);
    }
}

fn token_path(text: &str, base_path: Option<&str>) -> Result<String, String> {
    canonical_path(text)?;
    // A token request is answered before any route: here it would take creates past the duplicate check.
    let conversions = format!("{}{CONVERSION_NAMESPACE}", base_path.unwrap_or_default());
    match text.strip_prefix(&conversions) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Err(format!("is {conversions} or below it, which are the paths of the conversions"))
        }
        Some(_) | None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::modes::Stage;
    use super::*;
    use crate::config::load::{Flag, Sources, load};

    #[test]
    fn the_stage_decides_how_scopes_are_rewritten() {
        let auth = load(&Sources::default()).unwrap().config.auth.clone();
        let rewriting = Stage::ALL.map(|stage| (stage.as_str(), auth.rewriting(&stage.modes())));
        let (add, replace) = (Some(Rewriting::Add), Some(Rewriting::Replace));
        assert_eq!(
            rewriting,
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
    fn creates_that_went_back_to_legacy_need_the_scopes_of_both_sides() {
        let flags = vec![Flag::new("--set", "stage", "hold"), Flag::new("--set", "routes.create", "legacy")];
        let config = load(&Sources { flags, ..Sources::default() }).unwrap().config;
        assert_eq!(config.auth.rewriting(&config.modes), Some(Rewriting::Add));
    }
}
