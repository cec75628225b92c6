//! The progress and the findings of walks over the vendor's lists.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::time::Duration;

use jiff::Timestamp;

use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::time;
use super::walked::Walked;

/// What a walk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkKind {
    Reconcile,
    Backfill,
}

impl WalkKind {
    /// The name in the table and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Backfill => "backfill",
        }
    }

    /// The command that walks so, as an operator types it.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Backfill => "ledger backfill",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkState {
    /// Not finished: a later one goes on from its progress.
    Running,
    Clean,
    Findings,
    /// Not finished, and never resumed: another walk took its place.
    Abandoned,
}

impl WalkState {
    const ALL: [Self; 4] = [Self::Running, Self::Clean, Self::Findings, Self::Abandoned];

    /// The name in the table and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Clean => "clean",
            Self::Findings => "findings",
            Self::Abandoned => "abandoned",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkRow {
    pub walk: String,
    /// `both`, `legacy` or `new`.
    pub sides: String,
    /// The window: records made from `begin` on and before `end`.
    pub begin: Timestamp,
    pub end: Timestamp,
    pub state: WalkState,
    /// The version of the program that wrote it.
    pub program: String,
    /// The format of `progress`.
    pub format: i64,
    /// JSON.
    pub progress: String,
    pub started_at: Timestamp,
    /// When it last got on.
    pub updated_at: Timestamp,
    /// A digest of what it judges by; `None`: an older program wrote it.
    pub judged: Option<String>,
}

type StoredWalk = (String, String, i64, i64, String, String, i64, String, i64, i64, Option<String>);

impl TryFrom<StoredWalk> for WalkRow {
    type Error = LedgerError;

    fn try_from(row: StoredWalk) -> Result<Self, LedgerError> {
        let (walk, sides, begin, end, in_state, program, format, progress, started_at, updated_at, judged) =
            row;
        let state = WalkState::ALL.into_iter().find(|state| state.as_str() == in_state);
        Ok(Self {
            walk,
            sides,
            begin: time(begin)?,
            end: time(end)?,
            state: state.ok_or_else(|| LedgerError::Corrupt("a walk in an unknown state".into()))?,
            program,
            format,
            progress,
            started_at: time(started_at)?,
            updated_at: time(updated_at)?,
            judged,
        })
    }
}

/// The newest reconcile in a state that went over both sides and the whole of a window up to its begin.
pub(super) struct NewestWhole<'a> {
    pub(super) tenant: &'a str,
    pub(super) state: WalkState,
    pub(super) window: Duration,
    /// How much older than the walk the end of its window may be.
    pub(super) age: Duration,
}

const NEWEST_WHOLE: &str = "SELECT walk, sides, begin_us, end_us, state, program, format, progress, started_at_us, updated_at_us, \
     CAST(NULL AS TEXT) FROM ledger_walks WHERE tenant = $1 AND kind = 'reconcile' AND state = $2 AND sides = 'both' AND end_us - begin_us >= $3 \
     AND started_at_us - end_us <= $4 ORDER BY updated_at_us DESC LIMIT 1";

impl LedgerRequest for NewestWhole<'_> {
    type Output = Option<WalkRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let [window, age] = [self.window, self.age]
            .map(|duration| Bind::Number(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)));
        let binds = [Bind::Text(self.tenant), Bind::Text(self.state.as_str()), window, age];
        let rows: Vec<StoredWalk> = connection.rows(NEWEST_WHOLE, &binds).await?;
        rows.into_iter().next().map(WalkRow::try_from).transpose()
    }
}

/// The newest walks with findings, a backfill among them, and those that stopped after they had confirmed one about money.
pub(super) struct WithFindings<'a> {
    pub(super) tenant: &'a str,
    /// The kinds of findings about money.
    pub(super) money: [&'static str; 5],
}

/// Rows of one answer to [`WithFindings`].
pub(super) const WITH_FINDINGS_MAX: usize = 500;

// The progress of a walk that stopped is older than its findings: they are saved first.
const WITH_FINDINGS: &str = "SELECT CASE WHEN state = 'findings' THEN progress ELSE '' END, updated_at_us FROM ledger_walks AS w \
     WHERE tenant = $1 AND (state = 'findings' OR state IN ('running', 'abandoned') AND EXISTS \
     (SELECT 1 FROM ledger_findings AS f WHERE f.walk = w.walk AND f.kind IN ($2, $3, $4, $5, $6))) \
     ORDER BY updated_at_us DESC LIMIT 500";

