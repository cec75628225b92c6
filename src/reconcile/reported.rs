//! The join with the vendor's report.

use super::daily_report::DailyReport;
use super::finding::{FindingKind, WalkFinding};
use super::row_finding::of_row;
use super::run::Walker;
use super::source::{RecordSource, WalkError};
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

impl<S: RecordSource> Walker<'_, S> {
    /// Compares a record with the report, and again with what a second read shows.
    pub(super) async fn check_report(&mut self, row: &WalkedRecord) -> Result<(), WalkError> {
        let Some(report) = &mut self.context.report else { return Ok(()) };
        if report.compare(row).is_none() {
            return Ok(());
        }
        // Read again: the record may have settled since the page was read.
        let Some(now) = self.context.source.by_id(row.side, &row.id).await? else { return Ok(()) };
        let again = self.context.report.as_mut().and_then(|report| report.compare(&now));
        if let Some((kind, why)) = again {
            self.report_contradiction(&of_row(kind, &now, why));
        }
        Ok(())
    }

    fn report_contradiction(&mut self, finding: &WalkFinding) {
        if let Some(report) = &mut self.context.report {
            report.contradicts();
        }
        self.report(finding);
    }

    /// Looks up what the report names in this window and the walk did not show. A report of which nothing was compared agrees with
    /// nothing.
    pub(super) async fn lookup_reported(&mut self) -> Result<(), WalkError> {
        let Some(report) = &self.context.report else { return Ok(()) };
        let (begin, end) = (self.begin, self.end);
        let left = report.unmatched().into_iter().filter(|(_, _, at)| (begin..end).contains(at));
        let left: Vec<_> = left.collect();
        for (id, side, at) in left {
            match self.context.source.by_id(side, &id).await? {
                Some(record) => self.check_report(&record).await?,
                None => {
                    let detail = "the report names it, and its side does not hold it";
                    let finding = WalkFinding::new(FindingKind::Lost, None, at, detail);
                    self.report_contradiction(&match side {
                        Side::Legacy => WalkFinding { legacy_id: Some(id), ..finding },
                        Side::New => WalkFinding { new_id: Some(id), ..finding },
                    });
                }
            }
        }
        self.progress.report = self.context.report.as_ref().map(DailyReport::counts);
        let says_something = self.context.report.as_ref().is_some_and(DailyReport::says_something);
        if says_something { Ok(()) } else { Err(WalkError::NotCompared) }
    }
}
