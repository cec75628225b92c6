//! Clients of the old API: they create with a reference, and ask again with the same one until they know how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use conversion_shim::ledger::{Key, Reader, Settings};
use conversion_shim::sandbox::{Dice, Inspector, PROFILE, SECOND_PROFILE, TOKEN};
use conversion_shim::translate::side::Side;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::FORTUNE;

pub(crate) const CONVERSIONS: &str = "/v2/conversion/stablecoins";

/// What a client wants converted.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) ref_id: String,
    profile: &'static str,
    cents: u64,
}

impl Order {
    pub(crate) fn new(ref_id: impl Into<String>, dice: &mut Dice) -> Self {
        let profile = dice.pick([PROFILE, SECOND_PROFILE]);
        Self { ref_id: ref_id.into(), profile, cents: 1 + dice.below(100_000) }
    }

    fn amount(&self) -> String {
        format!("{}.{:02}", self.cents / 100, self.cents % 100)
    }

    pub(crate) fn to_conversion(&self) -> Value {
        json!({
            "ref_id": self.ref_id, "profile_id": self.profile, "amount": self.amount(),
            "source_asset": "USD", "target_asset": "PYUSD",
        })
    }

    pub(crate) fn to_orchestration(&self) -> Value {
        let profile = json!({ "profile": { "profile_id": self.profile } });
        json!({
            "ref_id": self.ref_id, "source_amount": self.amount(), "source_asset": "USD",
            "destination_asset": "PYUSD", "source": profile, "destination": profile,
        })
    }
}

/// A client's HTTP library.
#[derive(Clone)]
pub(crate) struct Http(reqwest::Client);

impl Http {
    pub(crate) fn new() -> Self {
        Self(builder().build().unwrap())
    }

    /// One that speaks HTTP/2: the server hears of it at once when a client leaves. Over HTTP/1.1 it cannot tell a client that
    /// has left from one that has only said its last word.
    pub(crate) fn two() -> Self {
        Self(builder().http2_prior_knowledge().build().unwrap())
    }

    /// Status and JSON, or nothing: the connection broke or the time of the client is over.
    pub(crate) async fn get(&self, to: SocketAddr, path: &str) -> Option<(u16, Value)> {
        let request = self.0.get(format!("http://{to}{path}"));
        read(request.timeout(Duration::from_secs(20))).await
    }

    /// As [`get`](Self::get).
    pub(crate) async fn post(
        &self,
        to: SocketAddr,
        path: &str,
        body: &Value,
        wait_max: Duration,
    ) -> Option<(u16, Value)> {
        let request = self.0.post(format!("http://{to}{path}")).body(body.to_string());
        read(request.timeout(wait_max)).await
    }

    /// Every id of the whole list, page by page.
    pub(crate) async fn list(&self, to: SocketAddr) -> Vec<String> {
        let (mut ids, mut path) = (Vec::new(), format!("{CONVERSIONS}?limit=1000&order=ASC"));
        loop {
            let (status, page) = self.get(to, &path).await.expect("a page");
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().expect("items");
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_page_cursor"].as_str() else { return ids };
            assert!(!items.is_empty(), "a page is never empty while more exist");
            path = format!("{CONVERSIONS}?limit=1000&order=ASC&page_cursor={cursor}");
        }
    }
}

fn builder() -> reqwest::ClientBuilder {
    // The first of the tests wins, which is all that is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

async fn read(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.bearer_auth(TOKEN).send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.json().await.ok()?))
}

/// The conversion that an answer to a create speaks of; nothing while the client has to ask again.
pub(crate) fn conversion_id(status: u16, body: &Value) -> Result<Option<String>, String> {
    let id = match status {
        200 => &body["id"],
        // The vendor showed no record, and it could not be looked up.
        409 if body["type"].as_str().is_some_and(|kind| kind.ends_with("/already-exists")) => {
            match &body["meta"]["existing"]["id"] {
                Value::Null => return Ok(None),
                id => id,
            }
        }
        401 | 403 | 408 | 429 | 500..=599 => return Ok(None),
        _ => return Err(format!("a create was answered {status}: {body}")),
    };
    id.as_str().map(|id| Some(id.to_owned())).ok_or_else(|| format!("{status} without an id: {body}"))
}

