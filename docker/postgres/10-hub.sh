#!/bin/sh
# Runs once, when the database is made: the hub's role owns its database and is no superuser. Requests work as
# clinic_net_app or clinic_net_system, which own nothing, so that row-level security binds them.
set -eu
psql --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/postgres_password)" <<'SQL'
create role clinic_net login password :'password';
create role clinic_net_app nologin;
create role clinic_net_system nologin;
grant clinic_net_app, clinic_net_system to clinic_net;
create database clinic_net owner clinic_net;
revoke all on database clinic_net from public;
SQL
