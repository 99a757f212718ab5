#!/bin/sh
# Run once by the image of Postgres, before anything connects: one login per kind of process, each a member of the role
# that sync-assets roles gives its rights. The owner owns the database, so that migrations need no superuser.
set -eu
for role in owner writer receiver reader; do
	psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" \
		--set role="sync_assets_$role" --set login="sync_$role" --set password="$(cat "${SECRETS:-/run/secrets}/${role}_password")" <<-'SQL'
		create role :"role" nologin;
		create role :"login" login password :'password';
		grant :"role" to :"login";
	SQL
done
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" \
	--set database="$POSTGRES_DB" <<-'SQL'
	alter database :"database" owner to sync_assets_owner;
	alter schema public owner to sync_assets_owner;
	grant sync_assets_owner to sync_owner with admin option;
SQL
