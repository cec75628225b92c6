//! Writes by an operator. Each is audited in the same transaction.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Ledger;
use super::audit::{AuditEntry, AuditKind, record};
use super::claim::{Claim, ClaimState, Key, Released};
use super::completeness;
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::health::CallKind;
use super::history::PlaceHold;
use super::identity::{
    Make, Setting, add_tenant, clear_setting, forget_furthest, lock, set_mark, set_setting, setting,
};
use super::mismatch::are_same_hosts;
use super::queries::{
    COLUMNS_OF_A_CLAIM, ClaimByRef, ClaimContextByRef, ClaimRow, CreatedOnNew, MigratedAt, OwnedKey,
};
use super::settings::Identity;

/// How long an attempt may still be in progress at the vendor.
const ATTEMPT_SETTLES_IN: SignedDuration = SignedDuration::from_hours(1);

/// The operator of a change and the reason, for the audit.
#[derive(Clone, Debug)]
pub struct OperatorReason {
    /// The user who runs the command.
    pub operator: String,
    /// Why; at least one character.
    pub why: String,
}

impl OperatorReason {
    pub(super) fn entry<'a>(&'a self, process: &'a str, kind: AuditKind) -> AuditEntry<'a> {
        AuditEntry {
            process,
            operator: &self.operator,
            kind,
            subject: "",
            reason: &self.why,
            before: None,
            after: None,
        }
    }
}

/// Gives a ledger without an id one, with its tenant, and its mark if the config says so.
pub(super) struct Init {
    pub(super) process: String,
    pub(super) reason: OperatorReason,
    pub(super) identity: Identity,
}

impl LedgerRequest for Init {
    type Output = String;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<String, LedgerError> {
        // A ledger that has its id is what it is: what it lacks, `open-new` and `accept` add on purpose.
        if let Some((id, _)) = setting(connection, Setting::Id).await? {
            return Ok(id);
        }
        let was_used = CreatedOnNew.run(connection).await?;
        let id = Make(&self.identity).run(connection).await?;
        if let Some(tenant) = self.identity.tenant.as_ref().filter(|_| !was_used) {
            add_tenant(connection, tenant).await?;
        }
        let entry = AuditEntry { after: Some(&id), ..self.reason.entry(&self.process, AuditKind::Init) };
        record(connection, &entry).await?;
        Ok(id)
    }
}

/// Sets the mark that creates may go to the new side.
pub(super) struct OpenNew {
    pub(super) process: String,
    pub(super) reason: OperatorReason,
}

impl LedgerRequest for OpenNew {
    /// Whether the mark was not set before.
    type Output = bool;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        let set = set_mark(connection).await?;
        if set {
            record(connection, &self.reason.entry(&self.process, AuditKind::OpenNew)).await?;
        }
        Ok(set)
    }
}

// If the lost writes chose a claim's side anew, the older claim is back and still says checked. That check was made before the other side
// held the reference. `state <> 'refused'` is implied, and lets SQLite use the index of the few claims without a record.
const DISTRUST_CHECKS: Guarded = guarded!(
    ["UPDATE ref_claims SET state = 'claimed' \
         WHERE record_id IS NULL AND state <> 'refused' AND state = 'fenced' AND "],
    [" RETURNING ref_id"],
);

/// What `ledger accept` changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The reasons of the holds that were lifted.
    pub lifted: Vec<String>,
    /// What else is on record now, a line each: `hosts: legacy=a new=b -> legacy=c new=d`.
    pub changes: Vec<String>,
}

/// Accepts the database as the right one: lifts the hold and records server, hosts and tenant.
pub(super) struct Accept {
    pub(super) process: String,
    pub(super) reason: OperatorReason,
    pub(super) identity: Identity,
}

impl LedgerRequest for Accept {
    type Output = Accepted;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Accepted, LedgerError> {
        lock(connection).await?;
        let mut lifted = Vec::new();
        for hold in [Setting::Hold, Setting::HoldTimeline] {
            lifted.extend(clear_setting(connection, hold).await?);
        }
        let (mut before, mut after) = (lifted.clone(), Vec::new());
        let mut changes = self.record_values(connection, (&mut before, &mut after)).await?;
        if let Some(tenant) = &self.identity.tenant
            && add_tenant(connection, tenant).await?
        {
            after.push(format!("tenant {tenant}"));
            changes.push(format!("tenant: {tenant} is added"));
        }
        if self.identity.new_in_use && set_mark(connection).await? {
            after.push("creates may go to new".into());
            changes.push("creates on the new API: no -> yes".into());
        }
        completeness::forget(connection).await?;
        // Lifting the hold lets creates go on with what is left, so what a lost write may have overtaken is not relied on.
        let distrusted: Vec<(String,)> = connection.guarded(&DISTRUST_CHECKS, &[]).await?;
        if !distrusted.is_empty() {
            let withdrawn = format!("checks withdrawn of claims without a record: {}", distrusted.len());
            changes.push(withdrawn.clone());
            after.push(withdrawn);
        }
        // A new value each time, by which running processes see that what they missed was accepted.
        set_setting(connection, Setting::Accepted, &Uuid::new_v4().to_string()).await?;
        let (before, after) = (before.join("; "), after.join("; "));
        let entry = AuditEntry {
            before: Some(&before),
            after: Some(&after),
            ..self.reason.entry(&self.process, AuditKind::Accept)
        };
        record(connection, &entry).await?;
        Ok(Accepted { lifted, changes })
    }
}

