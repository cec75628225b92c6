//! The trip: a latched row that holds creates on every replica until an operator resets it. The statements that precede a send read it
//! themselves; what no claim guards reads the state that [`keep_reading`] keeps. Every further trip is a row of its own beside it, named
//! after the time of the first, so that a reset names them all.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::sleep;
use uuid::Uuid;

use super::audit::{AuditEntry, AuditKind, record};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::identity::{Setting, insert_setting, setting};
use super::operator::OperatorReason;
use super::queries::{FirstNewCreateAt, time};
use super::walks::WalkKind;
use super::{Ledger, Reader};

/// How often a process reads the trip: well within the five seconds in which every replica follows.
const READ_EVERY: Duration = Duration::from_secs(1);
/// The vendor's clock may be behind the one that wrote the first claim on new by so much.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_mins(10);
/// Reasons that a line of the log names.
const NAMED_MAX: usize = 5;
/// Doubles in one transaction: the first trip must not wait for thousands of others, nor time out with them.
const DOUBLES_AT_ONCE: usize = 50;
/// A trip is set again within this many attempts, or resets follow each other without a pause.
const ATTEMPTS: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    pub since: Timestamp,
    /// Why it was set first.
    pub why: String,
    /// Why it was set again since, oldest first; at most 1000.
    pub again: Vec<String>,
    /// How often it was set, the first time included.
    pub total: u64,
}

impl Trip {
    /// Why it was set, each time.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.why).chain(&self.again).map(String::as_str)
    }

    /// The reasons after the first `known` ones, in one line.
    fn reasons_after(&self, known: u64) -> String {
        let new = self.total.saturating_sub(known);
        let skipped = usize::try_from(known).unwrap_or(usize::MAX);
        let named: Vec<_> = self.reasons().skip(skipped).take(NAMED_MAX).collect();
        match new.saturating_sub(named.len() as u64) {
            0 => named.join("; "),
            more => format!("{}; and {more} more", named.join("; ")),
        }
    }
}

/// The trip as a process last read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TripState {
    /// The ledger could not be asked. A trip that was set before stays [`TripState::Set`].
    #[default]
    Unknown,
    Clear,
    Set(Trip),
}

/// Clones share the state.
#[derive(Clone, Default)]
pub(super) struct TripWatch(Arc<watch::Sender<TripState>>);

impl TripWatch {
    fn read(&self, found: Result<Option<Trip>, LedgerError>) {
        let before = self.0.borrow().clone();
        let after = match (found, &before) {
            (Ok(Some(trip)), _) => TripState::Set(trip),
            (Ok(None), _) => TripState::Clear,
            // It cannot be known to be reset.
            (Err(_), TripState::Set(trip)) => TripState::Set(trip.clone()),
            (Err(_), TripState::Unknown | TripState::Clear) => TripState::Unknown,
        };
        log_change(&before, &after);
        self.0.send_if_modified(|state| std::mem::replace(state, after.clone()) != after);
    }
}

fn log_change(before: &TripState, after: &TripState) {
    match (before, after) {
        (TripState::Set(_), TripState::Clear) => {
            tracing::warn!(target: "trip", "the trip was reset: creates are served again");
        }
        (TripState::Set(before), TripState::Set(after)) if before.since == after.since => {
            if after.total > before.total {
                let (why, trips) = (after.reasons_after(before.total), after.total);
                tracing::error!(target: "trip", since = %after.since, why, trips, "tripped again: creates stay on hold");
            }
        }
        (_, TripState::Set(trip)) => {
            let (why, trips) = (trip.reasons_after(0), trip.total);
            tracing::error!(target: "trip", since = %trip.since, why, trips, "tripped: creates are on hold until `conversion-shim trip reset`");
        }
        (
            TripState::Unknown | TripState::Clear | TripState::Set(_),
            TripState::Unknown | TripState::Clear,
        ) => {}
    }
}

struct ReadTrip;

const AGAIN: &str = "SELECT value FROM ledger_settings WHERE name LIKE $1 ORDER BY at_us, name LIMIT 1000";
const COUNT_AGAIN: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_settings WHERE name LIKE $1";

