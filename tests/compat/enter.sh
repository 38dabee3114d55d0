#!/bin/sh
# Becomes the program of RabbitMQ 4 after which it is called: rabbitmq-server, rabbitmqctl or epmd.
#
# Rules: reached by links that prepare.sh makes in .local/rabbitmq4/bin. It stays one process, which
# gets the signals meant for the program. The program sees the Debian 13 in .local/rabbitmq4/root as
# its root, and in it one folder of this machine: HOME, where a node of the local stack has all its
# files. What is mounted is seen by this process and its children alone, and goes with them.
set -eu
root=$(cd "$(dirname "$0")/../root" && pwd)
program=$(basename "$0")
case $program in
    epmd) program=/usr/bin/epmd ;;
    *) program=/usr/lib/rabbitmq/bin/$program ;; # not Debian's wrapper, which changes the user
esac
# shellcheck disable=SC2016  # the shell in the namespace expands it
exec unshare --mount sh -euc '
    mount --rbind /dev "$0/dev"
    mount --bind /proc "$0/proc"
    mount -t tmpfs tmpfs "$0/tmp"
    mkdir -p "$0$HOME"
    mount --bind "$HOME" "$0$HOME"
    exec chroot "$0" env --chdir="$HOME" "$@"
' "$root" "$program" "$@"
