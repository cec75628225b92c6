//! What clients ask, and whether the answers are true.

use conversion_shim::sandbox::{PROFILE, RefMatch, SECOND_PROFILE};
use conversion_shim::translate::side::Side;
use reqwest::Method;
use tokio::task::JoinHandle;

use super::super::oracle;
use super::{BEFORE, World};
use crate::support::test_bed::{Answer, LEGACY, conversion};

/// How far back a client's retries reach.
const WINDOW: u64 = 6;

/// One request of a client, and what it was answered; nothing, if the answer broke off or the client left.
pub(super) struct Asked {
    what: What,
    answer: Option<Answer>,
}

#[derive(Clone)]
enum What {
    Create {
        ref_id: String,
        amount: &'static str,
    },
    /// A record that existed before the request was made.
    Get {
        id: String,
    },
    Cancel {
        id: String,
    },
}

impl World {
    /// One request of some client to some proxy.
    pub(super) fn ask(&mut self, sealed: bool) -> JoinHandle<Asked> {
        self.counts.steps += 1;
        let client = self.proxies[self.dice.index(self.proxies.len())].client.clone();
        let (method, path, body, what) = match self.dice.below(10) {
            0..7 => {
                let (body, what) = self.create(sealed);
                (Method::POST, LEGACY.to_owned(), body, what)
            }
            one => {
                let id = self.known.iter().nth(self.dice.index(self.known.len())).unwrap().clone();
                let path = format!("{LEGACY}/{id}");
                match one {
                    7 => (Method::DELETE, path, String::new(), What::Cancel { id }),
                    _ => (Method::GET, path, String::new(), What::Get { id }),
                }
            }
        };
        tokio::spawn(async move {
            let answer = client.try_ask(method, &path, body).await.ok();
            Asked { what, answer }
        })
    }

    fn create(&mut self, sealed: bool) -> (String, What) {
        self.counts.creates += 1;
        // The old API is gone: what it made before there was a ledger cannot be known.
        let ref_id = if !sealed && self.dice.percent(15) {
            format!("before-{}", self.dice.below(BEFORE))
        } else {
            let back = self.dice.below(WINDOW).min(self.next_ref);
            self.next_ref += u64::from(self.dice.percent(50));
            let number = self.next_ref - back.min(self.next_ref);
            self.spelled(number)
        };
        self.tried.insert(ref_id.clone());
        let amount = if self.dice.percent(80) { "1.50" } else { "2" };
        let mut body = conversion(&ref_id);
        body["amount"] = amount.into();
        body["profile_id"] = if self.dice.percent(50) { PROFILE } else { SECOND_PROFILE }.into();
        (body.to_string(), What::Create { ref_id, amount })
    }

    /// A reference, at times as another one that the vendor takes for the same.
    fn spelled(&mut self, number: u64) -> String {
        let usual = if self.variants.plus_is_literal { format!("r {number}+") } else { format!("r{number}") };
        // Without the fact each of them takes all the time that there is.
        let often = if self.facts.is_empty() { 2 } else { 20 };
        match self.variants.ref_match {
            RefMatch::Case if self.dice.percent(often) => usual.to_uppercase(),
            RefMatch::Trim if self.dice.percent(often) => format!(" {usual} "),
            RefMatch::Exact | RefMatch::Case | RefMatch::Trim => usual,
        }
    }

    pub(super) async fn judge(&mut self, Asked { what, answer }: Asked, sealed: bool) {
        let Some(answer) = answer else { return };
        match (what, answer.status) {
            (What::Create { ref_id, amount }, 200) => {
                self.counts.accepted += 1;
                let known = if self.facts.is_empty() { RefMatch::Exact } else { self.variants.ref_match };
                self.known.insert(oracle::accepted(&self.house, (&ref_id, amount), known, &answer).await);
            }
            (What::Create { ref_id, .. }, 409) => {
                self.counts.conflicts += 1;
                self.known.extend(oracle::conflict(&self.house, &ref_id, &answer));
            }
            (What::Create { .. }, 504) => self.counts.unknown += 1,
            (What::Create { .. }, 503) => self.counts.unavailable += 1,
            (What::Create { .. }, _) => {}
            (What::Get { id }, status) => {
                self.counts.gets += 1;
                assert!(status != 404 || sealed, "{id} exists: {:?}", answer.body);
            }
            (What::Cancel { id }, status) => {
                assert!(status != 404 || sealed, "{id} exists: {:?}", answer.body);
                let legacy = self.house.sandbox.inspector().record(Side::Legacy, &id);
                let is_cancelled = legacy.is_some_and(|record| record["status"] == "CANCELLED");
                assert!(status != 200 || is_cancelled, "{id} was not cancelled: {:?}", answer.body);
            }
        }
    }
}
