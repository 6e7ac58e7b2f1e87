#!/usr/bin/env bash
# Makes .venv: the locked packages, hashes checked, and our own packages editable. $PYTHON is the interpreter.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
locks=deploy/requirements/dev.txt
packages=(shared gateway auth-service sms-service contacts-service)
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { echo "$SECONDS s  $*"; }
fail() { echo "make: $*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python here: install Python 3.11 or newer, or set PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: set PYTHON to Python 3.11 or newer (make PYTHON=python3.11 ...)"

mkdir -p .local
exec 9>.local/venv.lock
flock 9

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    line='apt-get install -y --no-install-recommends python3-venv'
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$python cannot make environments: sudo $line"
    say "installing python3-venv with apt-get"
    wait='DPkg::Lock::Timeout=120'
    DEBIAN_FRONTEND=noninteractive apt-get -o "$wait" update -qq >/dev/null 2>&1 || fail "apt-get update failed"
    DEBIAN_FRONTEND=noninteractive apt-get -o "$wait" install -y -qq --no-install-recommends python3-venv >/dev/null 2>&1 || fail "$line failed"
fi

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "making the virtual environment .venv"
    rm -rf .venv
    "$python" -m venv .venv
fi

with_uv() {
    .venv/bin/uv --version >/dev/null 2>&1 || .venv/bin/python -m pip install --quiet uv==0.13.8 || return
    local install=(.venv/bin/uv pip install --quiet --python .venv/bin/python)
    "${install[@]}" --require-hashes -r "$locks" || return
    say "installing our own packages"
    "${install[@]}" --no-deps --build-constraints "$locks" "${packages[@]/#/--editable=./}"
}

with_pip() {
    local install=(.venv/bin/python -m pip install --quiet)
    "${install[@]}" --require-hashes -r "$locks"
    say "installing our own packages"
    "${install[@]}" --no-deps "${packages[@]/#/--editable=./}"
}

say "installing the locked packages"
if ! with_uv; then
    say "uv does not work here: pip does it, more slowly"
    with_pip
fi
say "the virtual environment is ready"
