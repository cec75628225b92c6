//! An embedded vendor with a memory: both APIs and the token endpoint on one port of its own.
//!
//! `serve --sandbox` embeds it for a first try, and it is the project's only test double, so it does what the vendor documents and
//! no more. Tests inspect it with [`Inspector`], change it with [`Variants`] and break it with [`Faults`]; over HTTP all three are under
//! `/sandbox/` (see `control`). It knows nothing of the proxy, and nothing here is meant to be fast.
//!
//! From the network down: `serve` → `control` → `vendor` (record, faults, authorization) → `legacy`, `orchestrations`
//! (one file an API) → `presentation` (variants of the answer's form) → `state` (shared rules: time, money, statuses) → `records`, `balances`.

mod amount;
mod balances;
mod control;
mod create_body;
mod dice;
mod driven;
mod fault;
mod faults;
mod inspector;
mod json;
mod legacy;
mod list_page;
mod list_query;
mod listener;
mod mirror;
mod operation;
mod options;
mod orchestrations;
mod presentation;
mod problem;
mod profiles;
mod records;
mod request_log;
mod response;
mod seed;
mod serve;
mod source;
mod state;
mod tokens;
mod variants;
mod vendor;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use dice::Dice;
pub use driven::{DrivenCall, DrivenReply, DrivenVendor};
pub use fault::{Fault, FaultKind, ForeignRecord, RefusalBody};
pub use faults::{ArmedFault, Faults};
pub use inspector::{Inspector, Tally};
pub use operation::Operation;
pub use options::{CUSTOMER, OAuthClient, Options, PROFILE, SECOND_PROFILE, TOKEN};
pub use records::HiddenRecords;
pub use request_log::ReceivedRequest;
pub use state::OrchestrationOutcome;
pub use tokens::SCOPES;
pub use variants::{
    EmptyList, GrantedScopes, ListOrder, ListShape, ListsNothing, Mirror, ProfileFilter, RefMatch,
    RepeatedRef, StaleCursor, TieOrder, TimeBounds, Variants,
};

/// A running sandbox. Dropping it closes the port and every connection.
pub struct Sandbox {
    address: SocketAddr,
    scheme: &'static str,
    vendor: Arc<vendor::Vendor>,
    task: JoinHandle<()>,
    /// Dropped with the sandbox, which ends requests that no connection waits for.
    _running: watch::Sender<()>,
}

impl Sandbox {
    /// Starts a sandbox; it answers as soon as this returns.
    ///
    /// # Errors
    /// The address cannot be listened on, or `maximum` is not an amount.
    pub async fn start(options: Options) -> io::Result<Self> {
        if options.maximum.as_deref().is_some_and(|text| amount::parse(text).is_none()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "maximum is not an amount"));
        }
        let listener = listener::bind(options.listen)?.listen(1024)?;
        let address = listener.local_addr()?;
        let (listener_control, commands) = listener::ListenerControl::channel();
        let (running_sender, running) = watch::channel(());
        let inspector = Inspector::new(&options);
        inspector.open_profile(CUSTOMER, PROFILE);
        inspector.open_profile(CUSTOMER, SECOND_PROFILE);
        if options.seed {
            seed::seed(&inspector);
        }
        let faults = Faults::new(listener_control);
        let tokens = tokens::TokenIssuer::new(options.clients, options.token_lifetime);
        let vendor = Arc::new(vendor::Vendor { inspector, faults, tokens, running });
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let tls = options.tls.map(TlsAcceptor::from);
        let task = tokio::spawn(serve::serve(listener, tls, Arc::clone(&vendor), commands, address));
        Ok(Self { address, scheme, vendor, task, _running: running_sender })
    }

    /// The address it listens on.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of both APIs, ending in `/v2`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}/v2", self.scheme, self.address)
    }

    /// The value for `upstream.oauth.url`.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}://{}/oauth2/token", self.scheme, self.address)
    }

    /// Records, balances and received requests.
    #[must_use]
    pub fn inspector(&self) -> &Inspector {
        &self.vendor.inspector
    }

    /// Arms and disarms faults; a change applies from the next request on.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.vendor.faults
    }

    /// A token for a customer with exactly these scopes.
    #[must_use]
    pub fn issue_token(&self, customer: &str, scopes: &[&str]) -> String {
        self.vendor.tokens.issue(customer, scopes.iter().map(|&scope| scope.to_owned()).collect())
    }

    /// Invalidates every token but [`TOKEN`].
    pub fn revoke_tokens(&self) {
        self.vendor.tokens.reset();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}
