-- What the vendor's answers held that no replica's version knew, at its first sight. Names, never values.
CREATE TABLE ledger_drift (
    tenant        TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    value_type    TEXT    NOT NULL,
    -- 1 if it may say something about money.
    money         BIGINT  NOT NULL,
    first_seen_us BIGINT  NOT NULL,
    version       TEXT    NOT NULL,
    PRIMARY KEY (tenant, path, value_type)
);
