//! How a sandbox starts, and the ids and the token that it always has.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::variants::Variants;

/// The customer of the fixed token, and of OAuth clients without a customer of their own.
pub const CUSTOMER: &str = "a1b2c3d4-5e6f-7a8b-9c0d-e1f2a3b4c5d6";
/// The default profile of [`CUSTOMER`], the one of the vendor's own examples.
pub const PROFILE: &str = "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c";
/// Another profile of [`CUSTOMER`].
pub const SECOND_PROFILE: &str = "e2f1a0b9-6c7d-4e5f-8a9b-0c1d2e3f4a5b";
/// A bearer token that always works, for [`CUSTOMER`], with every scope.
pub const TOKEN: &str = "sandbox";

/// An OAuth client and the customer it acts for.
#[derive(Clone)]
pub struct OAuthClient {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
    /// The customer; [`Inspector::open_profile`](super::Inspector::open_profile) opens its profiles.
    pub customer: String,
    /// The scopes it may request; empty means every scope.
    pub scopes: Vec<String>,
}

/// Listener, clients and behaviour of a sandbox from its start on.
#[derive(Clone)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a conversion stays CREATED and an orchestration PROCESSING. With [`Duration::ZERO`] the next read shows the final
    /// status; with [`Duration::MAX`] only [`Inspector::set_status`](super::Inspector::set_status) sets it.
    pub settle_after: Duration,
    /// How the vendor differs from the documented one.
    pub variants: Variants,
    /// Credit both profiles and add orchestrations that never were conversions.
    pub seed: bool,
    /// Serve TLS with this; its ALPN should hold `h2` and `http/1.1`.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The only OAuth clients that get tokens. Empty: any client gets one, for [`CUSTOMER`].
    pub clients: Vec<OAuthClient>,
    /// The `expires_in` of a token. Only [`Sandbox::revoke_tokens`](super::Sandbox::revoke_tokens) invalidates one.
    pub token_lifetime: Duration,
    /// The largest amount of one create; no limit when absent.
    pub maximum: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            settle_after: Duration::from_secs(2),
            variants: Variants::default(),
            seed: false,
            tls: None,
            clients: Vec::new(),
            token_lifetime: Duration::from_secs(3599),
            maximum: None,
        }
    }
}
