#!/bin/sh
# Start a program with its secrets: each file /run/secrets/CLINIC_NET_X becomes the variable CLINIC_NET_X.
# A variable that is set already stays; the value is the file's text without the final line break.
set -eu
for file in "${SECRETS_FOLDER:-/run/secrets}"/CLINIC_NET_*; do
  [ -f "$file" ] || continue
  name=${file##*/}
  if eval "[ -z \"\${$name+set}\" ]"; then
    value=$(cat "$file")
    export "$name=$value"
  fi
done
exec "$@"
