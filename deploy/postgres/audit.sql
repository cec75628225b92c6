-- Takes the ledger's audit and evidence away from the proxy's role, which may then add and read rows and nothing else. Run as a superuser, after the
-- proxy's first start has made the tables, and again after a restore; it changes nothing where it ran before:
--
--   psql --dbname conversion_shim --file audit.sql

\set ON_ERROR_STOP on
BEGIN;
ALTER TABLE ledger_audit OWNER TO CURRENT_USER;
ALTER TABLE ledger_evidence OWNER TO CURRENT_USER;
REVOKE ALL ON ledger_audit, ledger_evidence FROM PUBLIC, conversion_shim;
GRANT SELECT, INSERT ON ledger_audit, ledger_evidence TO conversion_shim;
COMMIT;
