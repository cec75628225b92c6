//! TLS for client connections: the server certificate and the authorities for client certificates, read from PEM files and read again on
//! reload. Authenticates clients; what a client may do is decided in `proxy`.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::config::keys;
use crate::config::pem::{self, PemError};
use crate::config::{ClientAuth, Tls, TlsVersion};
use crate::http::peer::ClientCertificate;

/// The active certificates. Clones share them; a new connection uses the latest.
#[derive(Clone)]
pub struct Certificates {
    files: Tls,
    config: Arc<ArcSwap<ServerConfig>>,
}

/// Why the configured certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is missing or is not PEM.
    #[error(transparent)]
    File(#[from] PemError),
    /// The certificate and the key do not match, or rustls rejects them.
    #[error("{chain}, {key} and {ca}: {0}", chain = keys::TLS_CERTIFICATE, key = keys::TLS_KEY, ca = keys::TLS_CLIENT_CA)]
    Unusable(#[from] rustls::Error),
    /// The file contains no usable authority.
    #[error("{} {path}: {source}", keys::TLS_CLIENT_CA)]
    Authorities {
        /// The path of the file.
        path: PathBuf,
        /// The error of rustls.
        source: VerifierBuilderError,
    },
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read or its contents cannot be used.
    pub fn load(files: &Tls) -> Result<Self, CertificateError> {
        let config = Arc::new(ArcSwap::from_pointee(read(files)?));
        Ok(Self { files: files.clone(), config })
    }

    /// Reads the files again. Open connections keep their certificates.
    ///
    /// # Errors
    /// If the new contents cannot be used; the previous ones stay active.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        self.config.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

fn read(files: &Tls) -> Result<ServerConfig, CertificateError> {
    let chain = pem::certificates(keys::TLS_CERTIFICATE, &files.certificate)?;
    let private = pem::private_key(keys::TLS_KEY, &files.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = client_verifier(&files.client_auth, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(files.min_version))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn versions(least: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match least {
        TlsVersion::V1_2 => vec![&TLS13, &TLS12],
        TlsVersion::V1_3 => vec![&TLS13],
    }
}

/// Verifies client certificates as `tls.client_auth` demands.
fn client_verifier(
    auth: &ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let Some(path) = auth.authorities() else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(keys::TLS_CLIENT_CA, path)? {
        roots.add(certificate)?;
    }
    // The builder rejects an empty store, and with it a file without certificates.
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
    let verifier = match auth {
        ClientAuth::Off | ClientAuth::Optional(_) => verifier.allow_unauthenticated(),
        ClientAuth::Required(_) => verifier,
    };
    verifier.build().map_err(|source| CertificateError::Authorities { path: path.clone(), source })
}

/// The client certificate, verified by the handshake.
pub(super) fn client_certificate(connection: &ServerConnection) -> Option<Arc<ClientCertificate>> {
    let certificate = connection.peer_certificates()?.first()?;
    // The subject is for display only; a certificate that cannot be parsed still has its fingerprint.
    let subject = x509_parser::parse_x509_certificate(certificate)
        .map_or_else(|_| String::new(), |(_, parsed)| parsed.subject().to_string());
    Some(Arc::new(ClientCertificate { sha256: Sha256::digest(certificate).into(), subject }))
}
