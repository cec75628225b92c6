//! Findings of every kind planted among many records that are as they should be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

use conversion_shim::ledger::{Fingerprint, Key, WalkKind};
use conversion_shim::reconcile::{FindingKind, WalkContext, walk};
use conversion_shim::translate::evidence::RecordProgress;
use conversion_shim::translate::side::Side;

use super::listed::ListedRecords;
use super::{Bed, TENANT, at, everything, found};

/// `RECONCILE_REFS=1000000 RECONCILE_PLANTED=1000` is the full size.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

type Planted = BTreeMap<FindingKind, BTreeSet<String>>;

/// Records and claims, and what a first walk must find.
struct World {
    listed: ListedRecords,
    planted: Planted,
    claims: [Vec<(String, String, jiff::Timestamp)>; 2],
    /// Claims with an open attempt and without a record.
    open: Vec<(Side, String)>,
    next: i64,
}

const KINDS: [&str; 9] = [
    "double",
    "lost",
    "wrong-closed",
    "wrong-open",
    "mismatch",
    "unclaimed",
    "stuck",
    "open-found",
    "open-nowhere",
];

impl World {
    fn new() -> Self {
        let (planted, claims) = (Planted::new(), [Vec::new(), Vec::new()]);
        Self { listed: ListedRecords::default(), planted, claims, open: Vec::new(), next: 0 }
    }

    fn plant(&mut self, kind: FindingKind, ref_id: &str) {
        assert!(self.planted.entry(kind).or_default().insert(ref_id.to_owned()));
    }

    fn claim(&mut self, side: Side, ref_id: &str, id: &str) {
        let made = at(self.next);
        self.claims[side as usize].push((ref_id.to_owned(), id.to_owned(), made));
    }

    fn add(&mut self, refs: usize, planted: usize) {
        for number in 0..refs {
            // A few records a second, some of them at one instant.
            self.next += i64::from(number % 3 == 0);
            let side = if number % 5 == 0 { Side::New } else { Side::Legacy };
            let kind = number / 3;
            let is_planted = number % 3 == 0 && kind < planted * KINDS.len();
            let name = if is_planted { KINDS[kind % KINDS.len()] } else { "fine" };
            self.add_one(name, side, number);
        }
    }

    fn add_one(&mut self, name: &str, side: Side, number: usize) {
        let (ref_id, id, second_id) =
            (format!("{name} {number}"), format!("id-{number}"), format!("second-{number}"));
        let (made, other) = (at(self.next), side.other());
        match name {
            "unclaimed" => {}
            "wrong-open" | "open-found" | "open-nowhere" => self.open.push((side, ref_id.clone())),
            _ => self.claim(side, &ref_id, &id),
        }
        match name {
            "lost" | "open-nowhere" => {}
            "wrong-closed" | "wrong-open" => self.listed.add(other, &ref_id, &second_id, made),
            "mismatch" => self.listed.add(side, &ref_id, &second_id, made),
            "stuck" => self.listed.add_as(side, (&ref_id, &id), made, RecordProgress::Open),
            _ => self.listed.add(side, &ref_id, &id, made),
        }
        match name {
            "double" => {
                // Much later or much earlier: never on the same page.
                self.listed.add(other, &ref_id, &second_id, at(self.next * 7 % 100_000));
                self.plant(FindingKind::Double, &ref_id);
            }
            "lost" => self.plant(FindingKind::Lost, &ref_id),
            "wrong-closed" | "wrong-open" => self.plant(FindingKind::WrongSide, &ref_id),
            "mismatch" => self.plant(FindingKind::Mismatch, &ref_id),
            "unclaimed" => self.plant(FindingKind::Unclaimed, &ref_id),
            // Every second one settles while the walk looks.
            "stuck" if number.is_multiple_of(2) => drop(self.listed.settling.insert(id)),
            "stuck" => self.plant(FindingKind::Stuck, &ref_id),
            "open-found" | "open-nowhere" => self.plant(FindingKind::Unresolved, &ref_id),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_planted_findings_are_found_and_none_is_invented() {
    let (refs, planted) = (number("RECONCILE_REFS", 3_000), number("RECONCILE_PLANTED", 25));
    for bed in Bed::each().await {
        let mut world = World::new();
        world.add(refs, planted);
        let World { listed, planted, claims, open, .. } = world;
        for side in [Side::Legacy, Side::New] {
            bed.known(side, &claims[side as usize]).await;
        }
        for (side, ref_id) in &open {
            let key = Key::new(TENANT, ref_id).unwrap();
            bed.ledger.claim(key, *side, &Fingerprint([7; 32])).await.unwrap();
        }
        drop((claims, open));
        let listed = listed.close();

        // A dry run finds everything and changes nothing, so that the walk after it finds the same.
        let dry = WalkContext { ledger: None, ..bed.context(&listed) };
        let dry = walk(dry, everything(WalkKind::Reconcile)).await.unwrap();
        assert!(found(&dry) == planted, "dry: {:?}", difference(&found(&dry), &planted));
        assert!(dry.findings.iter().all(|finding| !finding.repaired));

        let (start, pages) = (Instant::now(), listed.pages.load(Ordering::Relaxed));
        let first = bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
        assert!(found(&first) == planted, "{:?}", difference(&found(&first), &planted));
        assert_eq!(first.progress.hashes, dry.progress.hashes);
        // 1,000 rows a page, a page more for each whose last second begins again, and the ends of both lists: 2,100 for a million.
        let list_calls = listed.pages.load(Ordering::Relaxed) - pages;
        let pages_max = (refs as u64 * 21).div_ceil(10_000) + 20;
        assert!(list_calls <= pages_max, "{list_calls} list calls, at most {pages_max}");
        eprintln!(
            "{refs} refs, {} findings: {:?}, {} list calls, {} calls in all, {}",
            first.findings.len(),
            start.elapsed(),
            list_calls,
            listed.calls.load(Ordering::Relaxed),
            peak_memory(),
        );

        // What was repaired is as it should be now; the rest is still there.
        let again = bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
        let mut rest = planted.clone();
        rest.remove(&FindingKind::Unclaimed);
        keep(&mut rest, FindingKind::WrongSide, "wrong-open");
        keep(&mut rest, FindingKind::Unresolved, "open-nowhere");
        assert!(found(&again) == rest, "again: {:?}", difference(&found(&again), &rest));
        for finding in &first.findings {
            let is_left = rest.get(&finding.kind).is_some_and(|rest| rest.contains(finding.subject()));
            assert_eq!(finding.repaired, !is_left, "{finding:?}");
        }
    }
}

fn keep(planted: &mut Planted, kind: FindingKind, prefix: &str) {
    planted.get_mut(&kind).unwrap().retain(|ref_id| ref_id.starts_with(prefix));
}

/// What one of the two lacks; at most some of it.
fn difference(found: &Planted, planted: &Planted) -> Vec<String> {
    let flat = |all: &Planted| -> BTreeSet<String> {
        all.iter()
            .flat_map(|(kind, refs)| refs.iter().map(move |ref_id| format!("{kind:?} {ref_id}")))
            .collect()
    };
    let (found, planted) = (flat(found), flat(planted));
    let missing = planted.difference(&found).map(|text| format!("missing {text}"));
    let invented = found.difference(&planted).map(|text| format!("invented {text}"));
    missing.take(10).chain(invented.take(10)).collect()
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned()
}
