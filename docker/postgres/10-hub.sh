#!/bin/sh
# Runs once, when the database is made: the hub's role owns its database and is no superuser, so that
# row-level security binds it.
set -eu
psql --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/postgres_password)" <<'SQL'
create role clinic_net login password :'password';
create database clinic_net owner clinic_net;
revoke all on database clinic_net from public;
SQL
