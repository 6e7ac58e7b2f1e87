#!/usr/bin/env bash
# fill.sh TEMPLATE TARGET [COMMAND...]: write the template with each @NAME@ replaced by the variable NAME, or by the text of
# the file that NAME_FILE names, and run the command. The passwords are in no command line, and only this user can read
# the target.
set -euo pipefail

text=$(<"$1")
while [[ $text =~ @([A-Z_]+)@ ]]; do
    name=${BASH_REMATCH[1]}
    file=${name}_FILE
    password=${!name:-}
    [ -n "$password" ] || [ -z "${!file:-}" ] || password=$(<"${!file}")
    [[ $password =~ ^[0-9A-Za-z_-]+$ ]] || { echo "$name: expected a password of letters and digits" >&2; exit 1; }
    text=${text//"@$name@"/$password}
    export -n "$name" # the command does not need it
done
(umask 077 && printf '%s\n' "$text" >"$2")
shift 2
[ $# = 0 ] || exec "$@"
