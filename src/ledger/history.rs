//! Detects a database that went back in time: another server, another timeline, or a missing claim of this process. Checked on every
//! new connection to PostgreSQL, because a restore or promotion breaks the old ones. The newest claims are re-read with every heartbeat,
//! on SQLite too: a dump that is restored, or rows that are deleted, break no connection.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tracing::{error, warn};

use super::audit::{AuditEntry, AuditKind, record};
use super::completeness::{Withdraw, Withdrawal};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::identity::{Setting, clear_setting, insert_setting, lock, set_setting, setting};
use super::newest::Newest;
use super::queries::CurrentHold;
use super::runs_with::RunsWithCell;

/// A process whose last heartbeat is within this time of the newest one was running when the old timeline ended.
const FRESH_US: i64 = 30_000_000;
/// After this long on a new timeline, a process without a heartbeat there is taken for stopped. Heartbeats come every few seconds.
const GONE_US: i64 = 60_000_000;

#[derive(Clone)]
pub(super) struct Verifier {
    pub(super) process: String,
    pub(super) newest: Newest,
    /// The last `ledger accept` that this process knows of.
    pub(super) accepted: Arc<Mutex<Option<Option<String>>>>,
    pub(super) failover_keeps_commits: bool,
    pub(super) running: RunsWithCell,
}

/// Why claims may be lost, and which hold that needs.
struct Doubt {
    hold: Setting,
    why: String,
}

impl Verifier {
    /// Re-reads the newest claims of this process, and sets the hold if one of them is not there.
    pub(super) async fn verify_newest<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        self.hold_on_doubt(connection, false).await
    }

    async fn hold_on_doubt<C: Connection>(
        &self,
        connection: &mut C,
        of_server: bool,
    ) -> Result<(), LedgerError> {
        if self.doubt(connection, of_server).await?.is_none() {
            return Ok(());
        }
        // An operator may be accepting just this: a hold that was decided on before would come into force after it.
        lock(connection).await?;
        // Asked again under the lock, for the same reason.
        let Some(Doubt { hold, why }) = self.doubt(connection, of_server).await? else { return Ok(()) };
        PlaceHold { process: self.process.clone(), kind: hold, why }.run(connection).await?;
        if matches!(hold, Setting::HoldTimeline) {
            ProcessHeartbeat::of(self).run(connection).await?;
        }
        Ok(())
    }

    async fn doubt<C: Connection>(
        &self,
        connection: &mut C,
        of_server: bool,
    ) -> Result<Option<Doubt>, LedgerError> {
        match self.doubt_of_claims(connection).await? {
            // A missing claim of its own is certain loss; another timeline alone may have kept every commit.
            None if of_server => self.doubt_of_server(connection).await,
            doubt => Ok(doubt),
        }
    }

    async fn doubt_of_server<C: Connection>(&self, connection: &mut C) -> Result<Option<Doubt>, LedgerError> {
        let Some(server) = connection.history().cloned() else { return Ok(None) };
        let Some((system, _)) = setting(connection, Setting::System).await? else {
            insert_setting(connection, Setting::System, &server.system).await?;
            insert_setting(connection, Setting::Timeline, &server.timeline).await?;
            return Ok(None);
        };
        if system != server.system {
            let why = format!("the database is on the system {}, and on record is {system}", server.system);
            return Ok(Some(Doubt { hold: Setting::Hold, why }));
        }
        let recorded = setting(connection, Setting::Timeline).await?.map(|(timeline, _)| timeline);
        Ok(recorded.filter(|recorded| *recorded != server.timeline).map(|recorded| {
            let why = format!(
                "the database is on timeline {}, and on record is {recorded}: a standby was promoted or a backup restored, and claims may \
                 be lost",
                server.timeline
            );
            let hold = if self.failover_keeps_commits { Setting::HoldTimeline } else { Setting::Hold };
            Doubt { hold, why }
        }))
    }

    async fn doubt_of_claims<C: Connection>(&self, connection: &mut C) -> Result<Option<Doubt>, LedgerError> {
        self.forget_what_was_accepted(connection).await?;
        let missing = self.missing(connection).await?;
        Ok((missing > 0).then(|| {
            let why = format!(
                "the database lacks {missing} of the newest claims that this process wrote: it was restored, rows were deleted, or a \
                 standby without them was promoted"
            );
            Doubt { hold: Setting::Hold, why }
        }))
    }

    /// Claims that were missing when an operator accepted the database are missed no more.
    async fn forget_what_was_accepted<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let accepted = setting(connection, Setting::Accepted).await?.map(|(accepted, _)| accepted);
        let mut known = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        // What was accepted before this process began says nothing about its own claims.
        if known.as_ref().is_some_and(|known| *known != accepted) {
            self.newest.clear();
        }
        *known = Some(accepted);
        Ok(())
    }

    async fn missing<C: Connection>(&self, connection: &mut C) -> Result<usize, LedgerError> {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM ref_claims WHERE tenant = $1 AND ref_id = $2 \
                   AND (generation > $3 OR (generation = $3 AND begun >= $4))";
        let mut missing = 0;
        for claim in self.newest.all() {
            let [tenant, ref_id] = claim.key.binds();
            let binds = [tenant, ref_id, Bind::Number(claim.generation), Bind::Number(claim.begun)];
            let rows: Vec<(i64,)> = connection.rows(sql, &binds).await?;
            missing += usize::from(rows.first().is_none_or(|(count,)| *count == 0));
        }
        Ok(missing)
    }
}

