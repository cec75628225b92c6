//! A stand-in for the vendor, in process and with a memory: both APIs and the token endpoint on one port of its own.
//!
//! `serve --sandbox` embeds it for newcomers, and it is the project's only test double, so it does what the vendor documents
//! and no more. Tests look behind it with [`Inspector`] and break it with [`Faults`]; over HTTP both are under `/sandbox/`.
//! It knows nothing of the proxy. Nothing here is meant to be fast.
//!
//! A request's way: `serve` (the port) → `answer` (note, faults, authorise) → `legacy` or `orchestrations` (one file an API) →
//! `state` (what both share: time, money, statuses) over `records` and `vault`.

mod answer;
mod balances;
mod control;
mod distort;
mod faults;
mod inspector;
mod intake;
mod legacy;
mod listing;
mod money;
mod oauth;
mod orchestrations;
mod problem;
mod records;
mod requests;
mod seed;
mod serve;
mod state;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use faults::{ArmedFault, Fault, FaultKind, Faults, RefusalBody};
pub use inspector::{Inspector, OrchestrationOutcome, Tally};
pub use oauth::SCOPES;
pub use records::HiddenRecords;
pub use requests::{Operation, ReceivedRequest};

/// The demo customer: owner of the fixed token and of what clients without a customer of their own do.
pub const CUSTOMER: &str = "a1b2c3d4-5e6f-7a8b-9c0d-e1f2a3b4c5d6";
/// The demo customer's default profile, the one of the vendor's own examples.
pub const PROFILE: &str = "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c";
/// Another profile of the demo customer.
pub const SECOND_PROFILE: &str = "e2f1a0b9-6c7d-4e5f-8a9b-0c1d2e3f4a5b";
/// A bearer token that always works, for the demo customer, with every scope.
pub const TOKEN: &str = "sandbox";

/// In which array a list of orchestrations comes; the vendor changed it during 2026.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListShape {
    /// `items`.
    #[default]
    Items,
    /// The older `orchestrations`.
    Orchestrations,
    /// Both, with the same rows.
    Both,
}

/// What `profile_id` compares with in a list of orchestrations; the vendor's wording leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfileFilter {
    /// The profile that the money comes from.
    #[default]
    Source,
    /// The profile that it goes to.
    Destination,
    /// Any of the two.
    Either,
}

/// An OAuth client and the customer it acts for.
#[derive(Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
    /// The customer; its profiles are opened with [`Inspector::open_profile`].
    pub customer: String,
    /// What it may ask for; when empty, every scope there is.
    pub scopes: Vec<String>,
}

/// How a sandbox behaves.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a conversion stays CREATED and an orchestration PROCESSING. [`Duration::ZERO`]: the next read shows the end;
    /// [`Duration::MAX`]: only [`Inspector::set_status`] ends it.
    pub settle_after: Duration,
    /// The array of the new list.
    pub list_shape: ListShape,
    /// The profile filter of the new list.
    pub profile_filter: ProfileFilter,
    /// Fill both profiles with money and add orchestrations that never were conversions.
    pub demo: bool,
    /// Serve TLS with this; put `h2` and `http/1.1` into its ALPN.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The only clients that get tokens; when empty, every one does, for the demo customer.
    pub clients: Vec<Client>,
    /// How long a token lasts, as `expires_in` says it; only [`Sandbox::revoke_tokens`] really ends one.
    pub token_life: Duration,
    /// The largest amount of one create; no limit when absent.
    pub maximum: Option<String>,
    /// Show `completed_at` and `destination_amount` in completed orchestrations, which the schema lacks.
    pub completed_at: bool,
    /// Show an ad-hoc orchestration's `orchestration_rule_id` as an empty string instead of leaving it out.
    pub empty_rule_id: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            settle_after: Duration::from_secs(2),
            list_shape: ListShape::default(),
            profile_filter: ProfileFilter::default(),
            demo: false,
            tls: None,
            clients: Vec::new(),
            token_life: Duration::from_secs(3599),
            maximum: None,
            completed_at: false,
            empty_rule_id: false,
        }
    }
}

/// A running sandbox. Dropping it stops it: the port closes and whatever is in flight is cut off.
pub struct Sandbox {
    address: SocketAddr,
    scheme: &'static str,
    vendor: Arc<answer::Vendor>,
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
        if options.maximum.as_deref().is_some_and(|text| money::Amount::parse(text).is_none()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "maximum is not an amount"));
        }
        let listener = serve::bind(options.listen)?.listen(1024)?;
        let address = listener.local_addr()?;
        let (door, wishes) = mpsc::unbounded_channel();
        let (running_sender, running) = watch::channel(());
        let books = Inspector::new(state::Terms::new(&options));
        books.open_profile(CUSTOMER, PROFILE);
        books.open_profile(CUSTOMER, SECOND_PROFILE);
        if options.demo {
            seed::fill(&books);
        }
        let (faults, tokens) = (Faults::new(door), oauth::Tokens::new(options.clients, options.token_life));
        let vendor = Arc::new(answer::Vendor { books, faults, tokens, running });
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let tls = options.tls.map(TlsAcceptor::from);
        let task = tokio::spawn(serve::serve(listener, tls, Arc::clone(&vendor), wishes, address));
        Ok(Self { address, scheme, vendor, task, _running: running_sender })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of both APIs, ending in `/v2`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}/v2", self.scheme, self.address)
    }

    /// The token endpoint.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}://{}/oauth2/token", self.scheme, self.address)
    }

    /// What a test looks at and arranges.
    #[must_use]
    pub fn inspector(&self) -> &Inspector {
        &self.vendor.books
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.vendor.faults
    }

    /// A token for a customer with exactly these scopes.
    #[must_use]
    pub fn issue_token(&self, customer: &str, scopes: &[&str]) -> String {
        self.vendor.tokens.issue(customer, scopes.iter().map(|&scope| scope.to_owned()).collect())
    }

    /// Makes every token invalid but [`TOKEN`], as time would.
    pub fn revoke_tokens(&self) {
        self.vendor.tokens.reset();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}
