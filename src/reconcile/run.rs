//! One walk from its begin, or from where an earlier one stopped, to its end.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

use super::daily_report::DailyReport;
use super::finding::WalkFinding;
use super::lease::Lease;
use super::options::WalkOptions;
use super::planned::PlannedRepair;
use super::progress::{DistinctFindings, FORMAT, SeenIds, WalkProgress};
use super::side_walk::whole_second;
use super::source::{RecordSource, WalkError};
use super::walk::{Sides, Slice, Walk};
use crate::ledger::{
    Ledger, Reader, StoredFinding, WalkKind, WalkRow, WalkState, WalkStep, WalkVerdict, Walked,
};
use crate::translate::facts::Facts;
use crate::translate::side::Side;

/// A record and its claim are made within this time of each other. What is farther apart costs a lookup.
pub(super) const MARGIN: SignedDuration = SignedDuration::from_mins(10);
/// Windows begin and end at whole seconds.
pub(super) const ROUNDED: Duration = Duration::from_secs(1);
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Findings in one transaction.
const FINDINGS_SAVED: usize = 200;
/// References without a claim that are kept in memory, where no claim may be written.
pub(super) const ASSUMED_MAX: usize = 500_000;

/// On whose behalf a walk is made.
#[derive(Clone, Copy, Debug)]
pub struct WalkAuthor<'a> {
    /// The hash of the config.
    pub config: &'a str,
    /// The user who runs the command; `None` for a replica.
    pub operator: Option<&'a str>,
}

/// What a walk may use.
pub struct WalkContext<'a, S> {
    pub source: &'a S,
    pub reader: &'a Reader,
    /// Writes it; `None`: a dry run, which changes and records nothing.
    pub ledger: Option<&'a Ledger>,
    /// The lease that lets this process walk; `None` in a dry run.
    pub lease: Option<&'a Lease>,
    /// The namespace of the references.
    pub tenant: &'a str,
    /// The hash of the config, and who walks, for the evidence.
    pub author: WalkAuthor<'a>,
    /// What is known about the vendor.
    pub facts: Facts,
    /// The vendor's report, if there is one.
    pub report: Option<DailyReport>,
    /// Receives how far the walk is.
    pub observer: &'a (dyn Fn(&WalkView<'_>) + Send + Sync),
}

/// How far a walk is.
#[derive(Debug)]
pub struct WalkView<'a> {
    /// The window: records made from `begin` on and before `end`.
    pub begin: Timestamp,
    pub end: Timestamp,
    pub progress: &'a WalkProgress,
}

#[derive(Debug)]
pub struct WalkResult {
    /// Its id in the ledger.
    pub walk: String,
    pub begin: Timestamp,
    pub end: Timestamp,
    pub progress: WalkProgress,
    /// What was found, at most some thousands of each kind.
    pub findings: Vec<WalkFinding>,
    pub started_at: Timestamp,
    /// Whether it went on from an earlier walk, which was begun then.
    pub resumed: bool,
}

/// A walk while it runs.
pub(super) struct Walker<'a, S> {
    pub(super) context: WalkContext<'a, S>,
    pub(super) options: WalkOptions,
    pub(super) walk: String,
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
    pub(super) progress: WalkProgress,
    /// What the ledger may hold: progress of whole slices.
    pub(super) snapshot: String,
    pub(super) findings: DistinctFindings,
    pub(super) pending: Vec<StoredFinding>,
    pub(super) planned: Vec<PlannedRepair>,
    pub(super) seen: SeenIds,
    /// References without a claim, by their hash, with the side and id of the record: where no claim is written.
    pub(super) assumed: HashMap<u64, (Side, String)>,
    /// Until when a passed control stays valid, by side.
    pub(super) controlled_until: [Option<Instant>; 2],
    /// The reference of a record that the walk saw on each side.
    pub(super) known_ref: [Option<String>; 2],
    saved_at: Instant,
    /// When it was begun, by an earlier process if it was resumed.
    pub(super) started_at: Timestamp,
    pub(super) resumed: bool,
}

/// Walks, and returns what was found.
///
/// # Errors
/// When the walk could not finish. What it found until then is in the ledger, and the next one goes on from there.
pub async fn walk<S: RecordSource>(
    context: WalkContext<'_, S>,
    options: WalkOptions,
) -> Result<WalkResult, WalkError> {
    let mut walker = Walker::begin(context, options).await?;
    if let Err(error) = walker.run().await {
        // So that the next walk need not go over this part again. The first error counts.
        let _ = walker.save(WalkState::Running).await;
        // What cannot be put on record now is so when another walk begins.
        let _ = walker.audit_claims().await;
        return Err(error);
    }
    Ok(walker.finish())
}

