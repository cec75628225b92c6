#!/bin/sh
# For the image of PostgreSQL in deploy/compose.yaml, which runs it once, in an empty volume.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres --set password="$(cat /run/secrets/postgres-password)" --file /deploy/role.sql
