-- Whether the ledger knows every reference that a side holds, so that a new claim needs no lookup there.

-- One row a tenant and side. Every record that the side made before 'walked_us' has a claim; NULL: it is not known from where on. A create
-- without a claim may have been sent until 'unclaimed_us', and may have become a record some minutes later. New claims rely on the ledger
-- alone until 'until_us'. 'why' says what ended it last.
CREATE TABLE ledger_completeness (
    tenant       TEXT   NOT NULL,
    side         TEXT   NOT NULL CHECK (side IN ('legacy', 'new')),
    walked_us    BIGINT,
    unclaimed_us BIGINT NOT NULL,
    until_us     BIGINT NOT NULL,
    why          TEXT   NOT NULL,
    PRIMARY KEY (tenant, side)
);

-- References that differ only in case or in spaces around them. With 'ref_id', or SQLite would rather read all of the tenant's.
CREATE INDEX ref_claims_alike ON ref_claims (tenant, lower(trim(ref_id)), ref_id);
CREATE INDEX native_creates_alike ON native_creates (tenant, lower(trim(ref_id)), ref_id);
