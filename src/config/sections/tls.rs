//! `[tls]`, and what it shares with the TLS keys of `[upstream]`.

use std::path::PathBuf;

use crate::config::read::{ConfigKey, KeyReader};

pub(crate) const CERTIFICATE: &str = "tls.certificate";
pub(crate) const KEY: &str = "tls.key";
pub(crate) const CLIENT_CA: &str = "tls.client_ca";

/// `[tls]`, when TLS is on.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub(crate) certificate: PathBuf,
    /// PEM file with the private key.
    pub(crate) key: PathBuf,
    /// Whether clients authenticate with a certificate.
    pub client_auth: ClientAuth,
    /// A handshake below this version is refused.
    pub min_version: TlsVersion,
}

impl Tls {
    /// Every file that the listener reads, so that it can watch them.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let own = [&self.certificate, &self.key];
        own.into_iter().chain(self.client_auth.authorities()).cloned().collect()
    }
}

/// Lowest TLS version that a connection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 or 1.3.
    V1_2,
    /// TLS 1.3 only.
    V1_3,
}

impl TlsVersion {
    const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    const fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// PEM file with the certificate chain.
    pub(crate) certificate: PathBuf,
    /// PEM file with the private key.
    pub(crate) key: PathBuf,
}

/// Whether clients authenticate with a certificate, and the PEM file with the certificate authorities that verify it.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// The server does not request a certificate.
    Off,
    /// The server requests one. A certificate that does not verify ends the handshake; none is accepted.
    Optional(PathBuf),
    /// The server requires one: a connection without a certificate that verifies does not get past the handshake.
    Required(PathBuf),
}

impl ClientAuth {
    /// The file with the certificate authorities.
    #[must_use]
    pub(crate) const fn authorities(&self) -> Option<&PathBuf> {
        match self {
            Self::Off => None,
            Self::Optional(path) | Self::Required(path) => Some(path),
        }
    }
}

/// The inner value is `None` for plain HTTP.
pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Option<Tls>> {
    let identity = identity(keys, CERTIFICATE, KEY);
    let client_auth = client_auth(keys);
    let min_version = version(keys.on_restart("tls.min_version"));
    let (identity, client_auth, min_version) = (identity?, client_auth?, min_version?);
    let Some(TlsIdentity { certificate, key }) = identity else {
        if client_auth.authorities().is_some() {
            keys.problem(
                "tls.client_auth",
                "needs tls.certificate and tls.key: there is no TLS without them",
            );
        }
        return Some(None);
    };
    Some(Some(Tls { certificate, key, client_auth, min_version }))
}

/// Reads the two files of a [`TlsIdentity`]; both or neither must be set.
pub(in crate::config) fn identity(
    keys: &mut KeyReader,
    certificate: &'static str,
    key: &'static str,
) -> Option<Option<TlsIdentity>> {
    let files = (keys.on_restart(certificate).file(), keys.on_restart(key).file());
    let (set, missing) = match (files.0?, files.1?) {
        (Some(certificate), Some(key)) => return Some(Some(TlsIdentity { certificate, key })),
        (None, None) => return Some(None),
        (Some(_), None) => (certificate, key),
        (None, Some(_)) => (key, certificate),
    };
    keys.problem(set, format!("is set without {missing}; set both or neither"));
    None
}

pub(in crate::config) fn version(key: ConfigKey<'_>) -> Option<TlsVersion> {
    key.choice(TlsVersion::ALL, TlsVersion::as_str)
}

fn client_auth(keys: &mut KeyReader) -> Option<ClientAuth> {
    let authorities = keys.on_restart(CLIENT_CA).file();
    type WithAuthorities = fn(PathBuf) -> ClientAuth;
    // The choice decides whether authorities are needed, so both are read before either is judged.
    let choices: [(&str, Option<WithAuthorities>); 3] =
        [("off", None), ("optional", Some(ClientAuth::Optional)), ("required", Some(ClientAuth::Required))];
    let choice = keys.on_restart("tls.client_auth").choice(choices, |(name, _)| name);
    match (authorities?, choice?.1) {
        (Some(path), Some(client_auth)) => Some(client_auth(path)),
        (None, None) => Some(ClientAuth::Off),
        (Some(_), None) => {
            keys.problem(CLIENT_CA, "is set while tls.client_auth is off; set tls.client_auth too");
            None
        }
        (None, Some(_)) => {
            keys.problem(
                "tls.client_auth",
                "needs tls.client_ca: the authorities that verify client certificates",
            );
            None
        }
    }
}
