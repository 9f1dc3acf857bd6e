#!/usr/bin/env bash
# Trains on a Cloud TPU slice, the same command on every host: bash launch/tpu_pod.sh NAME ZONE -- --config=... --workdir=...
# Needs: gcloud, logged in; this checkout at the same path (SMT_DIR, default ~/smt-jax) on every host, made with
#   pip install -e '.[tpu]'. Code 75 (saved and stopped by a signal) is answered by starting again.
set -euo pipefail
if [ $# -lt 4 ] || [ "$3" != "--" ]; then
  echo "usage: bash launch/tpu_pod.sh NAME ZONE -- FLAGS OF launch.train" >&2
  exit 2
fi
command -v gcloud > /dev/null || { echo "error: gcloud is not installed" >&2; exit 1; }
name="$1" zone="$2"
shift 3
train="cd ${SMT_DIR:-\$HOME/smt-jax} && SMT_SEVERAL_HOSTS=1 .venv/bin/python -m launch.train $(printf '%q ' "$@")"
while true; do
  code=0
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$train" || code=$?
  [ "$code" -eq 75 ] || exit "$code"
  echo "saved and stopped by a signal; starting again" >&2
done
