-- One schema for SQLite and PostgreSQL: only types, checks and indexes that mean the same in both.
-- Times are microseconds since the Unix epoch, by the clock of the process that wrote the row.

CREATE TABLE conversion_claims (
    tenant        TEXT   NOT NULL,
    ref_id        TEXT   NOT NULL,
    side          TEXT   NOT NULL CHECK (side IN ('legacy', 'new')),
    state         TEXT   NOT NULL CHECK (state IN ('claimed', 'fenced')),
    fingerprint   TEXT   NOT NULL,
    record_id     TEXT,
    created_at_us BIGINT NOT NULL,
    updated_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant, ref_id)
);

-- 'new_since': the first create that went, or may have gone, to the new side. 'probe': the last write of a readiness check.
CREATE TABLE conversion_marks (
    name  TEXT   NOT NULL PRIMARY KEY,
    at_us BIGINT NOT NULL
);
