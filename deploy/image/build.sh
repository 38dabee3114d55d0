#!/bin/sh
# Builds the image with Debian's buildah, tries it, writes its SBOM, says its size.
#
# Rules: needs root, no Docker and no registry of images. BASE is the image it starts from; without
# one, an image like debian:bookworm-slim is made from Debian's packages. Everything it writes is in
# .local/image, and in buildah's own storage.
set -eu
cd "$(dirname "$0")/../.."
OUT=.local/image
NAME=localhost/sms-worker
OWN_BASE=localhost/debian-bookworm-slim
export BUILDAH_ISOLATION=chroot

say() { printf 'image: %s\n' "$*"; }
fail() { printf 'image: error: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "expected root, which buildah needs here; got user $(id -un)"
for program in buildah bwrap mmdebstrap; do
    command -v "$program" >/dev/null || fail "no $program here; install it by hand:" \
        "apt-get install --no-install-recommends buildah bubblewrap mmdebstrap"
done
mkdir -p "$OUT"

if [ -z "${BASE:-}" ]; then
    BASE=$OWN_BASE
    if ! buildah inspect --type image "$BASE" >/dev/null 2>&1; then
        say "making $BASE from Debian's packages (a minute or two)"
        # `usrmerge`, which mmdebstrap would take, brings 46 MB of Perl.
        mmdebstrap --quiet --variant=minbase --include=usr-is-merged \
            --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --aptopt='APT::Install-Recommends "false"' \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$OUT/base.tar"
        container=$(buildah from scratch)
        buildah add --quiet "$container" "$OUT/base.tar" / >/dev/null
        buildah commit --quiet --rm "$container" "$BASE" >/dev/null
        rm "$OUT/base.tar"
    fi
fi

say "building $NAME from $BASE"
# A machine with a package index or a CA of its own: pip sees them while it builds, the image has
# nothing of them.
printf '[global]\ncert = /run/machine-ca.crt\n' >"$OUT/pip.conf"
set -- --volume /etc/ssl/certs/ca-certificates.crt:/run/machine-ca.crt:ro \
    --volume "$PWD/$OUT/pip.conf:/root/.config/pip/pip.conf:ro"
[ ! -r /etc/pip.conf ] || set -- "$@" --volume /etc/pip.conf:/etc/pip.conf:ro
buildah bud --quiet --format docker --build-arg BASE="$BASE" "$@" \
    --tag "$NAME" --file deploy/Dockerfile . >/dev/null

say "trying it"
"$PYTHON" -m pytest tests/image

container=$(buildah from "$NAME")
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
size() { du -smx "$1" | cut -f1; }
"$PYTHON" deploy/image/sbom.py "$root" >"$OUT/sms-worker.cdx.json"
say "SBOM in $OUT/sms-worker.cdx.json"
packed=$(tar -C "$root" --one-file-system -c . | gzip -6 | wc -c)
say "$(size "$root") MB, $((packed / 1048576)) MB compressed;" \
    "the worker and its packages are $(size "$root/opt/sms-worker") MB of it"
