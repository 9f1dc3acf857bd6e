"""lm-evaluation-harness's local-completions, the real package, against launch.serve: its scores are the engine's."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from eval_checkpoint import make_checkpoint
from serving import environment, running

from smt_jax.serving.engine import open_engine

ROWS = [{'question': f'Where did the old mill stand, number {i}?', 'answer': i % 3,
         'options': ['by the river', 'in the red boat', f'behind the dogs {i}']} for i in range(12)]
TASK = """
task: tiny_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: answer
doc_to_choice: options
metric_list: [{{metric: acc}}]
"""


@pytest.mark.slow
def test_local_completions_scores_are_the_engines(tmp_path):
  if importlib.util.find_spec('lm_eval') is None:
    pytest.skip('lm_eval is not installed (tests/requirements-parity.txt)')
  checkpoint = make_checkpoint(tmp_path, positions=256)
  (tmp_path / 'data.jsonl').write_text('\n'.join(map(json.dumps, ROWS)))
  (tmp_path / 'tasks').mkdir()
  (tmp_path / 'tasks/tiny.yaml').write_text(TASK.format(data=tmp_path / 'data.jsonl'))
  with running(checkpoint) as (_, url):
    done = subprocess.run(
        [sys.executable, '-m', 'lm_eval', 'run', '--model', 'local-completions', '--model_args',
         f'model=tiny,base_url={url}/completions,tokenizer={checkpoint},num_concurrent=4,max_length=256',
         '--tasks', 'tiny_choice', '--include_path', str(tmp_path / 'tasks'), '--output_path', str(tmp_path / 'out'),
         '--log_samples'], capture_output=True, text=True, timeout=500,
        env=environment() | {'HF_DATASETS_OFFLINE': '1', 'HF_HUB_OFFLINE': '1', 'HF_HOME': str(tmp_path / 'home'),
                             'OPENAI_API_KEY': 'none'})
  assert done.returncode == 0, done.stderr[-3000:]
  samples = [json.loads(line) for line in next((tmp_path / 'out').rglob('samples_*.jsonl')).read_text().splitlines()]
  assert len(samples) == len(ROWS)
  engine = open_engine(str(checkpoint))
  encode = engine.tokenizer.backend_tokenizer.encode
  greedy = []
  for sample in samples:
    texts = [(a['arg_0'], a['arg_1']) for _, a in sorted(sample['arguments'].items())]
    whole = [encode(context + option, add_special_tokens=False).ids for context, option in texts]
    n = len(encode(texts[0][0], add_special_tokens=False).ids)
    expected = [float(s.sum(dtype=np.float64)) for s in engine.option_logprobs(whole[0][:n], [w[n:] for w in whole])]
    found = [float(response[0][0]) for response in sample['resps']]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert sample['acc'] == float(int(np.argmax(expected)) == sample['doc']['answer'])
    greedy += [response[0][1] for response in sample['resps']]
  assert len(greedy) == 3 * len(ROWS)