/// What the clients asked for and what they were answered. The inspector must agree.
#[derive(Default)]
pub(crate) struct Register(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    orders: BTreeMap<String, Order>,
    /// Every id that a reference was answered with.
    answered_ids: BTreeMap<String, Vec<String>>,
    answers: usize,
    /// Whether the ledger loses what is written now, and the references that were asked for meanwhile.
    loses: bool,
    lost: BTreeSet<String>,
    wrong: Vec<Wrong>,
}

/// What no client should ever see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Doubled,
    Lost,
    FalseNotFound,
    FalseRefusal,
    Other,
}

pub(crate) type Wrong = (Kind, String);

impl Register {
    pub(crate) fn ordered(&self, order: &Order) {
        self.0.lock().unwrap().orders.insert(order.ref_id.clone(), order.clone());
    }

    pub(crate) fn record_answer(&self, order: &Order, id: String) {
        let mut entries = self.0.lock().unwrap();
        entries.answers += 1;
        entries.answered_ids.entry(order.ref_id.clone()).or_default().push(id);
    }

    /// A reference is asked for, again perhaps.
    pub(crate) fn asked(&self, order: &Order) {
        let mut entries = self.0.lock().unwrap();
        if entries.loses {
            entries.lost.insert(order.ref_id.clone());
        }
    }

    /// How many answers named a conversion.
    pub(crate) fn answers(&self) -> usize {
        self.0.lock().unwrap().answers
    }

    /// From now on the ledger loses what is written.
    pub(crate) fn begin_to_lose(&self) {
        self.0.lock().unwrap().loses = true;
    }

    pub(crate) fn end_to_lose(&self) {
        self.0.lock().unwrap().loses = false;
    }

    /// Something that no client should ever see.
    pub(crate) fn wrong(&self, kind: Kind, what: String) {
        self.0.lock().unwrap().wrong.push((kind, what));
    }

    /// How many references were asked for.
    pub(crate) fn orders(&self) -> usize {
        self.0.lock().unwrap().orders.len()
    }

    /// Compares the inspector with what was asked for, answered and claimed. Every order was seen through to its end.
    pub(crate) async fn balance(&self, inspector: &Inspector, ledger: &str) -> Audit {
        let reader = Reader::open(&Settings::new(ledger)).await.unwrap();
        let mut audit = self.entries();
        let tallies = inspector.conversions_by_ref();
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        let entries = audit.orders.clone();
        let one = |ref_id: &&String| tallies.get(*ref_id).is_some_and(|tally| tally.legacy + tally.new == 1);
        // Several at a time: a long run has a million.
        let claims = entries
            .keys()
            .filter(one)
            .map(|ref_id| reader.claim_by_ref(Key::new("default", ref_id).unwrap()));
        let mut claims = pin!(stream::iter(claims).buffered(8).map(Result::unwrap));
        for (ref_id, order) in &entries {
            let tally = tallies.get(ref_id).copied().unwrap_or_default();
            let kind = match tally.legacy + tally.new {
                0 => Kind::Lost,
                1 => Kind::Other,
                _ => Kind::Doubled,
            };
            if kind != Kind::Other {
                audit.wrong(kind, format!("{ref_id} is not one conversion: {tally:?}"));
                continue;
            }
            *sums.entry(order.profile).or_default() += order.cents;
            let side = if tally.legacy == 1 { Side::Legacy } else { Side::New };
            let claim = claims.next().await.expect("as many claims as conversions");
            match claim {
                Some(claim) if claim.side == side => audit.check(inspector, side, ref_id, claim.record_id),
                // Both sides show it: the claim knows the mirror, and is not sent.
                Some(claim)
                    if claim
                        .record_id
                        .as_ref()
                        .is_some_and(|id| shows(inspector, claim.side, id, ref_id)) =>
                {
                    audit.check(inspector, side, ref_id, None);
                }
                // Its claim was lost, and nobody asked for it afterwards.
                None if audit.lost.contains(ref_id) => audit.check(inspector, side, ref_id, None),
                // The record was there before, and its own side could not be asked: nothing was sent for this claim.
                Some(claim) if claim.record_id.is_none() => audit.check(inspector, side, ref_id, None),
                claim => {
                    audit.wrong(Kind::Other, format!("{ref_id} is on {side}, but its claim is {claim:?}"))
                }
            }
            *(if side == Side::Legacy { &mut audit.legacy } else { &mut audit.new }) += 1;
        }
        let unknown = tallies.keys().filter(|ref_id| !entries.contains_key(*ref_id));
        audit.wrong.extend(unknown.map(|ref_id| (Kind::Other, format!("{ref_id} was never asked for"))));
        audit.check_all_money(inspector, &sums);
        audit
    }

