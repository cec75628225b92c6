-- What a change of modes rests on.

-- The findings that tripped: each of them trips once, so that a reset lasts while a walk still sees it.
CREATE TABLE ledger_trip_causes (
    tenant  TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    at_us   BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, subject)
);

-- What was shown before a step. Append-only: no statement of the program updates or deletes a row.
CREATE TABLE ledger_evidence (
    evidence      TEXT   NOT NULL PRIMARY KEY,
    at_us         BIGINT NOT NULL,
    tenant        TEXT   NOT NULL,
    kind          TEXT   NOT NULL CHECK (kind IN ('report', 'reconcile')),
    verdict       TEXT   NOT NULL,
    -- The window that was looked at; absent if it had no record.
    begin_us      BIGINT,
    end_us        BIGINT,
    -- JSON.
    numbers       TEXT   NOT NULL,
    input_sha256  TEXT   NOT NULL,
    output_sha256 TEXT   NOT NULL,
    config        TEXT   NOT NULL,
    version       TEXT   NOT NULL,
    operator      TEXT   NOT NULL
);

CREATE INDEX ledger_evidence_by_kind ON ledger_evidence (tenant, kind, at_us);

-- What each replica runs with, in its heartbeats.
ALTER TABLE ledger_processes ADD COLUMN config TEXT;
ALTER TABLE ledger_processes ADD COLUMN modes TEXT;
ALTER TABLE ledger_processes ADD COLUMN modes_since_us BIGINT;
ALTER TABLE ledger_processes ADD COLUMN version TEXT;

-- Clients that still call the old API, over all replicas. 'blocked_us' is 0 while a client used nothing that blocks its end.
CREATE TABLE ledger_usage (
    tenant       TEXT   NOT NULL,
    client       TEXT   NOT NULL,
    last_seen_us BIGINT NOT NULL,
    blocked_us   BIGINT NOT NULL,
    blockers     TEXT   NOT NULL,
    PRIMARY KEY (tenant, client)
);
