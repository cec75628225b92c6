//! The end of a world: everything works again, and every reference that was ever tried is one conversion.

use std::collections::BTreeSet;

use conversion_shim::sandbox::Mirror;
use conversion_shim::translate::side::Side;
use reqwest::Method;

use super::World;
use crate::support::test_bed::{BACK, Keys, LEGACY, conversion};

impl World {
    /// Retries with the same reference as a client would: the machine is busy and the ledger's timeout short.
    pub(super) async fn create_at_last(&mut self, which: u64, ref_id: &str, tries: u64) -> Option<u16> {
        let client = self.proxies[usize::try_from(which).unwrap()].client.clone();
        for _ in 0..tries {
            self.retried += 1;
            let answer = client.try_ask(Method::POST, LEGACY, conversion(ref_id).to_string()).await;
            let status = answer.ok().map(|answer| answer.status);
            if status.is_some_and(|status| ![503, 504].contains(&status)) {
                return status;
            }
        }
        None
    }

    /// Everything works again: every reference that was ever tried ends as exactly one conversion, on whichever replica and
    /// in whichever stage, and a listing shows all of them.
    pub(super) async fn settle(&mut self) {
        let calm: Keys<'_> = &[("timeouts.create", "20s"), ("timeouts.list", "20s")];
        // Blind readers first.
        for proxy in &self.proxies {
            proxy.go(&[BACK, calm].concat()).await;
        }
        self.proxies[0].go(&[&[("stage", "live")], calm].concat()).await;
        for ref_id in self.tried.clone() {
            self.settle_one(&ref_id).await;
        }
        if let Some(mut pager) = self.pager.take() {
            let mut turns = 0..10_000;
            while !pager.page(&self.proxies[1].client).await {
                assert!(turns.next().is_some(), "the listing does not end");
            }
        }
        let (ids, _) = self.proxies[1].client.all("limit=50").await;
        let missing: Vec<_> = self.certain().into_iter().filter(|id| !ids.contains(id)).collect();
        assert!(missing.is_empty(), "a listing shows everything: {missing:?}");
        self.count(&ids);
    }

    /// The ids under which a listing shows what is known. Where it is known that one side mirrors the other's conversions under other ids,
    /// such a conversion may be shown under either, as its claim says; then their number is all that can be checked.
    pub(super) fn certain(&self) -> BTreeSet<String> {
        let inspector = self.house.sandbox.inspector();
        let has_two_ids =
            |side, mirror| (mirror == Mirror::OtherId && !self.facts.is_empty()).then_some(side);
        let twofold = [
            has_two_ids(Side::Legacy, self.variants.mirror),
            has_two_ids(Side::New, self.variants.mirror_back),
        ];
        let is_certain =
            |id: &&String| twofold.iter().flatten().all(|side| inspector.record(*side, id).is_none());
        self.known.iter().filter(is_certain).cloned().collect()
    }

    /// Whether a listing may show a mirror beside its original: nobody knows that lists are mirrored, or the mirror has a time of its own,
    /// is on another page, and its original is not in the ledger.
    pub(super) fn shows_mirrors(&self) -> bool {
        let can_be_told = !self.facts.is_empty() && !self.variants.mirror_own_created_at;
        let is_mirrored = self.variants.mirror != Mirror::Off || self.variants.mirror_back != Mirror::Off;
        is_mirrored && !can_be_told
    }

    /// One reference that was tried ends as one conversion. A vendor that takes two references for one makes one of both.
    async fn settle_one(&mut self, ref_id: &str) {
        let alike: Vec<_> =
            self.tried.iter().filter(|other| self.variants.ref_match.same(other, ref_id)).cloned().collect();
        // Where nobody knows that the vendor takes them for one, the other one's record proves nothing about this one.
        let may_stay_open = alike.len() > 1 && self.facts.is_empty();
        let made = |world: &Self| -> usize {
            alike.iter().map(|ref_id| world.house.made(ref_id)).map(|made| made.legacy + made.new).sum()
        };
        let may_stay_open = may_stay_open && made(self) > 0;
        let turns = if may_stay_open { vec![0] } else { vec![self.dice.below(2), 0, 1] };
        for which in turns {
            let answer = self.create_at_last(which, ref_id, if may_stay_open { 1 } else { 20 }).await;
            let is_one_of_several = alike.len() > 1 && self.facts.is_empty();
            assert!(is_one_of_several || matches!(answer, Some(200 | 409)), "{ref_id}: {answer:?}");
        }
        let made = made(self);
        assert!(made == 1 || made > 0 && alike.len() > 1, "{alike:?}: {made}");
    }

    /// No create was sent twice, and nothing is listed that does not exist.
    fn count(&self, ids: &[String]) {
        let inspector = self.house.sandbox.inspector();
        let posts = self.house.posts(Side::Legacy) + self.house.posts(Side::New);
        let most = self.counts.creates + self.retried;
        assert!(posts <= most, "{posts} creates were sent for {most} requests");
        let is_mirrored = self.shows_mirrors();
        let records = inspector.records(Side::Legacy) + inspector.records(Side::New);
        assert!(ids.len() == records || is_mirrored && ids.len() > records, "{} of {records}", ids.len());
    }
}
