#!/bin/sh
# Make the secrets of a new installation: docker/make-secrets.sh FOLDER. What exists is kept.
# Back the folder up apart from the database: without CLINIC_NET_TOKEN_KEY every session and token ends, and without
# CLINIC_NET_IDENTIFIER_KEY nobody reads a national identifier any more.
set -eu
folder=${1:?usage: docker/make-secrets.sh FOLDER}
umask 077
mkdir -p "$folder"

random() {
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

keep() { # NAME TEXT
  [ -s "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"
  # The containers read as users 10001, 999 and nobody; the folder itself stays closed to everybody else.
  chmod 0444 "$folder/$1"
}

keep CLINIC_NET_TOKEN_KEY "$(random)"
keep CLINIC_NET_IDENTIFIER_KEY "$(random)"
keep CLINIC_NET_TURN_SECRET "$(random)"
keep postgres_admin_password "$(random)"
keep postgres_password "$(random)"
keep valkey_password "$(random)"
keep CLINIC_NET_DATABASE "postgresql+psycopg://clinic_net:$(cat "$folder/postgres_password")@postgres:5432/clinic_net"
keep CLINIC_NET_REDIS "redis://:$(cat "$folder/valkey_password")@valkey:6379/0"
printf 'secrets are in %s; put certificate and key, in this order, into %s/tls.pem\n' "$folder" "$folder"
