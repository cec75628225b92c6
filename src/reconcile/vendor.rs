//! The vendor over HTTP, as a source of a walk. Reads only; every call takes a turn of the lowest class under the rate limit and has a
//! connection of its own, so that no answer can be another request's. After a 429 it waits as long as the vendor asks, and where it does not
//! say, as long as the vendor's lock-out lasts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::{Instant, sleep, timeout};

use super::source::{PageCall, RecordSource, WalkError, WalkLookup};
use crate::config::Config;
use crate::failure::error_chain::error_chain;
use crate::http::headers::IDENTITY;
use crate::telemetry::drift::{DriftLog, ReadAnswer};
use crate::translate::evidence::{
    self, DoubtfulPage, Finding, Reply, UnknownDigests, WalkPage, WalkedRecord, lookup_path, read_walk_page,
};
use crate::translate::list::{Call, ListQuery};
use crate::translate::mapping::Origin;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::rate_limit::{Budget, Endpoint};
use crate::upstream::readonly_client::{Read, ReadError, ReadRequest, ReadonlyClient};
use crate::upstream::{self, TrustError, UpstreamClient};

/// Calls until one is answered.
const TRIES: usize = 4;
/// The pause after a call without an answer; doubled after each.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause between two looks for a turn under the rate limit.
const TURN_EVERY: Duration = Duration::from_millis(50);
/// Longest wait for a turn: longer than any cool-down after a 429.
const TURN_WITHIN: Duration = Duration::from_secs(20 * 60);
/// Longest wait of one call after 429s, all of them together.
const THROTTLED_WITHIN: Duration = Duration::from_secs(30 * 60);

#[derive(Debug)]
pub struct VendorSource {
    client: ReadonlyClient,
    config: Arc<Config>,
    token: Option<HeaderValue>,
    calls: AtomicU64,
    drift: Arc<DriftLog>,
    budget: Budget,
    /// What it waits for after a 429, and until when.
    waits: Mutex<Option<(String, Instant)>>,
}

impl VendorSource {
    /// A source that trusts whom `upstream` trusts, and spends the background share of `budget`. `token` is a value of `Authorization`, used where the config has no
    /// credentials that may read.
    ///
    /// # Errors
    /// When a certificate or a key cannot be read.
    pub fn new(
        config: Arc<Config>,
        upstream: &UpstreamClient,
        budget: Budget,
        token: Option<HeaderValue>,
    ) -> Result<Self, TrustError> {
        let (calls, drift) = (AtomicU64::new(0), upstream.drift().clone());
        let client = ReadonlyClient::on_fresh_connections(&config.upstream, upstream, budget.clone())?;
        Ok(Self { client, config, token, calls, drift, budget, waits: Mutex::default() })
    }

    /// In a process whose budget no client shares: a cool-down slows it down, and does not stop it.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { client: self.client.alone(), ..self }
    }

    /// What the walk waits for after a 429, for people; `None` if it does not.
    #[must_use]
    pub fn wait(&self) -> Option<String> {
        let (why, until) = self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(format!("waits {} s: {why}", seconds(until.saturating_duration_since(Instant::now()))))
    }

    /// Why the walk is slower than usual, for people; `None` if it is not.
    #[must_use]
    pub fn delay(&self) -> Option<String> {
        let left = seconds(self.budget.cooldown_left()?);
        Some(format!("slowed down after a 429 for {left} s more"))
    }

    /// Waits after a 429, as long as the vendor asks. Fails once a call has waited for too long.
    async fn wait_out(&self, side: Side, read: &Read, waited: Duration) -> Result<Duration, WalkError> {
        let (lock_out, is_alone) = (self.config.budget.cooldown, self.client.is_alone());
        let (wait, why) = match read.retry_after {
            Some(wait) if is_alone => (wait, format!("the {side} side answered 429 and asked for it")),
            // The vendor's lock-out lasts so long, and further calls may prolong it. Beside clients the budget has no turn for a walk meanwhile.
            wait => (lock_out.max(wait.unwrap_or_default()), format!("the {side} side answered 429")),
        };
        // A wait that was too short is not repeated for ever.
        let wait = wait.max(PAUSE).max(waited);
        if waited + wait > THROTTLED_WITHIN {
            return Err(WalkError::Doubtful { side, reason: DoubtfulPage::Throttled });
        }
        tracing::warn!(target: "reconcile", "waits {} s: {why}", seconds(wait));
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = Some((why, Instant::now() + wait));
        sleep(wait).await;
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(delay) = self.delay().filter(|_| is_alone) {
            tracing::info!(target: "reconcile", "goes on, {delay}");
        }
        Ok(waited + wait)
    }

    /// Whether there are credentials for a side.
    #[must_use]
    pub fn has_credentials(&self, side: Side) -> bool {
        self.token.is_some() || self.config.auth.reading_credentials(side).is_some()
    }

    /// Calls to the vendor so far, those for tokens left out.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Asks until there is an answer: reads may be repeated.
    async fn get(&self, side: Side, endpoint: Endpoint, path: &str) -> Result<Read, WalkError> {
        let mut pause = PAUSE;
        let mut failed = WalkError::NoAnswer { side, reason: "no call was made".into() };
        let (mut tries, mut waited) = (0, Duration::ZERO);
        while tries < TRIES {
            match self.once(side, endpoint, path).await {
                Ok(read) if read.status == StatusCode::TOO_MANY_REQUESTS => {
                    waited = self.wait_out(side, &read, waited).await?;
                    continue;
                }
                Ok(read) if read.status.is_server_error() => {
                    failed = WalkError::NoAnswer { side, reason: format!("status {}", read.status.as_u16()) };
                }
                Ok(read) => return Ok(read),
                Err(error) => failed = error,
            }
            tries += 1;
            sleep(pause).await;
            pause *= 2;
        }
        Err(failed)
    }

    async fn once(&self, side: Side, endpoint: Endpoint, path: &str) -> Result<Read, WalkError> {
        let no_answer = |reason: String| WalkError::NoAnswer { side, reason };
        let uri = upstream::call(self.config.upstream.side(side), path);
        let uri = uri.ok_or_else(|| no_answer("the path makes no address".into()))?;
        let until = Instant::now() + TURN_WITHIN;
        loop {
            let asked =
                timeout(self.config.timeouts.list, self.client.get(self.request(side, endpoint, &uri)));
            match asked.await {
                Err(_) => return Err(no_answer("no answer in time".into())),
                Ok(Ok(read)) => {
                    self.calls.fetch_add(1, Ordering::Relaxed);
                    return Ok(read);
                }
                // Clients come first: a walk waits for what they leave.
                Ok(Err(ReadError::OverBudget)) if Instant::now() < until => sleep(TURN_EVERY).await,
                Ok(Err(error)) => return Err(no_answer(error_chain(&error))),
            }
        }
    }

    fn notice(&self, side: Side, read: &Read, unknown_digests: &UnknownDigests) {
        let content_type = evidence::content_type(&read.headers);
        let answer = ReadAnswer { side, status: read.status.as_u16(), content_type, body: &read.body };
        self.drift.notice(unknown_digests.digest(content_type), answer);
    }

    fn request<'a>(&'a self, side: Side, endpoint: Endpoint, uri: &'a http::Uri) -> ReadRequest<'a> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        // A cache in between may hold a list of before, which would call new records missing.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let credential_set = self.config.auth.reading_credentials(side).filter(|_| self.token.is_none());
        headers.extend(self.token.clone().map(|token| (header::AUTHORIZATION, token)));
        let max = self.config.limits.response_body_max;
        let until = Instant::now() + self.config.timeouts.list;
        ReadRequest { uri, side, endpoint, headers, credential_set, config: &self.config, max, until }
    }
}

