#!/usr/bin/env bash
# The tests: makes the environment with the test packages, then runs pytest. Further words go to pytest:
#   bash launch/test.sh                  the fast tests
#   bash launch/test.sh -m slow          the long ones
#   SMT_TEST_DATA=DIR bash launch/test.sh   also those that read real benchmark samples
#   SMT_PARITY=1 bash launch/test.sh     also installs torch, against which the model is compared live, and lm_eval
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/env.sh
smt_environment tests/requirements.lock
peers='import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "lm_eval"))))'
if [ -n "${SMT_PARITY:-}" ] && ! "$PYTHON_BIN" -c "$peers"; then
  "$PYTHON_BIN" -m pip install --disable-pip-version-check -q -r tests/requirements-parity.txt
fi
export JAX_PLATFORMS=${JAX_PLATFORMS:-cpu} HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$PYTHON_BIN" -m pytest -n "${SMT_TEST_WORKERS:-2}" --dist worksteal "$@"
