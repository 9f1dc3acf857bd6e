#!/usr/bin/env bash
# Writes both locks anew from pyproject.toml: every version pinned and hashed, no index address, Python 3.11 to 3.13.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  .venv/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --fork-strategy requires-python \
    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -q "$@"
}
# one set of versions for all extras: botocore, behind s3fs, wants python-dateutil 2, the newest matplotlib wants 4
constraints=$(mktemp)
echo 'python-dateutil<3' > "$constraints"
compile -c "$constraints" -o requirements.lock
compile --extra test --extra lint -c requirements.lock -o tests/requirements.lock
