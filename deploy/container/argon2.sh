# argon2.sh LOCK TOOLS TARGET compiles argon2-cffi-bindings, as LOCK pins it, into TARGET/<CPU flag> for each instruction
# set that libargon2 supports. TOOLS is the lock of the build tools. On other machines than x86-64 it does nothing.
#
# The wheel runs on every x86-64. Measured on one core at 19 MiB, t=2, p=1: wheel 70 hashes/s, AVX2 158, AVX-512 226.
set -eu
lock=$1
tools=$2
target=$3

[ "$(uname -m)" = x86_64 ] || exit 0

apt-get update -qq
apt-get install -qq --no-install-recommends gcc libc6-dev >/dev/null

python -m venv /tmp/tools
PATH=/tmp/tools/bin:$PATH
pip install -q --require-hashes --only-binary :all: -r "$tools"

# The entry of this package in the lock: from its name to the first line without a continuation.
sed -n '/^argon2-cffi-bindings==/,/[^\\]$/p' "$lock" >/tmp/argon2.txt

# Without --no-cache-dir pip would reuse the first build for the second flag.
for flag in avx2 avx512f; do
    CFLAGS="-O3 -m$flag" pip install -q --no-cache-dir --require-hashes --no-deps --no-build-isolation \
        --no-binary argon2-cffi-bindings --target "$target/$flag" -r /tmp/argon2.txt
done
