-- A new name for the table of claims, so that a process of 0.1 that still runs fails closed instead of writing claims without attempts.
-- 'fenced' is the stored word for a checked claim. begun and closed count the attempts of the current generation.
CREATE TABLE ref_claims (
    tenant        TEXT   NOT NULL,
    ref_id        TEXT   NOT NULL,
    side          TEXT   NOT NULL CHECK (side IN ('legacy', 'new')),
    state         TEXT   NOT NULL CHECK (state IN ('claimed', 'fenced', 'refused')),
    fingerprint   TEXT   NOT NULL,
    record_id     TEXT,
    generation    BIGINT NOT NULL CHECK (generation >= 1),
    begun         BIGINT NOT NULL CHECK (begun >= 1),
    closed        BIGINT NOT NULL CHECK (closed >= 0 AND closed <= begun),
    created_at_us BIGINT NOT NULL,
    updated_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant, ref_id)
);

INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, record_id, generation, begun, closed, created_at_us, updated_at_us)
SELECT tenant, ref_id, side, state, fingerprint, record_id, 1, 1, 0, created_at_us, updated_at_us FROM conversion_claims;

DROP TABLE conversion_claims;

-- "Does any claim name new?" and "since when?"
CREATE INDEX ref_claims_on_new ON ref_claims (created_at_us) WHERE side = 'new';
CREATE INDEX ref_claims_by_record ON ref_claims (tenant, record_id) WHERE record_id IS NOT NULL;
-- The newest known record of a side.
CREATE INDEX ref_claims_known ON ref_claims (tenant, side, created_at_us) WHERE record_id IS NOT NULL;

-- References of creates on the new API's own path. A row chooses no side.
CREATE TABLE native_creates (
    tenant        TEXT   NOT NULL,
    ref_id        TEXT   NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant, ref_id)
);

-- 'id', 'hosts', 'cookie' (SQLite), 'system' and 'timeline' (PostgreSQL), 'hold', 'hold_timeline'.
CREATE TABLE ledger_settings (
    name  TEXT   NOT NULL PRIMARY KEY,
    value TEXT   NOT NULL,
    at_us BIGINT NOT NULL
);

-- The tenants that this ledger serves.
CREATE TABLE ledger_tenants (
    tenant TEXT   NOT NULL PRIMARY KEY,
    at_us  BIGINT NOT NULL
);

INSERT INTO ledger_tenants (tenant, at_us) SELECT tenant, MIN(created_at_us) FROM ref_claims GROUP BY tenant;

-- A row per process: when it last wrote, and the timeline on which it last found its own newest claims.
CREATE TABLE ledger_processes (
    process       TEXT   NOT NULL PRIMARY KEY,
    started_at_us BIGINT NOT NULL,
    seen_at_us    BIGINT NOT NULL,
    timeline      TEXT
);

-- Append-only: no statement of the program updates or deletes a row.
CREATE TABLE ledger_audit (
    at_us        BIGINT NOT NULL,
    process      TEXT   NOT NULL,
    operator     TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    value_before TEXT,
    value_after  TEXT
);
