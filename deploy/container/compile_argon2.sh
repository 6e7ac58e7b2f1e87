# compile_argon2.sh PYTHON LOCK TOOLS TARGET FLAG... compiles argon2-cffi-bindings, as LOCK pins it, for PYTHON into TARGET/FLAG,
# for each FLAG of x86-64 CPUs (avx2, avx512f) that is named. TOOLS is the lock of the build tools. It takes a C compiler and the
# headers of Python. The wheel runs on every x86-64, and hashes at less than half the speed.
set -eu
python=$1 lock=$2 tools=$3 target=$4
shift 4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/tools"
PATH=$work/tools/bin:$PATH
pip install -q --require-hashes --only-binary :all: -r "$tools"

# The entry of this package in the lock: from its name to the first line without a continuation.
sed -n '/^argon2-cffi-bindings==/,/[^\\]$/p' "$lock" >"$work/argon2.txt"

# Without --no-cache-dir pip would reuse the first build for the second flag.
for flag in "$@"; do
    CFLAGS="-O3 -m$flag" pip install -q --no-cache-dir --require-hashes --no-deps --no-build-isolation \
        --no-binary argon2-cffi-bindings --target "$target/$flag" -r "$work/argon2.txt"
done
