# strip.sh FOLDER...: remove the debugging information from the libraries in folders, which no process reads. It is more than half
# of what the wheels bring.
set -eu

apt-get update -qq
apt-get install -qq --no-install-recommends binutils >/dev/null
find "$@" -name '*.so*' -type f -exec strip --strip-debug {} +
