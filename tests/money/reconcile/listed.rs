//! A vendor in memory, large enough for a million records: the source of walks that do not go over HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use conversion_shim::reconcile::{PageCall, RecordSource, WalkError, WalkLookup};
use conversion_shim::translate::evidence::{RecordProgress, WalkPage, WalkedRecord};
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};

/// What the vendor holds, and how it misbehaves.
#[derive(Default)]
pub(crate) struct ListedRecords {
    pub(crate) sides: [Vec<Entry>; 2],
    pub(crate) by_id: HashMap<(Side, String), usize>,
    pub(crate) by_ref: HashMap<(Side, String), usize>,
    /// Lists do not show what was made from this time on.
    pub(crate) hidden_from: Option<Timestamp>,
    /// Records that lists leave out.
    pub(crate) unlisted: HashSet<String>,
    /// Records that become final after a page has shown them.
    pub(crate) settling: HashSet<String>,
    /// The call that fails, from 1.
    pub(crate) fails_at: u64,
    pub(crate) calls: AtomicU64,
    pub(crate) pages: AtomicU64,
    /// Largest number of rows of a page.
    pub(crate) largest: Mutex<usize>,
}

pub(crate) struct Entry {
    at: Timestamp,
    id: String,
    ref_id: String,
    progress: RecordProgress,
}

impl ListedRecords {
    pub(crate) fn add(&mut self, side: Side, ref_id: &str, id: &str, at: Timestamp) {
        self.add_as(side, (ref_id, id), at, RecordProgress::Settled);
    }

    pub(crate) fn add_as(
        &mut self,
        side: Side,
        (ref_id, id): (&str, &str),
        at: Timestamp,
        progress: RecordProgress,
    ) {
        let (ref_id, id) = (ref_id.to_owned(), id.to_owned());
        self.sides[side as usize].push(Entry { at, id, ref_id, progress });
    }

    /// Sorts the records; nothing is added afterwards.
    pub(crate) fn close(mut self) -> Self {
        for side in [Side::Legacy, Side::New] {
            let entries = &mut self.sides[side as usize];
            entries.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
            for (at, entry) in entries.iter().enumerate() {
                self.by_id.insert((side, entry.id.clone()), at);
                self.by_ref.entry((side, entry.ref_id.clone())).or_insert(at);
            }
        }
        self
    }

    fn record(&self, side: Side, at: usize, again: bool) -> WalkedRecord {
        let Entry { at, id, ref_id, progress } = &self.sides[side as usize][at];
        let settled = again && self.settling.contains(id);
        let reference = if ref_id.is_empty() { String::new() } else { format!(r#","ref_id":"{ref_id}""#) };
        let settled_at = *at + SignedDuration::from_secs(1);
        let json = format!(
            r#"{{"id":"{id}","amount":"1","profile_id":"p","source_asset":"USD","target_asset":"PYUSD","created_at":"{at}","settled_at":"{settled_at}"{reference}}}"#
        );
        WalkedRecord {
            side,
            id: id.clone(),
            ref_id: Some(ref_id.clone()).filter(|ref_id| !ref_id.is_empty()),
            created_at: *at,
            progress: if settled { RecordProgress::Settled } else { *progress },
            other_kind: None,
            json: json.into_bytes(),
        }
    }

    fn called(&self, side: Side) -> Result<(), WalkError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let reason = "planted".to_owned();
        if call == self.fails_at { Err(WalkError::NoAnswer { side, reason }) } else { Ok(()) }
    }
}

impl RecordSource for ListedRecords {
    async fn page(&self, call: &PageCall<'_>) -> Result<WalkPage, WalkError> {
        self.called(call.side)?;
        self.pages.fetch_add(1, Ordering::Relaxed);
        let entries = &self.sides[call.side as usize];
        let begin = match call.after {
            Some(after) => after.parse().unwrap(),
            None => entries.partition_point(|entry| entry.at < call.begin),
        };
        let shown_until = self.hidden_from.unwrap_or(Timestamp::MAX);
        let end = entries.partition_point(|entry| entry.at <= call.end && entry.at < shown_until);
        let until = end.min(begin + usize::from(call.limit)).max(begin);
        let records = (begin..until).map(|at| self.record(call.side, at, false));
        let records: Vec<_> = records.filter(|record| !self.unlisted.contains(&record.id)).collect();
        let mut largest = self.largest.lock().unwrap();
        *largest = (*largest).max(records.len());
        Ok(WalkPage { records, next: (until < end).then(|| until.to_string()) })
    }

    async fn by_ref(&self, side: Side, ref_id: &str) -> Result<WalkLookup, WalkError> {
        self.called(side)?;
        let found = self.by_ref.get(&(side, ref_id.to_owned()));
        Ok(found.map_or(WalkLookup::Absent, |at| WalkLookup::Found(self.record(side, *at, true))))
    }

    async fn by_id(&self, side: Side, id: &str) -> Result<Option<WalkedRecord>, WalkError> {
        self.called(side)?;
        Ok(self.by_id.get(&(side, id.to_owned())).map(|at| self.record(side, *at, true)))
    }
}
