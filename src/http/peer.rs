//! The other end of a client's connection.

use std::net::SocketAddr;
use std::sync::Arc;

/// The other end of one connection: a client, or a proxy in front of it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The address of the connection.
    pub(crate) address: SocketAddr,
    /// Whether the connection uses TLS.
    pub(crate) tls: bool,
    /// The verified client certificate, signed by an authority in `tls.client_ca`; `None` if the client sent none.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// The SHA-256 fingerprint of the DER encoding, which identifies the certificate.
    pub(crate) sha256: [u8; 32],
    /// The subject for display, as `CN=…, O=…`. It does not identify the certificate: two may have the same.
    pub(crate) subject: String,
}

impl ClientCertificate {
    /// The fingerprint as 64 hex digits.
    pub(crate) fn fingerprint(&self) -> String {
        const_hex::encode(self.sha256)
    }
}
