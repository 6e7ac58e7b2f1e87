#!/bin/bash
# Stands in for the entry point of the image "postgres".
set -e
PGDATA=/var/lib/postgresql/data
if [ ! -s $PGDATA/PG_VERSION ]; then
    initdb --pgdata=$PGDATA --username=postgres --auth=scram-sha-256 --pwfile="$POSTGRES_PASSWORD_FILE" --encoding=UTF8 --locale=C.UTF-8
    echo 'host all all all scram-sha-256' >>$PGDATA/pg_hba.conf
fi
exec "$@" -D $PGDATA -c listen_addresses='*' -c unix_socket_directories=/run/postgresql
