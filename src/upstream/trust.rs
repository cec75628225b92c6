//! TLS towards upstreams: whom to trust, and who the proxy is.

use std::path::{Path, PathBuf};

use http::uri::Scheme;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{TlsIdentity, TlsVersion, Upstreams};

/// An error in the TLS settings towards upstreams.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read as PEM.
    #[error("{key} {path}: {source}")]
    File {
        /// The config key that names the file.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// The error.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate is not valid, or does not match its key.
    #[error("{key} {path}: {source}")]
    Certificate {
        /// The config key that names the file.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// The error.
        source: rustls::Error,
    },
    /// The CA file holds no certificate.
    #[error("upstream.ca_file {0}: holds no PEM certificate")]
    Empty(PathBuf),
    /// There is no certificate authority to check an https upstream with.
    #[error(
        "no certificate authority to check https upstreams with: looked in SSL_CERT_FILE, SSL_CERT_DIR and the system's store{0}; \
         install the package ca-certificates, or set upstream.ca_file"
    )]
    NoAuthorities(String),
    /// rustls rejects the settings.
    #[error("TLS towards upstreams: {0}")]
    Tls(#[from] rustls::Error),
    /// The token endpoint's client cannot be built.
    #[error("TLS towards the token endpoint: {0}")]
    Tokens(#[from] reqwest::Error),
}

pub(super) fn tls(settings: &Upstreams) -> Result<ClientConfig, TrustError> {
    let versions: &[_] = match settings.tls_min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots(settings)?);
    let Some(TlsIdentity { certificate, key }) = &settings.identity else {
        return Ok(config.with_no_client_auth());
    };
    let file = |source| TrustError::File { key: "upstream.client_key", path: key.clone(), source };
    let private = PrivateKeyDer::from_pem_file(key).map_err(file)?;
    let (name, path) = ("upstream.client_certificate", certificate);
    let chain = certificates(name, path)?;
    let rejected = |source| TrustError::Certificate { key: name, path: path.clone(), source };
    config.with_client_auth_cert(chain, private).map_err(rejected)
}

/// The operating system's trust store and the certificates of `ca_file`.
fn roots(settings: &Upstreams) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(target: "upstream", %error, "a part of the system's certificate store cannot be read");
    }
    for certificate in found.certs {
        // Old stores hold authorities that webpki does not accept; the others still count.
        if let Err(error) = roots.add(certificate) {
            tracing::warn!(target: "upstream", %error, "a certificate of the system's store cannot be used");
        }
    }
    if let Some(path) = &settings.ca_file {
        add_file(&mut roots, path)?;
    }
    let is_https = [&settings.legacy, &settings.new, &settings.oauth]
        .into_iter()
        .any(|upstream| upstream.scheme == Scheme::HTTPS);
    if roots.is_empty() && is_https {
        let errors: String = found.errors.iter().map(|error| format!(" ({error})")).collect();
        return Err(TrustError::NoAuthorities(errors));
    }
    Ok(roots)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let key = "upstream.ca_file";
    let authorities = certificates(key, path)?;
    if authorities.is_empty() {
        return Err(TrustError::Empty(path.to_owned()));
    }
    for certificate in authorities {
        let rejected = |source| TrustError::Certificate { key, path: path.to_owned(), source };
        roots.add(certificate).map_err(rejected)?;
    }
    Ok(())
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let file = |source| TrustError::File { key, path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(file)?.collect::<Result<_, _>>().map_err(file)
}
