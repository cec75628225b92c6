//! The trip: a latched row that holds creates on every replica until an operator resets it. The statements that precede a send read it
//! themselves; what no claim guards reads the state that [`keep_reading`] keeps.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::sleep;

use super::audit::{AuditEntry, AuditKind, record};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::identity::{Setting, clear_setting, insert_setting, setting};
use super::operator::OperatorReason;
use super::queries::{FirstNewCreateAt, time};
use super::{Ledger, Reader};

/// How often a process reads the trip: well within the five seconds in which every replica follows.
const READ_EVERY: Duration = Duration::from_secs(1);
/// The vendor's clock may be behind the one that wrote the first claim on new by so much.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_mins(10);
/// References that the reason of a trip names.
const NAMED_MAX: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    pub since: Timestamp,
    pub why: String,
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
        match (&before, &after) {
            (TripState::Set(_), TripState::Clear) => {
                tracing::warn!(target: "trip", "the trip was reset: creates are served again");
            }
            (TripState::Unknown | TripState::Clear, TripState::Set(Trip { since, why })) => {
                tracing::error!(target: "trip", %since, why, "tripped: creates are on hold until `conversion-shim trip reset`");
            }
            (TripState::Unknown | TripState::Clear | TripState::Set(_), _) => {}
        }
        self.0.send_if_modified(|state| std::mem::replace(state, after.clone()) != after);
    }
}

struct ReadTrip;

impl LedgerRequest for ReadTrip {
    type Output = Option<Trip>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let Some((why, at)) = setting(connection, Setting::Trip).await? else { return Ok(None) };
        Ok(Some(Trip { since: time(at)?, why }))
    }
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
        let set = insert_setting(connection, Setting::Trip, &format!("by {operator}: {why}")).await?;
        // Also where one is set: the audit names every operator who tripped.
        record(connection, &self.reason.entry(&self.process, AuditKind::Trip)).await?;
        Ok(set)
    }
}

/// Ends the trip.
struct ResetTrip {
    process: String,
    reason: OperatorReason,
}

impl LedgerRequest for ResetTrip {
    /// Why it was set; `None` if it was not.
    type Output = Option<String>;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Option<String>, LedgerError> {
        let why = clear_setting(connection, Setting::Trip).await?;
        if let Some(why) = &why {
            let entry =
                AuditEntry { before: Some(why), ..self.reason.entry(&self.process, AuditKind::TripReset) };
            record(connection, &entry).await?;
        }
        Ok(why)
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
        let mut causes = Vec::new();
        for double in self.doubles.iter().filter(|double| double.at >= since) {
            let binds = [Bind::Text(&self.tenant), Bind::Text(&double.subject), now];
            let added: Vec<(String,)> = connection.guarded(&ADD_CAUSE, &binds).await?;
            causes.extend(added.into_iter().map(|(subject,)| subject));
        }
        let Some(first) = causes.first() else { return Ok(()) };
        let named: Vec<_> = causes.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = causes.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let why = format!("reconcile confirmed a double of {}{more}", named.join(", "));
        insert_setting(connection, Setting::Trip, &why).await?;
        let entry = AuditEntry {
            process: &self.process,
            operator: &self.operator,
            kind: AuditKind::Trip,
            subject: first,
            reason: &why,
            before: None,
            after: None,
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

    /// Ends the trip, and returns why it was set. Audited.
    ///
    /// # Errors
    /// [`LedgerError`]; it may be reset.
    pub async fn reset_trip(&self, reason: OperatorReason) -> Result<Option<String>, LedgerError> {
        self.write(ResetTrip { process: self.process(), reason }).await
    }

    /// Trips if one of them was made since creates went to the new side and did not trip before. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn trip_on_doubles(
        &self,
        tenant: &str,
        doubles: Vec<ConfirmedDouble>,
    ) -> Result<(), LedgerError> {
        let (process, operator) = (self.process(), self.operator());
        self.write(TripOnDoubles { process, operator, tenant: tenant.to_owned(), doubles }).await
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