/// A new session, before its first use: compares the server with the one on record, and sets the hold if claims may be lost.
impl LedgerRequest for Verifier {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        self.hold_on_doubt(connection, true).await
    }
}

/// Sets a hold: no attempt begins until it is lifted. An existing hold is kept.
pub(super) struct PlaceHold {
    pub(super) process: String,
    pub(super) kind: Setting,
    pub(super) why: String,
}

impl LedgerRequest for PlaceHold {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        if insert_setting(connection, self.kind, &self.why).await? {
            error!(target: "ledger", why = self.why, "creates are on hold until `ledger accept`");
            let entry = AuditEntry {
                process: &self.process,
                operator: "",
                kind: AuditKind::Hold,
                subject: "",
                reason: &self.why,
                before: None,
                after: None,
            };
            record(connection, &entry).await?;
        }
        Ok(())
    }
}

/// The periodic write of a process. It proves that writes work and that the process runs, and returns why creates are on hold.
pub(super) struct ProcessHeartbeat {
    process: String,
    failover_keeps_commits: bool,
    running: RunsWithCell,
}

const BEAT: Guarded = guarded!(
    [
        "INSERT INTO ledger_processes (process, started_at_us, seen_at_us, timeline, config, modes, modes_since_us, version) \
         SELECT $2, $3, $3, $4, $5, $6, CASE WHEN $7 < 0 THEN NULL ELSE $7 END, $8 WHERE "
    ],
    [" ON CONFLICT (process) DO UPDATE SET seen_at_us = excluded.seen_at_us, timeline = excluded.timeline, \
         config = excluded.config, modes = excluded.modes, modes_since_us = excluded.modes_since_us, version = excluded.version \
         RETURNING process"],
);

impl ProcessHeartbeat {
    pub(super) fn of(verifier: &Verifier) -> Self {
        Self {
            process: verifier.process.clone(),
            failover_keeps_commits: verifier.failover_keeps_commits,
            running: verifier.running.clone(),
        }
    }

    async fn write<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        // Every connection was verified when it was made, so its timeline is one on which this process found its claims.
        let timeline = connection.history().map(|server| server.timeline.clone());
        // Of one clock: replicas are compared by these times.
        let clock = connection.clock().await?;
        let now = Bind::Number(clock);
        let runs_with = self.running.get();
        let runs_with = runs_with.as_ref();
        let modes_since = runs_with.map_or(-1, |running| {
            let since = i64::try_from(running.modes_since.elapsed().as_micros()).unwrap_or(i64::MAX);
            clock.saturating_sub(since).max(0)
        });
        let binds = [
            Bind::Text(&self.process),
            now,
            Bind::Optional(timeline.as_deref()),
            Bind::Optional(runs_with.map(|running| running.config.as_str())),
            Bind::Optional(runs_with.map(|running| running.modes.as_str())),
            Bind::Number(modes_since),
            Bind::Text(env!("CARGO_PKG_VERSION")),
        ];
        let rows: Vec<(String,)> = connection.guarded(&BEAT, &binds).await?;
        if rows.is_empty() { Err(connection.foreign()) } else { Ok(()) }
    }

    /// Takes the new timeline on record once every process that was running on the old one has found its claims there.
    async fn try_to_accept<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let Some(server) = connection.history().cloned() else { return Ok(()) };
        let Some((why, since)) = setting(connection, Setting::HoldTimeline).await? else { return Ok(()) };
        let recorded = setting(connection, Setting::Timeline).await?.map(|(timeline, _)| timeline);
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM ledger_processes WHERE timeline <> $1 AND seen_at_us >= \
                   (SELECT MAX(seen_at_us) FROM ledger_processes WHERE timeline <> $1) - $2";
        let binds = [Bind::Text(&server.timeline), Bind::Number(FRESH_US)];
        let missing: Vec<(i64,)> = connection.rows(sql, &binds).await?;
        // Every process that wrote lately on the old timeline has found its newest claims on this one.
        let all = missing.first().is_none_or(|(count,)| *count == 0);
        if !all && Timestamp::now().as_microsecond() - since < GONE_US {
            return Ok(());
        }
        set_setting(connection, Setting::Timeline, &server.timeline).await?;
        Withdraw { tenant: None, sides: Vec::new(), why: Withdrawal::AnotherTimeline }
            .run(connection)
            .await?;
        // Last: until then no attempt begins on a ledger that is only half accepted.
        clear_setting(connection, Setting::HoldTimeline).await?;
        warn!(target: "ledger", timeline = server.timeline, "another timeline is accepted: every process found its newest claims");
        let entry = AuditEntry {
            process: &self.process,
            operator: "",
            kind: AuditKind::AcceptTimeline,
            subject: "",
            reason: &why,
            before: recorded.as_deref(),
            after: Some(&server.timeline),
        };
        record(connection, &entry).await
    }
}

impl LedgerRequest for ProcessHeartbeat {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        self.write(connection).await?;
        if self.failover_keeps_commits {
            self.try_to_accept(connection).await?;
        }
        Ok(())
    }
}

/// [`ProcessHeartbeat`], the newest claims, then the hold: a process is not ready while creates are on hold.
pub(super) struct Probe(pub(super) Verifier);

impl LedgerRequest for Probe {
    type Output = Option<String>;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Option<String>, LedgerError> {
        ProcessHeartbeat::of(&self.0).run(connection).await?;
        self.0.verify_newest(connection).await?;
        CurrentHold.run(connection).await
    }
}