/// Rounded up, so that a wait never shows as none.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn reply<'a>(read: &'a Read, unknown_digests: &'a UnknownDigests) -> Reply<'a> {
    Reply {
        status: read.status.as_u16(),
        headers: &read.headers,
        body: &read.body,
        unknown_digests: Some(unknown_digests),
    }
}

impl RecordSource for VendorSource {
    async fn page(&self, call: &PageCall<'_>) -> Result<WalkPage, WalkError> {
        let side = call.side;
        let after = call.after.map(str::to_owned);
        let path =
            ListQuery::ascending(call.begin, call.end).path(&Call { after, ..Call::first(side, call.limit) });
        let read = self.get(side, Endpoint::List(side), &path).await?;
        let unknown_digests = UnknownDigests::default();
        let page = read_walk_page(side, &reply(&read, &unknown_digests), self.config.facts);
        self.notice(side, &read, &unknown_digests);
        page.map_err(|reason| WalkError::Doubtful { side, reason })
    }

    async fn by_ref(&self, side: Side, ref_id: &str) -> Result<WalkLookup, WalkError> {
        let read = self.get(side, Endpoint::List(side), &lookup_path(side, ref_id)).await?;
        // Whatever carries a rule's id may have been made here.
        let (unknown_digests, facts) = (UnknownDigests::default(), self.config.facts);
        let finding =
            evidence::read(side, &reply(&read, &unknown_digests), ref_id, Origin::OwnReference, facts);
        self.notice(side, &read, &unknown_digests);
        let doubtful = |reason| Err(WalkError::Doubtful { side, reason });
        match finding {
            Finding::Absent => Ok(WalkLookup::Absent),
            Finding::OtherKind => Ok(WalkLookup::OtherKind),
            Finding::Found(found) => match WalkedRecord::of_conversion(side, &found.json) {
                Some(record) => Ok(WalkLookup::Found(record)),
                None => doubtful(DoubtfulPage::Unbelievable("a record has no id or no time")),
            },
            Finding::Unauthorized => doubtful(DoubtfulPage::Unauthorized),
            Finding::Forbidden => doubtful(DoubtfulPage::Forbidden),
            Finding::Throttled => doubtful(DoubtfulPage::Throttled),
            Finding::Nothing(why) => doubtful(DoubtfulPage::Unbelievable(why)),
        }
    }

    async fn by_id(&self, side: Side, id: &str) -> Result<Option<WalkedRecord>, WalkError> {
        let read = self.get(side, Endpoint::Get(side), &Id::known(id).path_on(side)).await?;
        let unknown_digests = UnknownDigests::default();
        let answer = reply(&read, &unknown_digests);
        if evidence::is_not_found(&answer) {
            self.notice(side, &read, &unknown_digests);
            return Ok(None);
        }
        let found = (answer.status == 200).then(|| evidence::found_conversion(side, answer.body)).flatten();
        let record = found.and_then(|found| WalkedRecord::of_conversion(side, &found.json));
        match record.filter(|record| record.id == id) {
            Some(record) => Ok(Some(record)),
            None => {
                let reason =
                    DoubtfulPage::Unbelievable("the answer to a get is neither the record nor a 404");
                Err(WalkError::Doubtful { side, reason })
            }
        }
    }
}
