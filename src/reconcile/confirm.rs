//! The second, targeted reads: what a list showed, or did not show, is looked up before it is reported or repaired.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::run::{MARGIN, Walker};
use super::source::{RecordSource, WalkError, WalkLookup};
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

/// How long a passed control stays valid.
const VALID_FOR: Duration = Duration::from_secs(5 * 60);

impl<S: RecordSource> Walker<'_, S> {
    /// What a side holds under a reference. "Absent" is believed only if lookups there find what is known to be there.
    pub(super) async fn look_up(&mut self, side: Side, ref_id: &str) -> Result<WalkLookup, WalkError> {
        let found = self.context.source.by_ref(side, ref_id).await?;
        // An index that lags or a filter that fails would call everything absent; a record that is known to be there shows it.
        // One that was answered before the control may have met an index that was empty for a moment.
        if matches!(found, WalkLookup::Absent) && self.control(side).await? {
            return self.context.source.by_ref(side, ref_id).await;
        }
        Ok(found)
    }

    /// Fails unless a record that a list showed is there.
    pub(super) async fn confirm_listed(&mut self, row: &WalkedRecord) -> Result<(), WalkError> {
        if self.context.source.by_id(row.side, &row.id).await?.is_some() {
            return Ok(());
        }
        Err(WalkError::Inconsistent { side: row.side, reason: "a record that its list shows is not there" })
    }

    /// Whether a record was looked up now.
    async fn control(&mut self, side: Side) -> Result<bool, WalkError> {
        let at = side as usize;
        if self.controlled_until[at].is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        let known = match self.known_ref[at].clone() {
            Some(known) => Some(known),
            None => {
                // Young records may not be listed yet, and would fail the control for no fault.
                let older_than = Timestamp::now() - MARGIN;
                let newest = self.context.reader.newest_record(self.context.tenant, side, older_than).await?;
                newest.map(|(ref_id, _)| ref_id)
            }
        };
        let is_needed = known.is_some();
        if let Some(known) = known
            && !matches!(self.context.source.by_ref(side, &known).await?, WalkLookup::Found(_))
        {
            return Err(WalkError::ControlFailed { side });
        }
        self.controlled_until[at] = Some(Instant::now() + VALID_FOR);
        Ok(is_needed)
    }
}