impl LedgerRequest for ReadTrip {
    type Output = Option<Trip>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let Some((why, at)) = setting(connection, Setting::Trip).await? else { return Ok(None) };
        let pattern = format!("{}%", prefix(at));
        let again: Vec<(String,)> = connection.rows(AGAIN, &[Bind::Text(&pattern)]).await?;
        let count: Vec<(i64,)> = connection.rows(COUNT_AGAIN, &[Bind::Text(&pattern)]).await?;
        let count = count.first().map_or(0, |(count,)| count.unsigned_abs());
        let again: Vec<_> = again.into_iter().map(|(why,)| why).collect();
        // Another one may have come between the two.
        let total = count.max(again.len() as u64) + 1;
        Ok(Some(Trip { since: time(at)?, why, again, total }))
    }
}

/// The names of the rows of the further trips since the first one.
fn prefix(since: i64) -> String {
    format!("trip {since} ")
}

// Locks the row, so that a reset sees what is added to it.
const LOCK_TRIP: Guarded =
    guarded!(["UPDATE ledger_settings SET value = value WHERE name = 'trip' AND "], [" RETURNING at_us"]);

const ADD_TRIP: Guarded = guarded!(
    ["INSERT INTO ledger_settings (name, value, at_us) SELECT $2, $3, $4 WHERE "],
    [" RETURNING name"]
);

/// Sets the trip, or adds to the one that is set. Returns whether none was set.
async fn set<C: Connection>(connection: &mut C, why: &str) -> Result<bool, LedgerError> {
    for _ in 0..ATTEMPTS {
        if insert_setting(connection, Setting::Trip, why).await? {
            return Ok(true);
        }
        let locked: Vec<(i64,)> = connection.guarded(&LOCK_TRIP, &[]).await?;
        // Reset in between.
        let Some((since,)) = locked.first() else { continue };
        let name = format!("{}{}", prefix(*since), Uuid::now_v7());
        let now = Bind::Number(Timestamp::now().as_microsecond());
        let binds = [Bind::Text(&name), Bind::Text(why), now];
        let added: Vec<(String,)> = connection.guarded(&ADD_TRIP, &binds).await?;
        return if added.is_empty() { Err(connection.foreign()) } else { Ok(false) };
    }
    Err(connection.foreign())
}

/// Sets the trip by hand.
struct SetTrip {
    process: String,
    reason: OperatorReason,
}

impl LedgerRequest for SetTrip {
    /// Whether it was not set before.
    type Output = bool;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        let OperatorReason { operator, why } = &self.reason;
        let is_first = set(connection, &format!("by {operator}: {why}")).await?;
        record(connection, &self.reason.entry(&self.process, AuditKind::Trip)).await?;
        Ok(is_first)
    }
}

struct ResetTrip {
    process: String,
    reason: OperatorReason,
}

const CLEAR_TRIP: Guarded =
    guarded!(["DELETE FROM ledger_settings WHERE name = 'trip' AND "], [" RETURNING value, at_us"]);
// An older program resets without them.
const CLEAR_AGAIN: Guarded = guarded!(
    ["DELETE FROM ledger_settings WHERE name LIKE 'trip %' AND "],
    [" RETURNING at_us, name, value"]
);

impl LedgerRequest for ResetTrip {
    /// Why it was set, each time; empty if it was not.
    type Output = Vec<String>;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Vec<String>, LedgerError> {
        let first: Vec<(String, i64)> = connection.guarded(&CLEAR_TRIP, &[]).await?;
        let Some((first, since)) = first.into_iter().next() else { return Ok(Vec::new()) };
        let mut again: Vec<(i64, String, String)> = connection.guarded(&CLEAR_AGAIN, &[]).await?;
        again.retain(|(_, name, _)| name.starts_with(&prefix(since)));
        again.sort_unstable();
        let all: Vec<_> = std::iter::once(first).chain(again.into_iter().map(|(.., why)| why)).collect();
        let before = all.join("; ");
        let entry =
            AuditEntry { before: Some(&before), ..self.reason.entry(&self.process, AuditKind::TripReset) };
        record(connection, &entry).await?;
        Ok(all)
    }
}

/// A reference with two conversions, each confirmed by a targeted read.
#[derive(Clone, Debug)]
pub struct ConfirmedDouble {
    pub subject: String,
    /// When the later of the two was made.
    pub at: Timestamp,
}

