//! Everything around the shipped code: the vendor, the ledger, two replicas, what is under way, and the time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::event::BodyKind;
use super::ledger::{LONGEST_CREATE, SimulatedLedger, Statement};
use super::setting::{Setting, Special};
use super::under_way::{Listing, Post, Promise, Replica, Request};
use crate::config::{Canary, Mode, Stage};
use crate::routes::RecordSideCache;
use crate::routes::create::events::{ClaimState, CreateDecision};
use crate::routes::create::rules::Rules;
use crate::sandbox::{
    CUSTOMER, DrivenCall, DrivenReply, DrivenVendor, Mirror, PROFILE, SECOND_PROFILE, Variants,
};
use crate::translate::create::CreateRequest;
use crate::translate::facts::{self, Facts};
use crate::translate::side::Side;

/// 2026-01-01, in microseconds.
const BEGINNING: i64 = 1_767_225_600_000_000;
/// How long a list may lag, in microseconds.
pub(super) const LAG: i64 = 10 * 60 * 1_000_000;
const MILLISECOND: i64 = 1_000;
/// Ledgers of the past that may be restored.
const PAST_LEDGERS: usize = 3;

pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) rules: Rules,
    pub(super) now: i64,
    pub(super) vendor: DrivenVendor,
    /// By side: since when reads do not show what is made.
    pub(super) lags: [Option<i64>; 2],
    pub(super) ledger: SimulatedLedger,
    /// As it was before its last writes, the newest first.
    pub(super) past: VecDeque<SimulatedLedger>,
    pub(super) late: Option<Statement>,
    pub(super) replicas: [Replica; 2],
    pub(super) requests: BTreeMap<u32, Request>,
    pub(super) posts: BTreeMap<u32, Post>,
    pub(super) posts_made: u32,
    pub(super) listings: BTreeMap<u8, Listing>,
    /// Ids of records that clients may ask for.
    pub(super) ids: Vec<String>,
    /// References for which a create came.
    pub(super) asked: Vec<bool>,
    /// A ledger that lost claims was accepted.
    pub(super) lost: bool,
    /// A create without a claim was sent.
    pub(super) unclaimed_sent: bool,
    pub(super) canary: Canary,
    pub(super) counts: Counts,
    /// The decision that the last request came to.
    pub(super) decided: Option<CreateDecision>,
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub(crate) creates: u64,
    /// Conversions that the vendor made.
    pub conversions: u64,
    pub(crate) gets: u64,
    pub(crate) pages: u64,
    /// Listings that were read to their end and compared.
    pub listings: u64,
    /// Changes of a replica's stage.
    pub stages: u64,
    pub(crate) crashes: u64,
    /// Ledgers that went back in time.
    pub restores: u64,
    pub(crate) walks: u64,
}

impl Counts {
    pub(super) const fn add(&mut self, other: &Self) {
        self.creates += other.creates;
        self.conversions += other.conversions;
        self.gets += other.gets;
        self.pages += other.pages;
        self.listings += other.listings;
        self.stages += other.stages;
        self.crashes += other.crashes;
        self.restores += other.restores;
        self.walks += other.walks;
    }
}

impl World {
    pub(super) fn new(setting: Setting, rules: Rules) -> Self {
        let variants =
            Variants { mirror: setting.mirror, repeated_ref: setting.repeated_ref, ..Variants::default() };
        let settle_after = Duration::from_secs(2);
        let replica = |number: usize| Replica {
            stage: setting.stages[number],
            record_sides: RecordSideCache::default(),
            has_ledger: number == 0 || setting.special != Special::WithoutLedger,
        };
        let opened_new = setting.stages.into_iter().any(creates_on_new);
        let mut world = Self {
            setting,
            rules,
            now: BEGINNING,
            vendor: DrivenVendor::new(variants, settle_after, timestamp(BEGINNING)),
            lags: [None; 2],
            ledger: SimulatedLedger { opened_new, ..SimulatedLedger::default() },
            past: VecDeque::new(),
            late: None,
            replicas: [replica(0), replica(1)],
            requests: BTreeMap::new(),
            posts: BTreeMap::new(),
            posts_made: 0,
            listings: BTreeMap::new(),
            ids: vec!["3b9d1f3c-0000-4000-8000-000000000000".into()],
            asked: vec![false; setting.references],
            lost: false,
            unclaimed_sent: false,
            canary: Canary { profiles: [PROFILE.to_owned()].into(), percent: 0, salt: String::new() },
            counts: Counts::default(),
            decided: None,
        };
        world.ledger.withdraw(BEGINNING, rules);
        world.prepare();
        world
    }