impl LedgerRequest for WithFindings<'_> {
    /// The progress of each and when it ended, newest first; no progress of one that stopped.
    type Output = Vec<(String, Timestamp)>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let [double, lost, wrong_side, mismatch, status] = self.money.map(Bind::Text);
        let binds = [Bind::Text(self.tenant), double, lost, wrong_side, mismatch, status];
        let rows: Vec<(String, i64)> = connection.rows(WITH_FINDINGS, &binds).await?;
        rows.into_iter().map(|(progress, at)| Ok((progress, time(at)?))).collect()
    }
}

/// The references of which the walks that ended since a time confirmed a double.
pub(super) struct DoublesSince<'a> {
    pub(super) tenant: &'a str,
    pub(super) since: Timestamp,
}

const DOUBLES_SINCE: &str = "SELECT CAST(COUNT(DISTINCT f.subject) AS BIGINT) FROM ledger_findings AS f \
     JOIN ledger_walks AS w ON w.walk = f.walk WHERE w.tenant = $1 AND w.updated_at_us >= $2 AND f.kind = 'double'";

impl LedgerRequest for DoublesSince<'_> {
    type Output = u64;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<u64, LedgerError> {
        let since = Bind::Number(self.since.as_microsecond());
        let rows: Vec<(i64,)> = connection.rows(DOUBLES_SINCE, &[Bind::Text(self.tenant), since]).await?;
        Ok(rows.first().map_or(0, |(count,)| count.unsigned_abs()))
    }
}

/// The newest walk of a kind over these sides, from that begin on, that did not finish.
pub(super) struct UnfinishedWalk<'a> {
    pub(super) tenant: &'a str,
    pub(super) kind: WalkKind,
    pub(super) sides: &'a str,
    pub(super) begin: Timestamp,
}

const UNFINISHED_WALK: &str = "SELECT walk, sides, begin_us, end_us, state, program, format, progress, started_at_us, updated_at_us, judged \
     FROM ledger_walks WHERE tenant = $1 AND kind = $2 AND state = 'running' AND sides = $3 AND begin_us = $4 \
     ORDER BY updated_at_us DESC LIMIT 1";

impl LedgerRequest for UnfinishedWalk<'_> {
    type Output = Option<WalkRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let begin = Bind::Number(self.begin.as_microsecond());
        let binds = [Bind::Text(self.tenant), Bind::Text(self.kind.as_str()), Bind::Text(self.sides), begin];
        let rows: Vec<StoredWalk> = connection.rows(UNFINISHED_WALK, &binds).await?;
        rows.into_iter().next().map(WalkRow::try_from).transpose()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFinding {
    pub kind: String,
    /// What it is about: a reference or a record id.
    pub subject: String,
    /// JSON.
    pub finding: String,
}

/// Rows of one answer to [`FindingsAfter`].
const FINDINGS_PAGE: &str = "SELECT kind, subject, finding FROM ledger_findings WHERE walk = $1 AND (kind > $2 OR (kind = $2 AND subject > $3)) \
     ORDER BY kind, subject LIMIT 1000";

/// The next findings of a walk, in the order of kind and subject.
pub(super) struct FindingsAfter<'a> {
    pub(super) walk: &'a str,
    /// The last one that was read; `None` to begin.
    pub(super) after: Option<&'a StoredFinding>,
}

impl LedgerRequest for FindingsAfter<'_> {
    type Output = Vec<StoredFinding>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let (kind, subject) = self.after.map_or(("", ""), |after| (&after.kind, &after.subject));
        let binds = [Bind::Text(self.walk), Bind::Text(kind), Bind::Text(subject)];
        let rows: Vec<(String, String, String)> = connection.rows(FINDINGS_PAGE, &binds).await?;
        let stored = |(kind, subject, finding)| StoredFinding { kind, subject, finding };
        Ok(rows.into_iter().map(stored).collect())
    }
}

/// Begins a walk, and gives up those with the same begin that did not finish.
pub(super) struct BeginWalk {
    pub(super) tenant: String,
    pub(super) kind: WalkKind,
    pub(super) row: WalkRow,
}

const ABANDON: Guarded = guarded!(
    ["UPDATE ledger_walks SET state = 'abandoned' \
         WHERE tenant = $2 AND kind = $3 AND sides = $4 AND begin_us = $5 AND state = 'running' AND "],
    [" RETURNING walk"],
);

const BEGIN_WALK: Guarded = guarded!(
    [
        "INSERT INTO ledger_walks (walk, kind, tenant, sides, begin_us, end_us, state, program, format, progress, started_at_us, \
         updated_at_us, judged) SELECT $2, $3, $4, $5, $6, $7, 'running', $8, $9, $10, $11, $11, $12 WHERE "
    ],
    [" RETURNING walk"],
);