impl<'a, S: RecordSource> Walker<'a, S> {
    async fn begin(context: WalkContext<'a, S>, options: WalkOptions) -> Result<Self, WalkError> {
        if options.is_empty() {
            return Err(WalkError::EmptyWindow);
        }
        let begin = options.first_second();
        let fresh = WalkProgress {
            position: begin.as_second(),
            claims_position: begin.as_second(),
            stuck_after_s: Some(options.stuck_after.as_secs()),
            ..WalkProgress::default()
        };
        let end = whole_second(options.end);
        let started_at = context.reader.clock().await?;
        let mut walker = Self {
            context,
            options,
            walk: Uuid::new_v4().to_string(),
            begin,
            end,
            snapshot: json(&fresh),
            progress: fresh,
            findings: DistinctFindings::default(),
            pending: Vec::new(),
            planned: Vec::new(),
            seen: SeenIds::default(),
            assumed: HashMap::new(),
            controlled_until: [None; 2],
            known_ref: [None, None],
            saved_at: Instant::now(),
            started_at,
            resumed: false,
        };
        // Of walks that were killed, before it is forgotten which they were.
        walker.audit_claims().await?;
        if !walker.resume().await? {
            walker.record_begin().await?;
        }
        Ok(walker)
    }

    async fn record_begin(&mut self) -> Result<(), WalkError> {
        let Some(ledger) = self.context.ledger else { return Ok(()) };
        let now = self.started_at;
        let row = WalkRow {
            walk: self.walk.clone(),
            sides: self.options.sides.as_str().to_owned(),
            begin: self.begin,
            end: self.end,
            state: WalkState::Running,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            format: FORMAT,
            progress: self.snapshot.clone(),
            started_at: now,
            updated_at: now,
            judged: Some(self.judged()),
        };
        Ok(ledger.begin_walk(self.context.tenant, self.options.kind, row).await?)
    }

    async fn run(&mut self) -> Result<(), WalkError> {
        // The ids of what was made shortly before are needed again to find the records of claims.
        let claims_from = second(self.progress.claims_position).saturating_sub(MARGIN).unwrap_or(self.begin);
        let from = claims_from.min(second(self.progress.position)).max(self.begin);
        let stuck_after = self.options.stuck_after.as_secs();
        self.progress.stuck_after_s = self.progress.stuck_after_s.map(|before| before.max(stuck_after));
        let mut walk = Walk::new(self.options.sides, from, self.end, self.options.limit);
        let pages = self.progress.pages;
        while let Some(slice) = walk.next(self.context.source).await? {
            self.judge_slice(&slice).await?;
            for side in [Side::Legacy, Side::New] {
                self.progress.pages[side as usize] = pages[side as usize] + walk.pages(side);
            }
            // The margin before the position was walked for its ids alone; progress never goes back.
            let until = slice.until.as_second().max(self.progress.position);
            self.progress.position = until;
            self.seen.walked(from, slice.until);
            // Behind the walk: a record may be made minutes after its claim, and its row comes with a later slice.
            self.lookup_claims(slice.until - MARGIN).await?;
            self.snapshot = json(&self.progress);
            (self.context.observer)(&self.view());
            if self.saved_at.elapsed() > SAVE_EVERY || !self.pending.is_empty() {
                self.save(WalkState::Running).await?;
            }
        }
        self.lookup_claims(self.end).await?;
        self.lookup_reported().await?;
        self.snapshot = json(&self.progress);
        (self.context.observer)(&self.view());
        self.audit_claims().await?;
        let state = if self.progress.is_clean() { WalkState::Clean } else { WalkState::Findings };
        self.save(state).await?;
        if state == WalkState::Clean { self.record_evidence().await } else { Ok(()) }
    }

    async fn judge_slice(&mut self, slice: &Slice) -> Result<(), WalkError> {
        // Legacy first: a conversion of legacy that new mirrors is known by the time that its mirror is judged.
        for side in [Side::Legacy, Side::New] {
            self.judge_rows(slice, side).await?;
        }
        Ok(())
    }