    fn prepare(&mut self) {
        match self.setting.special {
            Special::Older => {
                self.create(Side::Legacy, 0, BodyKind::Usual);
            }
            Special::Withdrawal => {
                let withdrawal = json!({
                    "profile_id": PROFILE, "ref_id": reference_name(0), "source_asset": "USD",
                    "destination_asset": "PYUSD", "source_amount": "100", "status": "COMPLETED",
                    "customer_id": CUSTOMER, "source": { "profile": { "profile_id": PROFILE } },
                    "destination": { "crypto": { "address": "0x1", "network": "ETHEREUM" } },
                });
                if let serde_json::Value::Object(body) = withdrawal {
                    let id = self.vendor.insert(body);
                    self.ids.push(id);
                }
            }
            _ => {}
        }
        // Everything that was there before is older than any lag.
        self.pass(2 * LAG);
    }

    /// Lets time pass. What is too old ends: lags, and POSTs under way.
    pub(super) fn pass(&mut self, microseconds: i64) {
        self.now += microseconds;
        self.vendor.set_now(timestamp(self.now));
        let now = self.now;
        for lag in &mut self.lags {
            *lag = lag.filter(|since| now - since < LAG);
        }
        self.posts.retain(|_, post| now - post.sent_at < LONGEST_CREATE);
    }

    pub(super) fn pass_a_moment(&mut self, milliseconds: i64) {
        self.pass(milliseconds * MILLISECOND);
    }

    pub(super) fn call(&mut self, side: Side, call: DrivenCall<'_>) -> DrivenReply {
        let listed_before = self.lags[side as usize].map(timestamp);
        self.vendor.call(side, call, listed_before)
    }

    /// A create reaches the vendor. Also returns whether it made the conversion.
    pub(super) fn create(&mut self, side: Side, reference: usize, body: BodyKind) -> (DrivenReply, bool) {
        let name = reference_name(reference);
        let json = create_body(reference, body);
        let before = self.vendor.made(side, &name);
        let reply = match side {
            Side::Legacy => self.call(side, DrivenCall::Create(json.as_bytes())),
            Side::New => {
                let translated =
                    CreateRequest::parse(json.as_bytes()).map(|create| create.to_orchestration(&name));
                self.call(side, DrivenCall::Create(translated.unwrap_or_default().as_bytes()))
            }
        };
        let is_made = self.vendor.made(side, &name) > before;
        if is_made {
            self.counts.conversions += 1;
            let id = self
                .vendor
                .record(side, &name)
                .and_then(|record| record.get("id")?.as_str().map(ToOwned::to_owned));
            self.ids.extend(id);
        }
        (reply, is_made)
    }

    /// Changes the ledger, and keeps what it was before.
    pub(super) fn write<T>(&mut self, change: impl FnOnce(&mut SimulatedLedger) -> T) -> T {
        if !self.setting.restores {
            return change(&mut self.ledger);
        }
        let before = self.ledger.clone();
        let changed = change(&mut self.ledger);
        if self.ledger != before {
            self.past.push_front(before);
            self.past.truncate(PAST_LEDGERS);
        }
        changed
    }

    pub(super) fn facts(&self) -> Facts {
        let mirror = match self.setting.mirror {
            Mirror::Off => facts::Mirror::No,
            Mirror::SameId => facts::Mirror::SameId,
            Mirror::OtherId => facts::Mirror::OtherId,
        };
        Facts { mirror, mirror_back: facts::Mirror::No, ..Facts::default() }
    }

    /// Whether a side's reads show everything that it made.
    pub(super) fn shows_everything(&self, side: Side) -> bool {
        self.lags[side as usize].is_none()
    }

