#!/usr/bin/env bash
# with_postgres.sh COMMAND...: wait until the server that PGHOST names accepts connections, then run the command.
set -euo pipefail

until pg_isready --quiet; do
    [ "$SECONDS" -lt "${WAIT_SECONDS:-60}" ] || { echo "cannot reach PostgreSQL at $PGHOST after $SECONDS s" >&2; exit 1; }
    sleep 0.5
done
exec "$@"
