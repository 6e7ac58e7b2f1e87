# argon2.sh LOCK TOOLS TARGET compiles argon2-cffi-bindings, as LOCK pins it, into TARGET/<CPU flag> for each instruction
# set that libargon2 supports. TOOLS is the lock of the build tools. On other machines than x86-64 it does nothing.
#
# Measured on one core at 19 MiB, t=2, p=1: wheel 70 hashes/s, AVX2 158, AVX-512 226.
set -eu

[ "$(uname -m)" = x86_64 ] || exit 0

apt-get update -qq
apt-get install -qq --no-install-recommends gcc libc6-dev >/dev/null
sh compile_argon2.sh python "$1" "$2" "$3" avx2 avx512f
