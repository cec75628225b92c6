-- Walks over the vendor's lists (`reconcile`, `ledger backfill`), what they found, and which process may walk.

-- One row a walk. 'progress' is JSON in the given format; a program that does not know the format begins the walk again.
CREATE TABLE ledger_walks (
    walk           TEXT   NOT NULL PRIMARY KEY,
    kind           TEXT   NOT NULL CHECK (kind IN ('reconcile', 'backfill')),
    tenant         TEXT   NOT NULL,
    sides          TEXT   NOT NULL CHECK (sides IN ('both', 'legacy', 'new')),
    begin_us       BIGINT NOT NULL,
    end_us         BIGINT NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('running', 'clean', 'findings', 'abandoned')),
    program        TEXT   NOT NULL,
    format         BIGINT NOT NULL,
    progress       TEXT   NOT NULL,
    started_at_us  BIGINT NOT NULL,
    updated_at_us  BIGINT NOT NULL
);

CREATE INDEX ledger_walks_by_kind ON ledger_walks (tenant, kind, state, updated_at_us);

-- The findings of a walk, as JSON; at most some thousands of each kind.
CREATE TABLE ledger_findings (
    walk    TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    finding TEXT   NOT NULL,
    PRIMARY KEY (walk, kind, subject)
);

-- Who does what only one process does at a time. A lease that was not renewed is free.
CREATE TABLE ledger_leases (
    name     TEXT   NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    until_us BIGINT NOT NULL
);

-- Claims whose record is not known.
CREATE INDEX ref_claims_unresolved ON ref_claims (tenant, created_at_us) WHERE record_id IS NULL AND state <> 'refused';
