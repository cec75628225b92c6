-- The proxy's role and database. Run once, as a superuser, before the proxy's first start:
--
--   psql --set password="$(cat ledger-password)" --file role.sql
--
-- The role is no superuser and owns no database, or audit.sql beside this file would bind it to nothing. It makes its tables itself.

\set ON_ERROR_STOP on
SELECT format('CREATE ROLE conversion_shim LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', :'password') \gexec
CREATE DATABASE conversion_shim ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE conversion_shim FROM PUBLIC;
GRANT CONNECT ON DATABASE conversion_shim TO conversion_shim;
\connect conversion_shim
GRANT USAGE, CREATE ON SCHEMA public TO conversion_shim;