    fn entries(&self) -> Audit {
        let entries = self.0.lock().unwrap();
        Audit {
            legacy: 0,
            new: 0,
            wrong: entries.wrong.clone(),
            orders: entries.orders.clone(),
            answered_ids: entries.answered_ids.clone(),
            lost: entries.lost.clone(),
            ids: Vec::new(),
        }
    }
}

/// Whether the side shows a record with that id and reference.
fn shows(inspector: &Inspector, side: Side, id: &str, ref_id: &str) -> bool {
    inspector.record(side, id).is_some_and(|record| record["ref_id"] == *ref_id)
}

/// What came of comparing.
pub(crate) struct Audit {
    pub(crate) legacy: usize,
    pub(crate) new: usize,
    pub(crate) wrong: Vec<Wrong>,
    /// The id of every conversion.
    pub(crate) ids: Vec<String>,
    orders: BTreeMap<String, Order>,
    answered_ids: BTreeMap<String, Vec<String>>,
    lost: BTreeSet<String>,
}

impl Audit {
    fn check_all_money(&mut self, inspector: &Inspector, sums: &BTreeMap<&str, u64>) {
        for profile in [PROFILE, SECOND_PROFILE] {
            self.check_money(inspector, profile, sums.get(profile).copied().unwrap_or_default());
        }
    }

    /// Whatever was answered about a reference, and what its claim remembers, is the record that exists.
    fn check(&mut self, inspector: &Inspector, side: Side, ref_id: &str, remembered: Option<String>) {
        let mut ids = self.answered_ids.get(ref_id).cloned().unwrap_or_default();
        if ids.is_empty() {
            self.wrong(Kind::Other, format!("{ref_id} was never answered"));
        }
        ids.extend(remembered);
        ids.sort();
        ids.dedup();
        for id in &ids {
            if !shows(inspector, side, id, ref_id) {
                self.wrong(
                    Kind::Lost,
                    format!("{ref_id} was answered with {id}, which {side} does not hold for it"),
                );
            }
        }
        self.ids.extend(ids);
    }

    fn check_money(&mut self, inspector: &Inspector, profile: &str, cents: u64) {
        let plain = |cents: u64| {
            let text = format!("{}.{:02}", cents / 100, cents % 100);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let expected = [("USD", plain(FORTUNE * 100 - cents)), ("PYUSD", plain(cents))];
        for (asset, expected) in expected {
            let balance = inspector.balance(profile, asset);
            if balance != expected {
                self.wrong(
                    Kind::Other,
                    format!("{profile} has {balance} {asset} and should have {expected}"),
                );
            }
        }
    }

    fn wrong(&mut self, kind: Kind, what: String) {
        self.wrong.push((kind, what));
    }

    /// How many things of that kind are wrong.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.wrong.iter().filter(|(other, _)| *other == kind).count()
    }

    /// Fails with everything that is wrong, the worst first.
    pub(crate) fn assert_clean(&self) {
        let mut wrong = self.wrong.clone();
        wrong.sort();
        let first: Vec<_> = wrong.iter().take(20).map(|(kind, what)| format!("{kind:?}: {what}")).collect();
        assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), first.join("\n"));
    }
}
