//! Connections to an upstream: DNS, TCP and TLS (rustls, HTTP/2 by ALPN), all within `upstream.connect_timeout`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::ServiceExt as _;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;

use super::counted_stream::CountedStream;
pub(crate) use super::counted_stream::Uses;
use crate::config::{Identity, TlsVersion, Upstreams};

type Stream = CountedStream<MaybeHttpsStream<TokioIo<TcpStream>>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Boxed once per client, because hyper-util needs a connector whose future is `Unpin`; no cost per request.
pub(super) type Connector = BoxCloneSyncService<Uri, Stream, BoxError>;

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
    /// rustls rejects the settings.
    #[error("TLS towards upstreams: {0}")]
    Tls(#[from] rustls::Error),
    /// The token endpoint's client cannot be built.
    #[error("TLS towards the token endpoint: {0}")]
    Tokens(#[from] reqwest::Error),
}

pub(super) fn build(settings: &Upstreams) -> Result<Connector, TrustError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let tls: HttpsConnector<HttpConnector> = HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings)?)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    let counted = tls.map_response(CountedStream::new);
    Ok(BoxCloneSyncService::new(Timeout::new(counted, settings.connect_timeout)))
}

pub(super) fn tls(settings: &Upstreams) -> Result<ClientConfig, TrustError> {
    let versions: &[_] = match settings.tls_min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots(settings.ca_file.as_deref())?);
    let Some(Identity { certificate, key }) = &settings.identity else {
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
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = ca_file else { return Ok(roots) };
    let key = "upstream.ca_file";
    let authorities = certificates(key, path)?;
    if authorities.is_empty() {
        return Err(TrustError::Empty(path.to_owned()));
    }
    for certificate in authorities {
        let rejected = |source| TrustError::Certificate { key, path: path.to_owned(), source };
        roots.add(certificate).map_err(rejected)?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let file = |source| TrustError::File { key, path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(file)?.collect::<Result<_, _>>().map_err(file)
}
