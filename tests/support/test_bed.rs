//! A test bed: one or several proxies in this process, on one ledger, in front of the sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use conversion_shim::config::load::{Flag, Sources, load};
use conversion_shim::config::{Config, ConfigProblem};
use conversion_shim::ledger::{Claim, Key, Ledger, LedgerError, OpenError, Settings};
use conversion_shim::proxy::App;
use conversion_shim::sandbox::{
    ArmedFault, Fault, FaultKind, Operation, Options, PROFILE, Sandbox, TOKEN, Tally,
};
use conversion_shim::server;
use conversion_shim::translate::side::Side;
use conversion_shim::upstream::UpstreamClient;
use conversion_shim::upstream::rate_limit::Budget;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::ledger::UNUSED;

pub(crate) const LEGACY: &str = "/v2/conversion/stablecoins";

/// In place of a key: its value is the path of a config file.
pub(crate) const FILE: &str = "(file)";

/// The values of some keys.
pub(crate) type Keys<'a> = &'a [(&'a str, &'a str)];

/// A legacy create.
pub(crate) fn conversion(ref_id: &str) -> Value {
    json!({
        "profile_id": PROFILE, "amount": "1.50", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": ref_id,
        "metadata": { "zebra": "1", "apple": "2" },
    })
}

/// A conversion as the old API holds it.
pub(crate) fn old_record(ref_id: &str, created_at: &str) -> Value {
    json!({
        "profile_id": PROFILE, "amount": "1.50", "source_asset": "USD", "target_asset": "PYUSD", "status": "SETTLED",
        "ref_id": ref_id, "created_at": created_at, "updated_at": created_at,
    })
}

/// The same as the new API holds it.
pub(crate) fn new_record(ref_id: &str, created_at: &str) -> Value {
    json!({
        "profile_id": PROFILE, "source_amount": "1.50", "source_asset": "USD", "destination_asset": "PYUSD",
        "status": "COMPLETED", "ref_id": ref_id, "source": { "profile": { "profile_id": PROFILE } },
        "destination": { "profile": { "profile_id": PROFILE } }, "created_at": created_at, "updated_at": created_at,
    })
}

/// A vendor with money, whose conversions settle only when told.
pub(crate) async fn vendor() -> Sandbox {
    let options = Options { settle_after: Duration::MAX, ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    assert!(sandbox.inspector().credit(PROFILE, "USD", "100000000"));
    sandbox
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} {:?}: {error}", self.status, self.body))
    }

    /// The document, having checked that it is a problem of this status.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:?}", self.body);
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(self.headers["content-type"], "application/json");
        problem
    }

    /// The id of the record that a 200 shows.
    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.json()["id"].as_str().unwrap().to_owned()
    }
}

/// A plain client of one proxy.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    origin: String,
    token: String,
}

impl Caller {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let http = plain().build().unwrap();
        Self { http, origin: format!("http://{address}"), token: TOKEN.to_owned() }
    }

    /// The same client, speaking HTTP/2.
    pub(crate) fn over_http2(&self) -> Self {
        Self { http: plain().http2_prior_knowledge().build().unwrap(), ..self.clone() }
    }

    /// Where the proxy listens.
    pub(crate) fn address(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    /// The same client with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Sends a request; an error when no whole answer comes, as when an answer that passes through breaks off.
    pub(crate) async fn try_ask(&self, method: Method, path: &str, body: String) -> reqwest::Result<Answer> {
        let request = self.http.request(method, format!("{}{path}", self.origin)).bearer_auth(&self.token);
        let request = if body.is_empty() { request } else { request.body(body) };
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: String) -> Answer {
        self.try_ask(method, path, body).await.unwrap()
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.ask(Method::POST, LEGACY, body.to_string()).await
    }

    /// A create with that `ref_id`.
    pub(crate) async fn create(&self, ref_id: &str) -> Answer {
        self.post(&conversion(ref_id)).await
    }

    pub(crate) async fn get(&self, id: &str) -> Answer {
        self.ask(Method::GET, &format!("{LEGACY}/{id}"), String::new()).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        self.ask(Method::DELETE, &format!("{LEGACY}/{id}"), String::new()).await
    }

    pub(crate) async fn list(&self, query: &str) -> Answer {
        self.ask(Method::GET, &format!("{LEGACY}?{query}"), String::new()).await
    }

    /// The ids of a whole listing, page by page, and how many pages it took.
    pub(crate) async fn all(&self, query: &str) -> (Vec<String>, usize) {
        let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = self.list(&format!("{query}{cursor}")).await;
            assert_eq!(page.status, 200, "{:?}", page.body);
            let page = page.json();
            let rows = page["items"].as_array().unwrap();
            ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            pages += 1;
            assert!(pages < 1000, "the listing does not end");
            match page["next_page_cursor"].as_str() {
                Some(next) => {
                    assert!(!rows.is_empty(), "an empty page that is not the last");
                    cursor = format!("&page_cursor={next}");
                }
                None => return (ids, pages),
            }
        }
    }
}

