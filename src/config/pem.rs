//! PEM files that a key names.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::zeroize::Zeroizing;

use super::file_read;

/// A file is missing or is not PEM.
#[derive(Debug, thiserror::Error)]
#[error("{key} {path}: {source}")]
pub struct PemError {
    /// The config key that names the file.
    pub(crate) key: &'static str,
    path: PathBuf,
    source: Error,
}

/// All certificates of a file; it may hold none.
pub(crate) fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let failed = |source| PemError { key, path: path.to_owned(), source };
    let bytes = file_read::bytes(path).map_err(|error| failed(Error::Io(error)))?;
    CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(failed)
}

/// The first private key of a file.
pub(crate) fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let bytes = file_read::bytes(path).map(Zeroizing::new).map_err(Error::Io);
    bytes.and_then(|bytes| PrivateKeyDer::from_pem_slice(&bytes)).map_err(|source| PemError {
        key,
        path: path.to_owned(),
        source,
    })
}
