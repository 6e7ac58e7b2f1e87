#!/usr/bin/env bash
# with_secrets.sh COMMAND...: run the command with each variable NAME_FILE replaced by NAME, with the text of the file.
set -euo pipefail

for variable in $(compgen -e); do
    if [[ $variable == *_FILE ]]; then
        export "${variable%_FILE}=$(<"${!variable}")"
        unset "$variable"
    fi
done
exec "$@"
