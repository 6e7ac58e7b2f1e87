#!/usr/bin/env bash
# Creates .venv with the locked packages (pip checks their hashes) and our own packages in editable form.
# The interpreter is $PYTHON, else the system's python3 if it is 3.11 or newer, else the first python3 in PATH. The system's
# is preferred because distributions build it with profile-guided optimization: it needs a fifth less time than pyenv's.
set -euo pipefail
cd "$(dirname "$0")/../.."

locks=deploy/requirements/dev.txt
packages=(shared gateway auth-service sms-service contacts-service)
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { echo "$SECONDS s  $*"; }
fail() { echo "make: $*" >&2; exit 1; }

is_new() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_pip() { "$1" -c 'import ensurepip' 2>/dev/null; }
can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

python=${PYTHON:-python3}
system=/usr/bin/python3
if [ -z "${PYTHON:-}" ] && is_new $system && { has_pip $system || can_install; }; then  # decision 30
    python=$system
fi
command -v "$python" >/dev/null || fail "$python not found: install Python 3.11 or newer, or set PYTHON"
is_new "$python" ||
    fail "$("$python" --version) is too old: set PYTHON to Python 3.11 or newer (make PYTHON=python3.11 ...)"

mkdir -p .local
exec 9>.local/venv.lock
flock 9

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >/dev/null 2>&1; }

# Debian ships the tools for environments in a separate package. If it cannot be installed, use a python3 in PATH.
install_venv() {
    say "installing python3-venv with apt-get"
    apt update && apt install -y --no-install-recommends python3-venv && return
    is_new python3 && has_pip python3 || fail "apt-get cannot install python3-venv, which $python needs to create environments"
    python=python3
}

if ! is_new .venv/bin/python; then
    has_pip "$python" || { can_install || fail "$python cannot create environments: sudo apt-get install python3-venv"; install_venv; }
    say "creating the virtual environment .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi

with_uv() {
    .venv/bin/uv --version >/dev/null 2>&1 || .venv/bin/python -m pip install --quiet uv==0.13.8 || return
    local install=(.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python)
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
    say "uv does not work on this machine: using pip, which is slower"
    with_pip
fi
# The wheel of argon2 runs on every CPU. A build for this one hashes passwords at twice its speed, where it can be compiled.
hash_faster() {
    local flag lock=deploy/requirements/auth-service.txt tools=deploy/requirements/argon2.txt built=.local/argon2 marker site
    [ -r /proc/cpuinfo ] || return 0
    flag=$(grep -m1 -ow -e avx512f /proc/cpuinfo || grep -m1 -ow -e avx2 /proc/cpuinfo) || return 0
    marker=.venv/argon2-$flag-$(cat "$lock" "$tools" deploy/container/compile_argon2.sh | sha256sum | cut -c1-16)
    [ ! -e "$marker" ] || return 0
    if ! { command -v cc && .venv/bin/python -c 'import sysconfig, os; os.stat(sysconfig.get_path("include") + "/Python.h")'; } >/dev/null 2>&1; then
        say "no C compiler, or no python3-dev: passwords are hashed by the build for every CPU, at half the speed"
        return 0
    fi
    say "compiling argon2 for this CPU ($flag)"
    rm -rf "$built"
    if ! sh deploy/container/compile_argon2.sh .venv/bin/python "$lock" "$tools" "$built" "$flag" >.local/argon2.log 2>&1; then
        say "argon2 cannot be compiled here (.local/argon2.log): passwords are hashed by the build for every CPU"
        return 0
    fi
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    rm -rf "$site/_argon2_cffi_bindings"
    mv "$built/$flag/_argon2_cffi_bindings" "$site"
    rm -rf "$built"
    touch "$marker"
}
hash_faster

# With PYTHONDONTWRITEBYTECODE every process would otherwise compile all its imports at each start.
.venv/bin/python -m compileall -q "${packages[@]/%//src}" >/dev/null || true  # `make check` reports errors better
say "the virtual environment is ready"