    fn view(&self) -> WalkView<'_> {
        WalkView { begin: self.begin, end: self.end, progress: &self.progress }
    }

    fn finish(self) -> WalkResult {
        let Self { walk, begin, end, progress, findings, started_at, resumed, .. } = self;
        WalkResult { walk, begin, end, progress, findings: findings.kept, started_at, resumed }
    }

    /// Adds a finding, unless it was added before.
    pub(super) fn report(&mut self, finding: &WalkFinding) {
        if !self.findings.add(finding) {
            return;
        }
        *self.progress.found.entry(finding.kind).or_default() += 1;
        if self.findings.keeps(finding) {
            self.pending.push(finding.stored());
        }
        finding.log();
    }

    /// Marks a finding as repaired.
    pub(super) fn report_repaired(&mut self, finding: &WalkFinding) {
        let repaired = WalkFinding { repaired: true, ..finding.clone() };
        self.findings.repaired(&repaired);
        if self.findings.keeps(finding) {
            self.pending.push(repaired.stored());
        }
        let (kind, ref_id) = (finding.kind.as_str(), finding.subject());
        tracing::info!(target: "reconcile", kind, ref_id, "repaired");
    }

    /// Saves what was found before a claim is repaired: a process that is killed in between has reported it.
    pub(super) async fn save_findings(&mut self) -> Result<(), WalkError> {
        if self.pending.is_empty() { Ok(()) } else { self.save(WalkState::Running).await }
    }

    async fn save(&mut self, state: WalkState) -> Result<(), WalkError> {
        self.check_lease()?;
        // Before anything is saved: a double must hold creates even if the save fails.
        self.trip_on_doubles().await?;
        let mut findings = std::mem::take(&mut self.pending);
        let Some(ledger) = self.context.ledger else { return Ok(()) };
        let now = self.context.reader.clock().await?;
        loop {
            let rest = findings.split_off(findings.len().min(FINDINGS_SAVED));
            // Finished only with the last findings: a walk that is killed in between goes on and saves the rest.
            let state = if rest.is_empty() { state } else { WalkState::Running };
            let walked = self.walked(state, now);
            let step = WalkStep { state, progress: self.snapshot.clone(), findings, walked };
            if !ledger.save_walk(&self.walk, step).await? {
                return Err(WalkError::TakenOver);
            }
            if rest.is_empty() {
                break;
            }
            findings = rest;
        }
        self.saved_at = Instant::now();
        Ok(())
    }

    /// What the end of the walk says about completeness.
    fn walked(&self, state: WalkState, now: Timestamp) -> Option<Walked> {
        let is_clean = match state {
            WalkState::Running | WalkState::Abandoned => return None,
            WalkState::Clean => true,
            WalkState::Findings => false,
        };
        // A window that ended long ago says nothing about what was made since.
        let is_recent = self.end >= self.started_at - 2 * self.options.lag;
        let whole = self.is_reconcile()
            && is_recent
            && self.options.sides == Sides::Both
            && self.begin <= self.end - self.options.window + ROUNDED;
        let verdict = match self.options.clean_for.filter(|_| is_clean && whole) {
            Some(clean_for) => {
                // Part of a walk that goes on was joined when it began.
                let at = if self.resumed { self.started_at } else { now };
                WalkVerdict::CleanUntil(at + clean_for)
            }
            None if self.progress.is_about_money() => WalkVerdict::AboutMoney,
            None => WalkVerdict::Other,
        };
        let is_known = |side: &Side| {
            let WalkProgress { unlisted, left_unclaimed, .. } = &self.progress;
            self.may_claim(*side) && unlisted[*side as usize] == 0 && left_unclaimed[*side as usize] == 0
        };
        Some(Walked {
            tenant: self.context.tenant.to_owned(),
            sides: self.options.sides.all().into_iter().filter(is_known).collect(),
            begin: self.begin,
            end: self.end,
            verdict,
            longest_create: self.options.longest_create,
            judged: self.context.facts.about_mirrors(),
        })
    }

    pub(super) fn check_lease(&self) -> Result<(), WalkError> {
        match self.context.lease {
            Some(lease) if !lease.is_held() => Err(WalkError::TakenOver),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn is_reconcile(&self) -> bool {
        self.options.kind == WalkKind::Reconcile
    }

    /// Whether a claim that names that side may be written.
    pub(super) fn may_claim(&self, side: Side) -> bool {
        self.context.ledger.is_some() && (side == Side::Legacy || self.options.may_claim_new)
    }
}

fn json(progress: &WalkProgress) -> String {
    // A struct of numbers and strings always serializes.
    serde_json::to_string(progress).unwrap_or_default()
}

pub(super) fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
