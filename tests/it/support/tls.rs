//! Certificates for one test each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};

/// A certificate for 127.0.0.1, known by its bytes.
pub(crate) struct Pair(CertifiedKey<KeyPair>);

impl Pair {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap())
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.0.cert.der()
    }

    /// Writes both files and answers their paths.
    pub(crate) fn write(&self, dir: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (dir.join("tls.crt"), dir.join("tls.key"));
        std::fs::write(&certificate, self.0.cert.pem()).unwrap();
        std::fs::write(&key, self.0.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    /// For a server in this process, with both versions of HTTP.
    pub(crate) fn server(&self) -> Arc<rustls::ServerConfig> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = rustls::pki_types::PrivateKeyDer::try_from(self.0.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![self.0.cert.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.into()
    }

    /// A client that trusts this certificate and no other.
    pub(crate) fn trusting(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_der(self.der()).unwrap();
        super::caller::plain().tls_certs_only([root])
    }
}