// Findings go with their walk; what shows that a window was clean stays.
const FORGET_FINDINGS: Guarded = guarded!(
    ["DELETE FROM ledger_findings WHERE walk IN \
         (SELECT walk FROM ledger_walks WHERE tenant = $2 AND state <> 'clean' AND updated_at_us < $3) AND "],
    [" RETURNING walk"],
);
const FORGET_WALKS: Guarded = guarded!(
    ["DELETE FROM ledger_walks WHERE tenant = $2 AND state <> 'clean' AND updated_at_us < $3 AND "],
    [" RETURNING walk"],
);

/// How long a walk that was not clean is kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl LedgerRequest for BeginWalk {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        use Bind::{Number, Text};
        let (tenant, row) = (Text(&self.tenant), &self.row);
        let begin = Number(row.begin.as_microsecond());
        let same = [tenant, Text(self.kind.as_str()), Text(&row.sides), begin];
        let _: Vec<(String,)> = connection.guarded(&ABANDON, &same).await?;
        let before = Number((Timestamp::now() - KEPT).as_microsecond());
        for forget in [&FORGET_FINDINGS, &FORGET_WALKS] {
            let _: Vec<(String,)> = connection.guarded(forget, &[tenant, before]).await?;
        }
        let binds = [
            Text(&row.walk),
            Text(self.kind.as_str()),
            tenant,
            Text(&row.sides),
            begin,
            Number(row.end.as_microsecond()),
            Text(&row.program),
            Number(row.format),
            Text(&row.progress),
            Number(row.started_at.as_microsecond()),
            Bind::Optional(row.judged.as_deref()),
        ];
        let rows: Vec<(String,)> = connection.guarded(&BEGIN_WALK, &binds).await?;
        if rows.is_empty() { Err(connection.foreign()) } else { Ok(()) }
    }
}

/// Gives a walk that did not finish another end.
pub(super) struct MoveEnd {
    pub(super) walk: String,
    pub(super) end: Timestamp,
}

const MOVE_END: Guarded = guarded!(
    ["UPDATE ledger_walks SET end_us = $3 WHERE walk = $2 AND state = 'running' AND "],
    [" RETURNING walk"],
);

impl LedgerRequest for MoveEnd {
    /// Whether the walk can still go on.
    type Output = bool;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        let binds = [Bind::Text(&self.walk), Bind::Number(self.end.as_microsecond())];
        let rows: Vec<(String,)> = connection.guarded(&MOVE_END, &binds).await?;
        Ok(!rows.is_empty())
    }
}

/// How far a walk has come.
#[derive(Clone, Debug)]
pub struct WalkStep {
    pub state: WalkState,
    /// JSON.
    pub progress: String,
    /// What it found since the last step.
    pub findings: Vec<StoredFinding>,
    /// What a walk that has finished says about completeness.
    pub walked: Option<Walked>,
}

/// Records how far a walk has come, with what it found until there and what that means: all or nothing.
pub(super) struct SaveWalk {
    pub(super) walk: String,
    pub(super) step: WalkStep,
}

const SAVE_WALK: Guarded = guarded!(
    [
        "UPDATE ledger_walks SET state = $3, progress = $4, updated_at_us = $5 WHERE walk = $2 AND state = 'running' AND "
    ],
    [" RETURNING walk"],
);

const SAVE_FINDING: Guarded = guarded!(
    ["INSERT INTO ledger_findings (walk, kind, subject, finding) SELECT $2, $3, $4, $5 WHERE "],
    [" ON CONFLICT (walk, kind, subject) DO UPDATE SET finding = excluded.finding RETURNING walk"],
);

impl LedgerRequest for SaveWalk {
    /// Whether the walk is still the one to save: another process may have begun one in its place.
    type Output = bool;

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        use Bind::{Number, Text};
        let WalkStep { state, progress, findings, walked } = &self.step;
        for StoredFinding { kind, subject, finding } in findings {
            let binds = [Text(&self.walk), Text(kind), Text(subject), Text(finding)];
            let rows: Vec<(String,)> = connection.guarded(&SAVE_FINDING, &binds).await?;
            if rows.is_empty() {
                return Err(connection.foreign());
            }
        }
        let now = Number(connection.clock().await?);
        let binds = [Text(&self.walk), Text(state.as_str()), Text(progress), now];
        let rows: Vec<(String,)> = connection.guarded(&SAVE_WALK, &binds).await?;
        if let (Some(walked), false) = (walked, rows.is_empty()) {
            walked.record(connection).await?;
        }
        Ok(!rows.is_empty())
    }
}
