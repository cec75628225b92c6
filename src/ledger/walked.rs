//! What a finished walk says about completeness, and how it becomes so.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::time::Duration;

use jiff::Timestamp;

use super::completeness::microseconds;
use super::connection::{Bind, Connection, Guarded, guarded};
use super::error::LedgerError;
use crate::translate::side::Side;

/// What a finished walk says.
#[derive(Clone, Debug)]
pub struct Walked {
    pub tenant: String,
    /// The sides on which every record that was made in the window has a claim, and every record that a claim of the window names was
    /// listed.
    pub sides: Vec<Side>,
    /// The window: records made from `begin` on and before `end`.
    pub begin: Timestamp,
    pub end: Timestamp,
    pub verdict: WalkVerdict,
    /// How long a create may take to become a record.
    pub longest_create: Duration,
    /// The facts about mirrors by which it judged.
    pub judged: String,
}

/// What a finished walk says about completeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkVerdict {
    /// A clean reconcile of a whole window, from which completeness may follow until then.
    CleanUntil(Timestamp),
    /// A walk that found something about money.
    AboutMoney,
    /// Any other walk.
    Other,
}

// A walk that begins where nothing was walked before it says nothing about what is older.
const ADVANCE: Guarded = guarded!(
    ["INSERT INTO ledger_completeness (tenant, side, walked_us, unclaimed_us, until_us, why, judged) \
         SELECT $2, $3, $5, $7, 0, 'no process has started since', $6 WHERE $4 <= 0 AND "],
    [" ON CONFLICT (tenant, side) DO UPDATE SET walked_us = excluded.walked_us, judged = excluded.judged \
          WHERE ledger_completeness.walked_us IS NULL OR ledger_completeness.walked_us < excluded.walked_us RETURNING side"],
);
const EXTEND: Guarded = guarded!(
    ["UPDATE ledger_completeness SET walked_us = $5, judged = $6 \
      WHERE tenant = $2 AND side = $3 AND walked_us >= $4 AND walked_us < $5 AND (judged = $6 OR judged IS NULL) AND "],
    [" RETURNING side"],
);

const GRANT: Guarded = guarded!(
    ["UPDATE ledger_completeness SET until_us = $6 \
      WHERE tenant = $2 AND side = $3 AND walked_us >= $5 AND $5 >= unclaimed_us + $4 AND until_us < $6 AND judged = $7 AND "],
    [" RETURNING side"],
);

const DOUBT: Guarded = guarded!(
    [
        "UPDATE ledger_completeness SET until_us = 0, why = 'a walk found something about money' WHERE tenant = $2 AND "
    ],
    [" RETURNING side"],
);

impl Walked {
    /// Records it. Runs in the transaction that ends the walk.
    pub(super) async fn record<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        use Bind::{Number, Text};
        let tenant = Text(&self.tenant);
        let clock = connection.clock().await?;
        // What is made from now on was not walked, whatever the clock of the walk said.
        let end = Number(self.end.as_microsecond().min(clock));
        let (begin, judged) = (Number(self.begin.as_microsecond()), Text(&self.judged));
        for side in self.sides.iter().map(|side| Text(side.as_str())) {
            let binds = [tenant, side, begin, end, judged, Number(clock)];
            // The first walk makes the row, a later one extends it; each statement does nothing where the other applies.
            let _: Vec<(String,)> = connection.guarded(&ADVANCE, &binds).await?;
            let _: Vec<(String,)> = connection.guarded(&EXTEND, &binds[..5]).await?;
            if let WalkVerdict::CleanUntil(until) = self.verdict {
                let until = Number(until.as_microsecond());
                let binds = [tenant, side, microseconds(self.longest_create), end, until, judged];
                let _: Vec<(String,)> = connection.guarded(&GRANT, &binds).await?;
            }
        }
        if self.verdict == WalkVerdict::AboutMoney {
            let _: Vec<(String,)> = connection.guarded(&DOUBT, &[tenant]).await?;
        }
        Ok(())
    }
}
