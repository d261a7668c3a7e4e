#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, each once: what is there already is left alone.
# A container reads a secret as its own user, so the files are readable and the folder is closed to others.
set -eu
umask 077
folder=${1:-"$(dirname "$0")/secrets"}
mkdir -p "$folder"

random() {
	od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

keep() { # keep NAME VALUE
	[ -e "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
	chmod 444 "$folder/$1"
}

for name in postgres_password influxdb_password influxdb_token grafana_password; do
	keep "$name" "$(random)"
done
keep database_url "postgresql://forewarn:$(cat "$folder/postgres_password")@postgres/forewarn"
echo "Secrets are in $folder. Grafana: user admin, password in $folder/grafana_password."
