//! Clients of the old API. They create, retry with the same reference, poll, list and cancel, each by a plan that follows from the seed,
//! and keep the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::exchange::{Http, HttpReply};
use crate::sandbox::{Dice, PROFILE, SECOND_PROFILE};
use crate::translate::paths::CONVERSIONS;

/// Pause of a client between two calls, in milliseconds.
const PAUSE: (u64, u64) = (40, 160);
/// Pause before a create without an outcome is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(150);

/// A reference and its client's answer.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) reference: String,
    /// The id of the conversion; `None` until the client knows it.
    pub(super) id: Option<String>,
}

/// What clients sent, and the answers. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Register(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    ids: BTreeMap<String, Option<String>>,
    newest: Option<String>,
    met: u64,
    wrong: usize,
}

impl Register {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the first byte is sent.
    fn sent(&self, reference: &str) {
        self.entries().ids.entry(reference.to_owned()).or_default();
    }

    fn record_answer(&self, reference: &str, answered: AnsweredCreate) {
        let mut entries = self.entries();
        let before = entries.ids.get(reference).cloned().flatten();
        entries.met += u64::from(answered.existed && before.is_none_or(|before| before == answered.id));
        match entries.ids.insert(reference.to_owned(), Some(answered.id.clone())).flatten() {
            Some(before) if before != answered.id => entries.wrong += 1,
            _ => entries.newest = Some(answered.id),
        }
    }

    fn false_not_found(&self) {
        self.entries().wrong += 1;
    }

    /// The id in the client's last answer.
    pub(super) fn newest(&self) -> Option<String> {
        self.entries().newest.clone()
    }

    /// Creates that were answered with the conversion that their reference had already.
    pub(super) fn met(&self) -> u64 {
        self.entries().met
    }

    pub(super) fn references(&self) -> usize {
        self.entries().ids.len()
    }

    /// Every reference, and the number of answers that contradict an earlier one.
    pub(super) fn snapshot(&self) -> (Vec<Entry>, usize) {
        let entries = self.entries();
        let each = entries.ids.iter();
        let each = each.map(|(reference, id)| Entry { reference: reference.clone(), id: id.clone() });
        (each.collect(), entries.wrong)
    }
}

/// The conversion that an answer to a create names.
struct AnsweredCreate {
    id: String,
    /// A 409: it was there before.
    existed: bool,
}

/// `None`: the client has to ask again.
fn answered_create(reply: &HttpReply) -> Option<AnsweredCreate> {
    let body = reply.json();
    let (id, existed) = match reply.status {
        200 => (&body["id"], false),
        409 => (&body["meta"]["existing"]["id"], true),
        _ => return None,
    };
    Some(AnsweredCreate { id: id.as_str()?.to_owned(), existed })
}

/// The running clients. Dropping it ends them.
pub(super) struct Fleet {
    register: Register,
    clients: JoinSet<()>,
    no_more: CancellationToken,
}

impl Fleet {
    pub(super) fn start(seed: u64, count: usize, url: &str) -> Self {
        let (register, no_more) = (Register::default(), CancellationToken::new());
        let (mut dice, http) = (Dice::new(seed), Http::new());
        let mut clients = JoinSet::new();
        for number in 1..=count {
            let client = Client {
                name: format!("client-{number}"),
                dice: dice.fork(),
                url: format!("{url}{CONVERSIONS}"),
                http: http.clone(),
                register: register.clone(),
                orders: Vec::new(),
            };
            clients.spawn(client.run(no_more.clone()));
        }
        Self { register, clients, no_more }
    }

    pub(super) fn register(&self) -> Register {
        self.register.clone()
    }

    /// Lets every client finish what it began, within that time.
    pub(super) async fn finish(mut self, limit: Duration) {
        self.no_more.cancel();
        let all = async { while self.clients.join_next().await.is_some() {} };
        let _ = timeout(limit, all).await;
    }
}

struct Order {
    reference: String,
    body: Bytes,
    id: String,
}

struct Client {
    name: String,
    dice: Dice,
    /// The collection of conversions at the proxy.
    url: String,
    http: Http,
    register: Register,
    orders: Vec<Order>,
}

impl Client {
    async fn run(mut self, no_more: CancellationToken) {
        while !no_more.is_cancelled() {
            match self.dice.below(100) {
                0..45 => self.create().await,
                45..65 => self.repeat().await,
                65..80 => self.poll().await,
                80..95 => self.list().await,
                _ => self.cancel().await,
            }
            sleep(self.dice.milliseconds(PAUSE.0, PAUSE.1)).await;
        }
    }

    /// Sends a new create until its outcome is known, as the vendor's documents ask for.
    async fn create(&mut self) {
        let reference = format!("{}-{}", self.name, self.orders.len() + 1);
        let profile = self.dice.pick([PROFILE, SECOND_PROFILE]);
        let amount = format!("{}.{:02}", 1 + self.dice.below(500), self.dice.below(100));
        let body = json!({
            "ref_id": reference, "profile_id": profile, "amount": amount,
            "source_asset": "USD", "target_asset": "PYUSD",
        });
        self.register.sent(&reference);
        let body = Bytes::from(body.to_string());
        let id = self.conclude(&reference, &body).await;
        self.orders.push(Order { reference, body, id });
    }

    /// Sends an older create once more, of any stage before.
    async fn repeat(&mut self) {
        let Some(order) = self.orders.get(self.dice.index(self.orders.len())) else { return };
        let (reference, body) = (order.reference.clone(), order.body.clone());
        self.conclude(&reference, &body).await;
    }

    /// Ends with the fleet at the latest.
    async fn conclude(&self, reference: &str, body: &Bytes) -> String {
        loop {
            let reply = self.http.send(Method::POST, &self.url, &self.name, body.clone()).await;
            if let Some(answered) = reply.as_ref().and_then(answered_create) {
                let id = answered.id.clone();
                self.register.record_answer(reference, answered);
                return id;
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    async fn poll(&mut self) {
        let Some(id) = self.known_id() else { return };
        let reply = self.http.get(&format!("{}/{id}", self.url), &self.name).await;
        if reply.is_some_and(|reply| reply.status == 404) {
            self.register.false_not_found();
        }
    }

    async fn list(&mut self) {
        let order = if self.dice.below(2) == 0 { "ASC" } else { "DESC" };
        let url = format!("{}?profile_id={PROFILE}&order={order}&limit=20", self.url);
        self.http.get(&url, &self.name).await;
    }

    async fn cancel(&mut self) {
        let Some(id) = self.known_id() else { return };
        let url = format!("{}/{id}", self.url);
        self.http.send(Method::DELETE, &url, &self.name, Bytes::new()).await;
    }

    fn known_id(&mut self) -> Option<String> {
        self.orders.get(self.dice.index(self.orders.len())).map(|order| order.id.clone())
    }
}
