//! When a record that was just made can be read, and whether the other side shows it as well.

use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::ProbeError;
use super::calls::{RefLookupResult, refused};
use super::conversions::{Made, Probe};
use super::pages::{Subject, Unseen};
use crate::translate::evidence::{WalkedRecord, found_conversion};
use crate::translate::facts::Mirror;

/// The first pause between two reads of a record. Each is three times as long as the one before, because reads are calls.
const PAUSE: Duration = Duration::from_millis(500);
const LONGER: u32 = 3;

/// Calls that the rest of the probe needs after the reads of a side's record, legacy first. Repeated reads leave so many.
const RESERVED: [u32; 2] = [25, 20];

/// Repeated reads of a record: more and more rarely, and once more when the time is over.
struct Attempts {
    pause: Duration,
    until: Instant,
    reserved: u32,
}

impl Attempts {
    /// Waits for the next one, which is the last if only so many calls are left; false after the last.
    async fn next(&mut self, left: u32) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        let is_last = left <= self.reserved;
        sleep_until(if is_last { self.until } else { self.until.min(now + self.pause) }).await;
        self.pause *= LONGER;
        true
    }
}

/// How long a get denied a record, and the record; or why that was not seen.
type Read = Result<(Duration, Subject), Unseen>;

impl Probe<'_> {
    fn attempts(&self, made: &Made) -> Attempts {
        let reserved = RESERVED[made.side as usize];
        Attempts { pause: PAUSE, until: made.answered + self.with.settle, reserved }
    }

    /// How long a get by its id denies a record that was just made, and a list does not show it.
    pub(super) async fn lags(&mut self, made: &Made, names: [&'static str; 2]) -> Result<(), ProbeError> {
        let (mut attempts, mut read, mut listed) = (self.attempts(made), None, None);
        loop {
            // What was seen once is not asked for again: reads are calls, and their number is bounded.
            if read.is_none() {
                read = self.read(made).await?;
            }
            if listed.is_none() {
                listed = self.listed(made).await?;
            }
            if read.is_some() && listed.is_some() || !attempts.next(self.calls.left()).await {
                break;
            }
        }
        let [by_id, in_list] = names;
        let late =
            || Err("a get by the id of a new record is answered 404 for longer than --settle".to_owned());
        match read.unwrap_or_else(late) {
            Ok((lag, subject)) => {
                self.found.measured(
                    by_id,
                    &format!("{lag:?}"),
                    "from the answer to a create until a get by id shows it",
                );
                self.subjects[made.side as usize] = Ok(subject);
            }
            Err(why) => self.found.unclear(by_id, &why),
        }
        let lag = self.in_time(made, listed)?;
        self.found.measured(
            in_list,
            &format!("{lag:?}"),
            "from the answer to a create until a list shows it",
        );
        Ok(())
    }

    /// Waits until a list shows a record; not before the lag that was seen has passed.
    pub(super) async fn until_listed(&mut self, made: &Made) -> Result<(), ProbeError> {
        sleep_until(made.answered + self.lag[made.side as usize]).await;
        let mut attempts = self.attempts(made);
        let mut listed = self.listed(made).await?;
        while listed.is_none() && attempts.next(self.calls.left()).await {
            listed = self.listed(made).await?;
        }
        self.in_time(made, listed).map(drop)
    }

    fn in_time(&mut self, made: &Made, listed: Option<Duration>) -> Result<Duration, ProbeError> {
        let late = || refused(made.side, "the list does not show a new record within --settle");
        let lag = listed.ok_or_else(late)?;
        self.lag[made.side as usize] = lag;
        Ok(lag)
    }

    /// Gets a record by its id; `None` while it is denied. Another answer than a 404 is no lag.
    async fn read(&mut self, made: &Made) -> Result<Option<Read>, ProbeError> {
        let answer = self.calls.get(made.side, &made.id).await?;
        let found = found_conversion(made.side, &answer.body).filter(|_| answer.status == StatusCode::OK);
        let record = found.and_then(|found| WalkedRecord::of_conversion(made.side, &found.json));
        Ok(match record {
            Some(record) if record.id == made.id => Some(Ok((made.answered.elapsed(), Subject::of(&record)))),
            None if answer.status == StatusCode::NOT_FOUND => None,
            Some(_) | None => {
                let status = answer.status.as_u16();
                Some(Err(format!("a get by the id of a new record is answered {status} without that record")))
            }
        })
    }

    /// How long it took until a list showed a record; `None` while it does not.
    async fn listed(&mut self, made: &Made) -> Result<Option<Duration>, ProbeError> {
        match self.calls.shown(made.side, &made.ref_id, &made.ref_id).await? {
            RefLookupResult::Record(id) if id == made.id => Ok(Some(made.answered.elapsed())),
            RefLookupResult::Record(_) => {
                Err(refused(made.side, "the list shows another id than the answer to the create"))
            }
            RefLookupResult::Nothing | RefLookupResult::Unclear(_) => Ok(None),
        }
    }

    /// Whether the other side lists a conversion, after it had the time to.
    pub(super) async fn mirrors(&mut self, old: &Made, new: &Made) -> Result<(), ProbeError> {
        sleep_until(old.answered.max(new.answered) + self.with.settle).await;
        let [of_old, of_new] = [self.mirrored(old).await?, self.mirrored(new).await?];
        self.mirror("mirror", old, of_old, self.known.mirror);
        self.mirror("mirror_back", new, of_new, self.known.mirror_back);
        Ok(())
    }

    /// What the other side shows of a conversion.
    async fn mirrored(&mut self, made: &Made) -> Result<RefLookupResult, ProbeError> {
        self.calls.shown(made.side.other(), &made.ref_id, &made.ref_id).await
    }

    fn mirror(&mut self, name: &'static str, made: &Made, shown: RefLookupResult, known: Mirror) {
        let fact = match shown {
            RefLookupResult::Record(id) if id == made.id => Mirror::SameId,
            RefLookupResult::Record(_) => Mirror::OtherId,
            RefLookupResult::Nothing => Mirror::No,
            RefLookupResult::Unclear(why) => return self.found.unclear(name, why),
        };
        let (side, on, value) = (made.side, made.side.other(), fact.as_str());
        let within =
            if fact == Mirror::No { format!(" within {:?}", self.with.settle) } else { String::new() };
        let how = format!("a conversion on the {side} side, looked up on the {on} side: {value}{within}");
        self.found.rule(name, value, known.as_str(), how);
    }
}