impl Accept {
    /// Records the server and the hosts where they changed, adds both values to the audit's, and returns the changes for people.
    async fn record_values<C: Connection>(
        &self,
        connection: &mut C,
        (before, after): (&mut Vec<String>, &mut Vec<String>),
    ) -> Result<Vec<String>, LedgerError> {
        let mut changes = Vec::new();
        let server = connection.history().cloned();
        let values = [
            ("server", Setting::System, server.as_ref().map(|server| server.system.as_str())),
            ("timeline", Setting::Timeline, server.as_ref().map(|server| server.timeline.as_str())),
            ("hosts", Setting::Hosts, self.identity.hosts.as_deref()),
        ];
        for (shown, name, value) in values {
            let Some(value) = value else { continue };
            let recorded = setting(connection, name).await?.map(|(value, _)| value);
            if recorded.as_deref() != Some(value) {
                set_setting(connection, name, value).await?;
                changes.push(format!("{shown}: {} -> {value}", recorded.as_deref().unwrap_or("none")));
                after.push(value.to_owned());
                let is_other = |recorded: &String| !are_same_hosts(recorded, value);
                if matches!(name, Setting::Hosts) && recorded.as_ref().is_some_and(is_other) {
                    forget_furthest(connection).await?;
                    let forgotten = "gates: what was in force with the other hosts counts no more";
                    changes.push(forgotten.into());
                    after.push(forgotten.into());
                }
                before.extend(recorded);
            }
        }
        Ok(changes)
    }
}

/// Makes a claim refused, so that the next create may choose its side anew.
pub(super) struct Release {
    pub(super) process: String,
    pub(super) reason: OperatorReason,
    pub(super) key: OwnedKey,
}

const RELEASE: Guarded = guarded!(
    ["UPDATE ref_claims SET state = 'refused', updated_at_us = $7 \
         WHERE tenant = $2 AND ref_id = $3 AND generation = $4 AND begun = $5 AND updated_at_us = $6 AND "],
    [" RETURNING ", COLUMNS_OF_A_CLAIM!()],
);

impl Release {
    async fn refuse<C: Connection>(
        &self,
        connection: &mut C,
        claim: &Claim,
    ) -> Result<Option<Claim>, LedgerError> {
        let [tenant, ref_id] = self.key.binds();
        let read = [claim.generation, claim.begun, claim.updated_at.as_microsecond()].map(Bind::Number);
        let now = Bind::Number(Timestamp::now().as_microsecond());
        let binds: Vec<_> = [tenant, ref_id].into_iter().chain(read).chain([now]).collect();
        let rows: Vec<ClaimRow> = connection.guarded(&RELEASE, &binds).await?;
        rows.into_iter().next().map(Claim::try_from).transpose()
    }
}

impl LedgerRequest for Release {
    type Output = Released;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Released, LedgerError> {
        let Some(claim) = ClaimByRef(&self.key).run(connection).await? else { return Ok(Released::Absent) };
        if claim.state == ClaimState::Refused {
            return Ok(Released::Already(claim));
        }
        // A 0.1 process did not write repeated attempts down, and was stopped before the tables were changed.
        let migrated = MigratedAt.run(connection).await?;
        let last =
            migrated.filter(|at| *at > claim.created_at).unwrap_or(claim.updated_at).max(claim.updated_at);
        let at = last.saturating_add(ATTEMPT_SETTLES_IN).unwrap_or(last);
        // The earlier of both: a command on a machine whose clock is ahead must not release too early.
        let now = connection.clock().await.map_err(LedgerError::from)?;
        if Timestamp::now().as_microsecond().min(now) < at.as_microsecond() {
            return Ok(Released::TooYoung { claim, at });
        }
        let Some(released) = self.refuse(connection, &claim).await? else {
            ClaimContextByRef(&self.key).run(connection).await?;
            // An attempt began between the read and the write.
            let at = Timestamp::now().saturating_add(ATTEMPT_SETTLES_IN).unwrap_or(last);
            return Ok(Released::TooYoung { claim, at });
        };
        let before = format!("{} {} generation {}", claim.side, claim.state.as_str(), claim.generation);
        let entry = AuditEntry {
            subject: &self.key.ref_id,
            before: Some(&before),
            after: Some("refused"),
            ..self.reason.entry(&self.process, AuditKind::Release)
        };
        record(connection, &entry).await?;
        Ok(Released::Done(released))
    }
}

impl Ledger {
    /// Makes a claim refused after lookups showed its reference on neither side. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn release(&self, key: Key<'_>, reason: OperatorReason) -> Result<Released, LedgerError> {
        self.write(Release { process: self.process(), reason, key: key.into() }).await
    }

    /// Sets the mark that creates may go to the new side, and returns whether it was not set before. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn open_new(&self, reason: OperatorReason) -> Result<bool, LedgerError> {
        self.write(OpenNew { process: self.process(), reason }).await
    }

    /// Accepts the database as the right one: lifts every hold, records the server and what `identity` names, and returns what
    /// changed. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn accept(&self, reason: OperatorReason, identity: Identity) -> Result<Accepted, LedgerError> {
        self.write(Accept { process: self.process(), reason, identity }).await
    }

    /// Records what `identity` names and the ledger lacks, and returns its id. Audited if it had none.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn init(&self, reason: OperatorReason, identity: Identity) -> Result<String, LedgerError> {
        self.write(Init { process: self.process(), reason, identity }).await
    }

    /// Puts creates on hold on every replica until `ledger accept`. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn hold(&self, why: String) -> Result<(), LedgerError> {
        self.write(PlaceHold { process: self.process(), kind: Setting::Hold, why: why.clone() }).await?;
        // Known at once, and not only to the next probe.
        self.reader.health.observe(&Err::<(), _>(LedgerError::Held(why)), CallKind::Probe);
        Ok(())
    }
}
