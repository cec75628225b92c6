//! TLS towards upstreams: whom to trust, and who the proxy is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::uri::Scheme;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::keys;
use crate::config::pem::{self, PemError};
use crate::config::{TlsIdentity, TlsVersion, Upstreams};

/// An error in the TLS settings towards upstreams.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file is missing or is not PEM.
    #[error(transparent)]
    File(#[from] PemError),
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
    #[error("{key} {0}: holds no PEM certificate", key = keys::CA_FILE)]
    Empty(PathBuf),
    /// There is no certificate authority to check an https upstream with.
    #[error(
        "no certificate authority to check https upstreams with: looked in SSL_CERT_FILE, SSL_CERT_DIR and the system's store{0}; \
         install the package ca-certificates, or set {key}",
        key = keys::CA_FILE
    )]
    NoAuthorities(String),
    /// rustls rejects the settings.
    #[error("TLS towards upstreams: {0}")]
    Tls(#[from] rustls::Error),
}

/// The authorities and the identity towards upstreams, read again when their files change. Clones share them; a new connection uses the
/// latest.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Arc<TrustState>);

#[derive(Debug)]
struct TrustState {
    settings: Upstreams,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Material>,
}

#[derive(Debug)]
struct Material {
    /// `None` without any authority: then every server is refused.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    identity: Option<Arc<CertifiedKey>>,
}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(super) fn load(settings: &Upstreams) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = ArcSwap::from_pointee(material(settings, &provider)?);
        Ok(Self(Arc::new(TrustState { settings: settings.clone(), provider, current })))
    }

    /// Reads the files again. Open connections stay.
    ///
    /// # Errors
    /// When a file cannot be used; the previous contents stay in force.
    pub(crate) fn reload(&self) -> Result<(), TrustError> {
        self.0.current.store(Arc::new(material(&self.0.settings, &self.0.provider)?));
        Ok(())
    }

    /// A config for connections, which follows every reload.
    pub(super) fn tls(&self) -> Result<ClientConfig, TrustError> {
        let versions: &[_] = match self.0.settings.tls_min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.0.provider))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.clone()));
        let mut config = match self.0.settings.identity {
            Some(_) => config.with_client_cert_resolver(Arc::new(self.clone())),
            None => config.with_no_client_auth(),
        };
        if self.0.settings.ca_file.is_some() || self.0.settings.identity.is_some() {
            // A resumed session is not verified again, so it would outlive an authority that was taken away.
            config.resumption = Resumption::disabled();
        }
        Ok(config)
    }

    fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        self.0.current.load().verifier.clone().ok_or_else(unknown)
    }
}

/// Checks as rustls does, with the authorities in force.
impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = self.verifier()?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Trust {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.current.load().identity.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn material(settings: &Upstreams, provider: &Arc<CryptoProvider>) -> Result<Material, TrustError> {
    let roots = roots(settings)?;
    let verifier = match roots.is_empty() {
        true => None,
        false => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
            Some(verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?)
        }
    };
    let identity = settings.identity.as_ref().map(|identity| certified(identity, provider)).transpose()?;
    Ok(Material { verifier, identity })
}

fn certified(
    TlsIdentity { certificate, key }: &TlsIdentity,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TrustError> {
    let private = pem::private_key(keys::CLIENT_KEY, key)?;
    let (name, path) = (keys::CLIENT_CERTIFICATE, certificate);
    let chain = pem::certificates(name, path)?;
    let rejected = |source| TrustError::Certificate { key: name, path: path.clone(), source };
    CertifiedKey::from_der(chain, private, provider).map(Arc::new).map_err(rejected)
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
    let key = keys::CA_FILE;
    let authorities = pem::certificates(key, path)?;
    if authorities.is_empty() {
        return Err(TrustError::Empty(path.to_owned()));
    }
    for certificate in authorities {
        let rejected = |source| TrustError::Certificate { key, path: path.to_owned(), source };
        roots.add(certificate).map_err(rejected)?;
    }
    Ok(())
}