/// Trips if a double was made since creates went to the new side and has not tripped before.
struct TripOnDoubles {
    process: String,
    operator: String,
    tenant: String,
    /// What confirmed them: the command, and the walk's id.
    by: (WalkKind, String),
    doubles: Vec<ConfirmedDouble>,
}

const ADD_CAUSE: Guarded = guarded!(
    ["INSERT INTO ledger_trip_causes (tenant, kind, subject, at_us) SELECT $2, 'double', $3, $4 WHERE "],
    [" ON CONFLICT (tenant, kind, subject) DO NOTHING RETURNING subject"],
);

impl LedgerRequest for TripOnDoubles {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        // Without a create on new, no double is of this cutover.
        let Some(first) = FirstNewCreateAt.run(connection).await? else { return Ok(()) };
        let since = first.saturating_sub(CLOCKS_DIFFER_BY).unwrap_or(first);
        let now = Bind::Number(Timestamp::now().as_microsecond());
        for double in self.doubles.iter().filter(|double| double.at >= since) {
            let binds = [Bind::Text(&self.tenant), Bind::Text(&double.subject), now];
            let added: Vec<(String,)> = connection.guarded(&ADD_CAUSE, &binds).await?;
            for (subject,) in added {
                self.trip_on(connection, &subject).await?;
            }
        }
        Ok(())
    }
}

impl TripOnDoubles {
    async fn trip_on<C: Connection>(&self, connection: &mut C, subject: &str) -> Result<(), LedgerError> {
        let (kind, walk) = &self.by;
        let why = format!("{} confirmed a double of {subject}", kind.command());
        set(connection, &why).await?;
        let walk = format!("walk {walk}");
        let entry = AuditEntry {
            process: &self.process,
            operator: &self.operator,
            kind: AuditKind::Trip,
            subject,
            reason: &why,
            before: None,
            after: Some(&walk),
        };
        record(connection, &entry).await
    }
}

impl Reader {
    /// The trip in force.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "not set".
    pub async fn trip(&self) -> Result<Option<Trip>, LedgerError> {
        self.ask(&ReadTrip).await
    }
}

impl Ledger {
    /// Holds creates on every replica until [`reset_trip`](Self::reset_trip), and returns whether they were not held so before. Audited.
    ///
    /// # Errors
    /// [`LedgerError`]; it may be set.
    pub async fn trip(&self, reason: OperatorReason) -> Result<bool, LedgerError> {
        self.write(SetTrip { process: self.process(), reason }).await
    }

    /// Ends the trip, and returns why it was set, each time; nothing if it was not. Audited.
    ///
    /// # Errors
    /// [`LedgerError`]; it may be reset.
    pub async fn reset_trip(&self, reason: OperatorReason) -> Result<Vec<String>, LedgerError> {
        self.write(ResetTrip { process: self.process(), reason }).await
    }

    /// Trips if one of them was made since creates went to the new side and did not trip before. `by` is the walk that confirmed them, by
    /// its kind and id. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn trip_on_doubles(
        &self,
        tenant: &str,
        by: (WalkKind, &str),
        doubles: Vec<ConfirmedDouble>,
    ) -> Result<(), LedgerError> {
        for doubles in doubles.chunks(DOUBLES_AT_ONCE) {
            let (process, operator) = (self.process(), self.operator());
            let (tenant, doubles, by) = (tenant.to_owned(), doubles.to_vec(), (by.0, by.1.to_owned()));
            self.write(TripOnDoubles { process, operator, tenant, by, doubles }).await?;
        }
        Ok(())
    }

    /// The trip as this process last read it.
    #[must_use]
    pub fn trip_state(&self) -> TripState {
        self.trip.0.borrow().clone()
    }

    /// Whether creates are held.
    #[must_use]
    pub(crate) fn is_tripped(&self) -> bool {
        matches!(*self.trip.0.borrow(), TripState::Set(_))
    }

    /// Reads the trip now, for [`trip_state`](Self::trip_state).
    pub(crate) async fn read_trip(&self) {
        self.trip.read(self.reader.trip().await);
    }
}

/// Keeps [`Ledger::trip_state`] up to date. Never ends.
pub(crate) async fn keep_reading(ledger: Ledger) {
    loop {
        sleep(READ_EVERY).await;
        ledger.read_trip().await;
    }
}
