"""The hosted generator killed in the midst of chaos, and on a disk that fills."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from data_gen.benchmark_chaos import chaos_run
from data_gen.benchmark_server import KEY, local_server, server_says

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_killed_in_chaos_nothing_is_lost_or_asked_twice(tmp_path):
  found = chaos_run(tmp_path, 200, kills=1, rate=100, retry_after=0.2, latency=0.02, jitter=0.05)
  assert found['ledger_usd'] <= found['bill_usd'] <= found['at_most_usd']
  assert found['server_did']['answered'] >= 200


@pytest.mark.slow
def test_five_kills_and_an_outage(tmp_path):
  found = chaos_run(tmp_path, 4000, kills=5, rate=150, outage=5)
  assert found['ledger_usd'] <= found['bill_usd'] <= found['at_most_usd']


def test_a_full_disk_is_one_line_and_keeps_the_journal_whole(tmp_path):
  limit = 60000
  with local_server(answer_tokens=60, latency=0.05) as url:
    code = ('import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);'
            f'resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));'
            'from data_gen.benchmark_chaos import main; main()')
    done = subprocess.run([sys.executable, '-c', code, url, str(tmp_path), '1000'], capture_output=True, text=True,
                          cwd=ROOT, env=os.environ | {'OPENAI_API_KEY': KEY}, timeout=120)
    asked = len(server_says(url, 'counts'))
  assert done.returncode == 1 and 'Traceback' not in done.stderr
  assert done.stderr.startswith('error:') and 'responses.jsonl: cannot append' in done.stderr
  rows = [json.loads(line) for line in (tmp_path / 'responses.jsonl').read_text().splitlines()]
  answered = sum('response' in row for row in rows)
  assert 10 < answered <= asked < 1000 and len({row['key'] for row in rows}) >= asked
