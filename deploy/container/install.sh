# install.sh ENVIRONMENT LOCK...: install the locked packages into a new virtual environment, and nothing else.
#
# Wheels only, so that no package runs code during the build. alibabacloud-tea has none: it is built first, with the pinned
# setuptools of argon2.txt, because pip by itself would fetch build tools that no lock names.
set -eu
environment=$1
shift

python -m venv --without-pip "$environment"

source_package=alibabacloud-tea
if grep -qs "^$source_package==" "$@"; then
    # An entry of a lock: from the name to the first line without a continuation.
    sed -n '/^setuptools==/,/[^\\]$/p' argon2.txt >/tmp/setuptools.txt
    sed -n "/^$source_package==/,/[^\\\\]\$/p" "$@" >/tmp/source.txt
    python -m venv /tmp/source
    /tmp/source/bin/pip install -q --require-hashes --only-binary :all: -r /tmp/setuptools.txt
    /tmp/source/bin/pip wheel -q --require-hashes --no-deps --no-build-isolation --no-binary "$source_package" \
        -w /tmp/wheels -r /tmp/source.txt
    pip --python "$environment/bin/python" install -q --no-compile --no-index --no-deps /tmp/wheels/*.whl
fi

for lock in "$@"; do
    pip --python "$environment/bin/python" install -q --no-compile --require-hashes --only-binary :all: -r "$lock"
done
python -m compileall -q --invalidation-mode unchecked-hash "$environment/lib"