fn plain() -> reqwest::ClientBuilder {
    // The first of the tests wins, which is all that is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .timeout(Duration::from_secs(30))
}

/// One proxy in this process.
pub(crate) struct Proxy {
    pub(crate) client: Caller,
    pub(crate) budget: Budget,
    current: Arc<ArcSwap<Config>>,
    keys: Vec<(String, String)>,
    ledger: Option<Ledger>,
    served: JoinHandle<server::Drained>,
}

impl Proxy {
    /// Starts one with these keys.
    pub(crate) async fn start(keys: Keys<'_>, ledger: Option<Ledger>) -> Self {
        let keys: Vec<_> = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = read(&keys, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let upstream = UpstreamClient::new(&config.upstream).unwrap();
        let budget = upstream.budget().clone();
        let current = Arc::new(ArcSwap::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Caller::of(listener.local_addr().unwrap());
        let app = Arc::new(App::new(Arc::clone(&current), upstream, ledger.clone()));
        let served = tokio::spawn(server::serve(listener, app, None, std::future::pending()));
        Self { client, budget, current, keys, ledger, served }
    }

    /// Puts other keys into force, as a reload would: or says why not.
    pub(crate) async fn try_go(&self, keys: Keys<'_>) -> Result<(), Vec<ConfigProblem>> {
        let config = read(&self.keys, keys)?;
        if let Some(ledger) = &self.ledger {
            let since = ledger.reader().first_new_create_at().await.map_err(|_| Vec::new())?;
            let problems = config.check_against_history(since.is_some());
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        self.current.store(config);
        Ok(())
    }

    /// Puts other keys into force.
    pub(crate) async fn go(&self, keys: Keys<'_>) {
        while let Err(problems) = self.try_go(keys).await {
            // None of the config's: on a busy machine the ledger may take too long to answer.
            assert!(problems.is_empty(), "{keys:?}: {problems:?}");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.served.abort();
    }
}

fn read(base: &[(String, String)], more: Keys<'_>) -> Result<Arc<Config>, Vec<ConfigProblem>> {
    let base = base.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let (files, keys): (Vec<_>, Vec<_>) = base.chain(more.iter().copied()).partition(|(key, _)| *key == FILE);
    let file = files.last().map(|(_, path)| path.into());
    let flags = UNUSED.into_iter().chain(keys);
    let flags = flags.map(|(key, value)| Flag::new("--set", key, value)).collect();
    load(&Sources { file, flags, ..Sources::default() }).map(|loaded| loaded.config)
}

/// A sandbox, a ledger, a proxy in front of them, and a client.
pub(crate) struct TestBed {
    pub(crate) sandbox: Sandbox,
    pub(crate) ledger: Ledger,
    pub(crate) proxy: Proxy,
    pub(crate) client: Caller,
    pub(crate) dir: TempDir,
    url: String,
    token_url: String,
    ledger_url: String,
}

/// Old-API creates, while readers look on both sides.
pub(crate) const BACK: Keys<'static> = &[("stage", "hold"), ("routes.create", "legacy")];

impl TestBed {
    /// A test bed in that stage.
    pub(crate) async fn at(stage: &str) -> Self {
        Self::with(&[("stage", stage)]).await
    }

    /// A test bed with these keys.
    pub(crate) async fn with(keys: Keys<'_>) -> Self {
        Self::with_ledger(keys, |_| {}).await
    }

    /// A test bed whose ledger has further settings.
    pub(crate) async fn with_ledger(keys: Keys<'_>, set: impl FnOnce(&mut Settings)) -> Self {
        Self::before(vendor().await, keys, set).await
    }

    /// A test bed before that vendor.
    pub(crate) async fn before(sandbox: Sandbox, keys: Keys<'_>, set: impl FnOnce(&mut Settings)) -> Self {
        let dir = quick_dir();
        let ledger_url = format!("sqlite:{}", dir.path().join("ledger.db").display());
        let mut settings = Settings { timeout: Duration::from_secs(10), ..Settings::new(&ledger_url) };
        set(&mut settings);
        // On a busy machine opening may take longer than a call may.
        let ledger = loop {
            match Ledger::open(&settings).await {
                Err(OpenError::At { source, .. }) if matches!(*source, OpenError::Timeout(_)) => {}
                opened => break opened.unwrap(),
            }
        };
        let (url, token_url) = (sandbox.base_url(), sandbox.token_url());
        let keys = keyed(&url, &token_url, &ledger_url, keys);
        let proxy = Proxy::start(&keys, Some(ledger.clone())).await;
        let client = proxy.client.clone();
        Self { sandbox, ledger, proxy, client, dir, url, token_url, ledger_url }
    }

    /// Another proxy on the same ledger and vendor.
    pub(crate) async fn replica(&self, keys: Keys<'_>) -> Proxy {
        let keys = keyed(&self.url, &self.token_url, &self.ledger_url, keys);
        Proxy::start(&keys, Some(self.ledger.clone())).await
    }

    pub(crate) async fn go(&self, keys: Keys<'_>) {
        self.proxy.go(keys).await;
    }

    /// Puts a fault before one operation of one side.
    pub(crate) fn fault(&self, side: Side, operation: Operation, kind: FaultKind) -> ArmedFault {
        self.sandbox.faults().arm(Fault::new(kind).on(side, operation))
    }

    /// How many creates arrived at a side.
    pub(crate) fn posts(&self, side: Side) -> u64 {
        self.sandbox.inspector().arrived(side, Operation::Create)
    }

    /// How many conversions a reference has.
    pub(crate) fn made(&self, ref_id: &str) -> Tally {
        self.sandbox.inspector().conversions_by_ref().get(ref_id).copied().unwrap_or_default()
    }

    /// What the ledger says of a reference.
    pub(crate) async fn claim(&self, ref_id: &str) -> Option<Claim> {
        loop {
            match self.ledger.reader().claim_by_ref(Key::new("default", ref_id).unwrap()).await {
                // On a busy machine.
                Err(LedgerError::Timeout) => {}
                looked => return looked.unwrap(),
            }
        }
    }

    /// Makes one conversion on a side, through the proxy, and answers its id; the stage is `live` afterwards.
    pub(crate) async fn made_on(&self, side: Side, ref_id: &str) -> String {
        match side {
            Side::Legacy => self.go(BACK).await,
            Side::New => self.go(&[("stage", "live")]).await,
        }
        let id = self.client.create(ref_id).await.id();
        self.go(&[("stage", "live")]).await;
        assert!(self.sandbox.inspector().record(side, &id).is_some());
        id
    }
}

fn keyed<'a>(
    url: &'a str,
    token_url: &'a str,
    ledger_url: &'a str,
    keys: Keys<'a>,
) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("upstream.legacy.url", url), ("upstream.new.url", url), ("ledger.url", ledger_url)];
    all.push(("upstream.oauth.url", token_url));
    all.extend([("ledger.id", super::ledger::ID), ("ledger.new_in_use", "true")]);
    all.extend_from_slice(keys);
    all
}

/// A directory in memory where there is one: what these tests ask of a ledger is not that its disk is real.
fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The tally of one conversion on that side.
pub(crate) const fn one_on(side: Side) -> Tally {
    match side {
        Side::Legacy => Tally { legacy: 1, new: 0 },
        Side::New => Tally { legacy: 0, new: 1 },
    }
}
