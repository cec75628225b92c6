//! What both ends of TLS can be told: versions, certificates to show, certificates to ask for.

use std::path::PathBuf;

use super::parse::one_of;
use super::read::Written;
use super::values::file_path;

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 and 1.3.
    V1_2,
    /// 1.3 alone.
    V1_3,
}

/// A certificate to show, and what proves that it is one's own.
#[derive(Clone, Debug)]
pub struct Identity {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// Whether clients show a certificate, and which authorities vouch for it (PEM file).
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They may; one that does not verify is refused all the same.
    Optional(PathBuf),
    /// They must.
    Required(PathBuf),
}

impl ClientAuth {
    /// The authorities' file.
    #[must_use]
    pub const fn authorities(&self) -> Option<&PathBuf> {
        match self {
            Self::Off => None,
            Self::Optional(path) | Self::Required(path) => Some(path),
        }
    }
}

/// The two files of a certificate: both or neither.
pub(super) fn identity(
    written: &mut Written,
    certificate: &'static str,
    key: &'static str,
) -> Option<Option<Identity>> {
    let files = (written.optional(certificate, file_path), written.optional(key, file_path));
    let (alone, missing) = match (files.0?, files.1?) {
        (Some(certificate), Some(key)) => return Some(Some(Identity { certificate, key })),
        (None, None) => return Some(None),
        (Some(_), None) => (certificate, key),
        (None, Some(_)) => (key, certificate),
    };
    written.problem(alone, format!("is set without {missing}; set both or neither"));
    None
}

pub(super) fn version(written: &mut Written, key: &'static str) -> Option<TlsVersion> {
    let version = written.parsed(key, |text| one_of(text, ["1.2", "1.3"]))?;
    Some(if version == "1.3" { TlsVersion::V1_3 } else { TlsVersion::V1_2 })
}

/// `tls.client_ca` and `tls.client_auth`, which mean nothing without each other.
pub(super) fn client_auth(written: &mut Written) -> Option<ClientAuth> {
    let authorities = written.optional("tls.client_ca", file_path);
    let asked = written.parsed("tls.client_auth", |text| one_of(text, ["off", "optional", "required"]));
    match (authorities?, asked?) {
        (Some(path), "optional") => Some(ClientAuth::Optional(path)),
        (Some(path), "required") => Some(ClientAuth::Required(path)),
        (None, "off") => Some(ClientAuth::Off),
        (Some(_), _) => {
            written.problem("tls.client_ca", "is set while tls.client_auth is off; nobody would be asked");
            None
        }
        (None, _) => {
            written.problem("tls.client_auth", "needs tls.client_ca: the authorities that vouch for clients");
            None
        }
    }
}
