-- References that `probe` converts with, written before they are sent. They are no client's: nothing that watches over clients'
-- conversions counts them.
CREATE TABLE probe_refs (
    tenant        TEXT   NOT NULL,
    ref_id        TEXT   NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (tenant, ref_id)
);
