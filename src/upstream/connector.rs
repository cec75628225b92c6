//! How a connection to an upstream is made: name, TCP, TLS (rustls, HTTP/2 by ALPN), all within one time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;

use crate::config::Upstreams;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections. The box gives the future that hyper-util wants and costs nothing per request.
pub(super) type Connector = BoxCloneSyncService<Uri, Stream, BoxError>;

/// Why the authorities to trust cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of `upstream.ca_file`.
    #[error("upstream.ca_file {path}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate that is none.
    #[error("upstream.ca_file {path}: {source}")]
    Certificate {
        /// The file's path.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The file holds none.
    #[error("upstream.ca_file {0}: holds no PEM certificate")]
    Empty(PathBuf),
    /// rustls itself.
    #[error("TLS towards upstreams: {0}")]
    Tls(#[from] rustls::Error),
    /// The client that asks for tokens.
    #[error("TLS towards the token endpoint: {0}")]
    Tokens(#[from] reqwest::Error),
}

pub(super) fn build(settings: &Upstreams) -> Result<Connector, TrustError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let tls: HttpsConnector<HttpConnector> = HttpsConnectorBuilder::new()
        .with_tls_config(trust(settings.ca_file.as_deref())?)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    Ok(BoxCloneSyncService::new(Timeout::new(tls, settings.connect_timeout)))
}

/// The operating system's authorities and those of `ca_file`.
pub(super) fn trust(ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let file = |source| TrustError::File { path: path.to_owned(), source };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(file)? {
            let added = roots.add(certificate.map_err(file)?);
            added.map_err(|source| TrustError::Certificate { path: path.to_owned(), source })?;
        }
        if roots.len() == before {
            return Err(TrustError::Empty(path.to_owned()));
        }
    }
    let provider = rustls::crypto::ring::default_provider().into();
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
