-- By what a walk judged its rows: one that judges by something else neither goes on with it nor adds to what was walked. NULL: a program
-- wrote it that did not record this.

ALTER TABLE ledger_walks ADD COLUMN judged TEXT;
ALTER TABLE ledger_completeness ADD COLUMN judged TEXT;

-- Claims that a walk wrote or repaired, and claims to which it gave an id, that are not in the audit yet.
ALTER TABLE ledger_walks ADD COLUMN unaudited_written BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledger_walks ADD COLUMN unaudited_resolved BIGINT NOT NULL DEFAULT 0;
