//! TLS towards clients: certificates from PEM files, picked up again when the files change.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// The certificates in force. Clones share them; new connections get the newest.
#[derive(Clone)]
pub struct Certificates {
    files: Tls,
    config: Arc<ArcSwap<ServerConfig>>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is missing or is not PEM.
    #[error("{key} {path}: {source}")]
    File {
        /// The config key that names the file.
        key: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key do not belong together, or rustls cannot use them.
    #[error("tls.certificate and tls.key: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: &Tls) -> Result<Self, CertificateError> {
        let config = Arc::new(ArcSwap::from_pointee(read(files)?));
        Ok(Self { files: files.clone(), config })
    }

    /// Reads the files again. Connections that are open keep what they have.
    ///
    /// # Errors
    /// When the new contents cannot be used; then the old ones stay in force.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.config.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

fn read(files: &Tls) -> Result<ServerConfig, CertificateError> {
    let certificate =
        |source| CertificateError::File { key: "tls.certificate", path: files.certificate.clone(), source };
    let key = |source| CertificateError::File { key: "tls.key", path: files.key.clone(), source };
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(certificate)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(certificate)?;
    let private = PrivateKeyDer::from_pem_file(&files.key).map_err(key)?;
    let provider = rustls::crypto::ring::default_provider().into();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
