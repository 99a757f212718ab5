#!/bin/sh
# Makes the secrets of deploy/compose.yaml that are ours: Postgres' passwords and the URLs that bear them.
# What is there stays. The folder is closed to others; the files in it are not, because containers read them as 10001.
set -eu
folder="$(cd "$(dirname "$0")" && pwd)/secrets"
mkdir -p -m 0700 "$folder"
chmod 0700 "$folder"
keep() { # name value
	[ -e "$folder/$1" ] || { printf '%s' "$2" >"$folder/$1.new" && mv "$folder/$1.new" "$folder/$1"; }
	chmod 0444 "$folder/$1"
}
random() { python3 -c 'import secrets; print(secrets.token_urlsafe(32))'; }
keep postgres_password "$(random)"
for role in owner writer receiver reader; do
	keep "${role}_password" "$(random)"
	keep "${role}_database_url" "postgresql://sync_$role:$(cat "$folder/${role}_password")@postgres:5432/sync_assets"
done
for name in kaiten_webhook_secret kommo_webhook_secret worksection_webhook_password; do
	keep "$name" "$(random)"
done
echo "made in $folder; put the sources' tokens beside them: kaiten_api_token, hubspot_access_token, ..."
