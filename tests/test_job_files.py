"""Files that start runs elsewhere: as far as they can be followed without a cluster."""

import os
import pathlib
import subprocess

import pytest
import yaml

from smt_jax import preemption

LAUNCH = pathlib.Path(__file__).parent.parent / 'launch'
SCRIPTS = sorted([*LAUNCH.glob('*.sh'), *LAUNCH.glob('*.sbatch')])


def command(path: pathlib.Path, text: str) -> None:
  path.write_text(f'#!/usr/bin/env bash\n{text}\n')
  path.chmod(0o755)


def run(script: str, *arguments: str, tools: pathlib.Path, **env: str) -> subprocess.CompletedProcess[str]:
  return subprocess.run(['bash', str(LAUNCH / script), *arguments], capture_output=True, text=True, check=False,
                        env=os.environ | {'PATH': f'{tools}:{os.environ["PATH"]}'} | env)


def gke() -> list[dict]:
  return list(yaml.safe_load_all((LAUNCH / 'gke_job.yaml').read_text()))


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_valid_shell(script):
  done = subprocess.run(['bash', '-n', str(script)], capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr


def test_the_gke_job_starts_training_on_every_host():
  job, = (d for d in gke() if d['kind'] == 'Job')
  pods = job['spec']['template']['spec']
  train, = pods['containers']
  assert train['command'] == ['python', '-m', 'launch.train']
  assert job['spec']['completionMode'] == 'Indexed'
  assert job['spec']['completions'] == job['spec']['parallelism'] > 1
  assert pods['subdomain'] in {d['metadata']['name'] for d in gke() if d['kind'] == 'Service'}


def test_a_gke_pod_is_started_again_when_it_was_stopped_and_has_the_time_to_save():
  """Ignore: not counted against backoffLimit, which at 0 makes every other failure the job's."""
  job, = (d for d in gke() if d['kind'] == 'Job')
  pods = job['spec']['template']['spec']
  assert job['spec']['backoffLimit'] == 0 and pods['restartPolicy'] == 'Never'  # a policy of failures asks for Never
  rules = job['spec']['podFailurePolicy']['rules']
  assert {r['action'] for r in rules} == {'Ignore'}
  code, = (r['onExitCodes'] for r in rules if 'onExitCodes' in r)
  assert (code['operator'], code['values']) == ('In', [preemption.RESTART_CODE])
  assert code['containerName'] in {c['name'] for c in pods['containers']}
  assert pods['terminationGracePeriodSeconds'] >= 300


def test_a_pod_is_started_again_after_a_signal_and_told_that_it_is_one(tmp_path):
  """A gcloud of ours says 75 (saved and stopped) at first and 0 at the second call."""
  command(tmp_path / 'gcloud', f'echo "$@" >> {tmp_path}/calls; [ "$(wc -l < {tmp_path}/calls)" -ge 2 ] || exit 75')
  done = run('tpu_pod.sh', 'pod', 'zone-a', '--', '--config=a b.py', '--workdir=gs://x/y', tools=tmp_path)
  calls = (tmp_path / 'calls').read_text().splitlines()
  assert done.returncode == 0 and len(calls) == 2 and 'starting again' in done.stderr
  assert '--worker=all' in calls[0] and 'SMT_SEVERAL_HOSTS=1 .venv/bin/python -m launch.train' in calls[0]
  assert r'--config=a\ b.py' in calls[0]


@pytest.mark.parametrize('code, requeued', [(75, True), (1, False), (0, False)])
def test_a_slurm_job_goes_back_into_the_queue_when_it_was_stopped(code, requeued, tmp_path):
  command(tmp_path / 'srun', f'echo "$@" >> {tmp_path}/srun.calls; exit {code}')
  command(tmp_path / 'scontrol', f'echo "$@" >> {tmp_path}/requeues')
  done = run('slurm.sbatch', '--workdir=w', tools=tmp_path, SLURM_SUBMIT_DIR=str(tmp_path), SLURM_JOB_ID='7')
  assert done.returncode == code and '--workdir=w' in (tmp_path / 'srun.calls').read_text()
  assert (tmp_path / 'requeues').exists() == requeued
