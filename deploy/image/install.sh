#!/bin/sh
# Installs the worker into a new virtual environment: install.sh DIRECTORY, from the top of the source.
#
# Rules: every package is one of requirements.lock and has a hash given there; nothing is compiled.
# The installer works from outside; what only builds is removed at the end, and what nobody imports.
set -eu
venv=$1
export PIP_PYTHON="$venv" VIRTUAL_ENV="$venv" PIP_DISABLE_PIP_VERSION_CHECK=1
pip() { python3 -m pip "$@"; }

python3 -m venv --without-pip "$venv"
pip install --quiet --require-hashes --no-deps --only-binary :all: -r deploy/requirements.lock
pip install --quiet --no-deps --no-build-isolation .
pip check
pip uninstall --quiet --yes setuptools
# Names of places and networks by number, 44 MB: only `phonenumbers.geocoder` and `carrier` read them.
rm -rf "$venv"/lib/python3*/site-packages/phonenumbers/geodata \
    "$venv"/lib/python3*/site-packages/phonenumbers/carrierdata