    /// No request runs, nothing is under way, and reads show everything.
    pub(super) fn is_quiet(&self) -> bool {
        self.requests.is_empty() && self.posts.is_empty() && self.late.is_none() && self.lags == [None; 2]
    }

    /// Of a reference: whether a request runs or a POST is under way.
    pub(super) fn is_under_way(&self, reference: usize) -> bool {
        self.requests.values().any(|request| request.reference == reference)
            || self.posts.values().any(|post| post.reference == reference)
    }

    /// What the vendor made of each reference, over both sides.
    pub(super) fn at_most_one(&self) -> Promise {
        for reference in 0..self.setting.references {
            let name = reference_name(reference);
            let own = |side| self.vendor.made(side, &name);
            let withdrawal = usize::from(self.setting.special == Special::Withdrawal && reference == 0);
            if own(Side::Legacy) + own(Side::New) > 1 + withdrawal.min(own(Side::New)) {
                return Err(format!("{name} was converted twice"));
            }
        }
        Ok(())
    }

    pub(super) fn unclaimed_is_over(&self) -> bool {
        let under_way = self.posts.values().any(|post| post.request.is_none());
        !under_way && (!self.unclaimed_sent || self.shows_everything(Side::Legacy))
    }

    fn no_unclaimed_create_under_way(&self) -> bool {
        self.replicas[1].has_ledger && self.unclaimed_is_over()
    }

    /// What the loader and the documented order of a cutover let pass.
    pub(super) fn may_enter(&self, stage: Stage) -> bool {
        let SimulatedLedger { opened_new, hold, .. } = self.ledger;
        match stage {
            Stage::Observe | Stage::Shadow => {
                let is_forgotten =
                    self.setting.special == Special::RowsDeleted && self.lost && !self.ledger.names_new();
                !self.ledger.created_on_new(self.rules) && !hold && !is_forgotten
            }
            Stage::Ready | Stage::Hold => true,
            Stage::Canary | Stage::Live => opened_new && self.no_unclaimed_create_under_way(),
            Stage::Sealed => {
                let unclaimed = self.setting.special == Special::Older || self.unclaimed_sent;
                let is_known = !unclaimed || self.ledger.is_complete(Side::Legacy, self.now);
                opened_new && self.no_unclaimed_create_under_way() && is_known && !hold && !self.lost
            }
        }
    }

    pub(super) fn may_release(&self, reference: usize) -> bool {
        let name = reference_name(reference);
        let is_pinned =
            self.ledger.claims.get(&reference).is_some_and(|claim| claim.row.state != ClaimState::Refused);
        let is_made = [Side::Legacy, Side::New].into_iter().any(|side| self.vendor.made(side, &name) > 0);
        is_pinned && !is_made && !self.is_under_way(reference)
    }

    /// A native create is refused where the reference is claimed for legacy, and excluded where claims were lost or lists lag.
    pub(super) fn may_use_natively(&self, reference: usize) -> bool {
        let name = reference_name(reference);
        let is_claimed =
            self.ledger.claims.get(&reference).is_some_and(|claim| {
                claim.row.side == Side::Legacy && claim.row.state != ClaimState::Refused
            });
        let is_made = [Side::Legacy, Side::New].into_iter().any(|side| self.vendor.made(side, &name) > 0);
        let is_certain = self.shows_everything(Side::New) && !self.lost && !self.ledger.hold;
        is_certain && !is_claimed && !is_made && !self.ledger.natives.contains(&reference)
    }
}

pub(super) fn timestamp(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}

pub(super) const fn creates_on_new(stage: Stage) -> bool {
    matches!(stage.modes().create, Mode::New | Mode::Canary)
}

/// References hold a space, which a query has to escape.
pub(super) fn reference_name(reference: usize) -> String {
    format!("order {reference}")
}

pub(super) const fn profile_of(reference: usize) -> &'static str {
    if reference.is_multiple_of(2) { PROFILE } else { SECOND_PROFILE }
}

/// The body that a legacy client sends.
pub(super) fn create_body(reference: usize, body: BodyKind) -> String {
    format!(
        r#"{{"ref_id":"{}","profile_id":"{}","amount":"{}","source_asset":"USD","target_asset":"PYUSD"}}"#,
        reference_name(reference),
        profile_of(reference),
        body.amount()
    )
}
