#!/bin/sh
# Prepares RabbitMQ 4 for the local stack: Debian 13 with its package in .local/rabbitmq4, from the
# mirror that apt uses here. With nothing to do it ends at once.
#
# Rules: needs root. Nothing is installed on this machine or started. .local/rabbitmq4/bin has the
# programs as the local stack expects them in LAB_RABBITMQ.
set -eu
cd "$(dirname "$0")/../.."
OUT=.local/rabbitmq4

say() { printf 'compat: %s\n' "$*"; }
fail() { printf 'compat: error: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "expected root, which chroot and mount need; got user $(id -un)"
if [ ! -d "$OUT/root" ]; then
    command -v debootstrap >/dev/null || fail "no debootstrap here; install it by hand:" \
        "apt-get install --no-install-recommends debootstrap"
    # shellcheck disable=SC2016  # apt-get expands it
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        'Component: main' | head -n 1)
    [ -n "$mirror" ] || fail "apt knows no mirror of Debian; run apt-get update"
    say "making a Debian 13 with RabbitMQ in $OUT (a minute or two)"
    rm -rf "$OUT"
    mkdir -p "$OUT/bin"
    for program in rabbitmq-server rabbitmqctl epmd; do
        ln -s ../../../tests/compat/enter.sh "$OUT/bin/$program"
    done
    debootstrap --variant=minbase --include=rabbitmq-server trixie "$OUT/part" "$mirror" \
        >"$OUT/log" || fail "debootstrap failed; see $OUT/log"
    echo "127.0.0.1 localhost" >"$OUT/part/etc/hosts"
    mv "$OUT/part" "$OUT/root" # whole only now
fi
# shellcheck disable=SC2016  # dpkg-query expands it
say "on $(dpkg-query --root="$OUT/root" --show --showformat '${Package} ${Version}, ' \
    rabbitmq-server erlang-base)Debian $(cat "$OUT/root/etc/debian_version")"
