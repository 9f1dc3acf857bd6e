"""launch.score, launch.generate and the Python functions on a real folder: what users run, and their mistakes."""

import json
import os
import subprocess
import sys

import hf_models
import numpy as np
import pytest

import smt_jax
from data_gen.errors import UserError
from smt_jax.generation.text import encode
from smt_jax.score import score

RAW = hf_models.CASES['llama3.1'] | {'vocab_size': 259, 'eos_token_id': 2}
PROMPT = 'The old house'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = hf_models.write(tmp_path_factory.mktemp('model'), RAW)
  hf_models.write_tokenizer(path, 259)
  return path


@pytest.fixture(scope='module')
def loaded(folder):
  return smt_jax.load(folder)


def launch(program, *flags):
  return subprocess.run([sys.executable, '-m', f'launch.{program}', *flags], capture_output=True, text=True,
                        errors='surrogateescape', timeout=300,
                        env=os.environ | {'XLA_FLAGS': '--xla_backend_optimization_level=0'})


def test_importing_the_package_does_not_import_jax():
  code = 'import sys, smt_jax; print("jax" in sys.modules, callable(smt_jax.load))'
  assert subprocess.check_output([sys.executable, '-c', code], text=True).split() == ['False', 'True']


def test_generate_prints_the_continuation_alone(folder, loaded):
  done = launch('generate', f'--checkpoint={folder}', f'--prompt={PROMPT}', '--max_new_tokens=30')
  expected = smt_jax.generate(*loaded, [PROMPT], max_new_tokens=30)[0]
  assert done.returncode == 0, done.stderr
  assert done.stdout == expected + '\n' and PROMPT not in done.stdout


def test_generate_equals_transformers_on_text(folder, loaded):
  torch = pytest.importorskip('torch')
  import transformers
  theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
  tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
  ids = tokenizer(PROMPT, return_tensors='pt', return_token_type_ids=False)
  out = theirs.generate(**ids, max_new_tokens=30, do_sample=False, pad_token_id=0)[0, ids['input_ids'].shape[1]:]
  expected = tokenizer.decode(out, skip_special_tokens=True, clean_up_tokenization_spaces=False)
  assert smt_jax.generate(*loaded, [PROMPT], max_new_tokens=30) == [expected]


def test_score_writes_natural_log_probabilities_in_order(folder, loaded, tmp_path):
  rng = np.random.default_rng(3)
  sequences = [rng.integers(0, 259, n).tolist() for n in (40, 1, 7, 100)]
  source, target = tmp_path / 'ids.jsonl', tmp_path / 'out.jsonl'
  source.write_text(''.join(json.dumps({'ids': s, 'note': 'kept apart'}) + '\n' for s in sequences))
  done = launch('score', f'--checkpoint={folder}', f'--input={source}', f'--output={target}')
  assert done.returncode == 0, done.stderr
  rows = [json.loads(line)['logprobs'] for line in target.read_text().splitlines()]
  assert [len(r) for r in rows] == [39, 0, 6, 99]
  for ids, row in zip(sequences, rows, strict=True):
    logits = np.asarray(smt_jax.logits(loaded[0], [ids + [0] * (100 - len(ids))]))[0].astype(np.float64)
    expected = [logits[i, t] - np.log(np.exp(logits[i]).sum()) for i, t in enumerate(ids[1:])]
    np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize(('line', 'message'), [
    ('{"ids": [1, 2', ':2: not valid JSON'),
    ('[1, 2]', ':2: expected a JSON object'),
    ('{"tokens": [1]}', ':2: field "ids" should be a list of token ids'),
    ('{"ids": [1, 2.5]}', ':2: field "ids" should be a list of token ids'),
    ('{"ids": []}', ':2: field "ids": is empty'),
    ('{"ids": [1, 259]}', 'token id 259 is outside the vocabulary of 259'),
    (json.dumps({'ids': [1] * 257}), ':2: field "ids": has 257 tokens, but the model has 256 positions'),
    (b'{"ids": "\xff"}', 'ids.jsonl:2: not valid UTF-8'),
])
def test_bad_score_input_is_named_and_writes_nothing(folder, tmp_path, line, message):
  source = tmp_path / 'ids.jsonl'
  source.write_bytes(b'{"ids": [1, 2]}\n' + (line if isinstance(line, bytes) else line.encode()) + b'\n')
  with pytest.raises(UserError, match=message):
    score(str(folder), str(source), str(tmp_path / 'out.jsonl'))
  assert not (tmp_path / 'out.jsonl').exists()


def test_missing_and_empty_score_input(folder, tmp_path):
  with pytest.raises(UserError, match='no such file'):
    score(str(folder), str(tmp_path / 'none.jsonl'), str(tmp_path / 'out.jsonl'))
  (tmp_path / 'empty.jsonl').write_text('\n')
  with pytest.raises(UserError, match='holds no sequence'):
    score(str(folder), str(tmp_path / 'empty.jsonl'), str(tmp_path / 'out.jsonl'))


@pytest.mark.parametrize(('prompt', 'options', 'message'), [
    ('', {}, 'prompt: is empty'),
    ('a\udcff', {}, 'prompt: is not valid UTF-8'),
    ('x' * 300, {}, 'tokens, but the model has 256 positions'),
    ('x', {'temperature': -1.0}, 'temperature=-1.0'),
    ('x', {'max_new_tokens': 0}, 'max_new_tokens=0'),
])
def test_bad_prompts_are_refused(loaded, prompt, options, message):
  with pytest.raises(UserError, match=message):
    smt_jax.generate(*loaded, [prompt], **options)


def test_a_program_prints_a_mistake_as_one_line(tmp_path):
  done = launch('generate', f'--checkpoint={tmp_path / "none"}', '--prompt=x')
  assert done.returncode == 1 and done.stdout == ''
  assert done.stderr.strip() == f'error: {tmp_path / "none"}: no such checkpoint folder'


def test_prompts_are_encoded_as_the_tokenizer_does_but_left_open(folder, loaded):
  from tokenizers import processors
  from transformers import AutoTokenizer
  tokenizer = loaded[1]
  assert encode(tokenizer, PROMPT) == tokenizer(PROMPT)['input_ids']
  closing = AutoTokenizer.from_pretrained(folder)
  closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
      single='<s> $A </s>', special_tokens=[('<s>', 1), ('</s>', 2)])
  assert closing(PROMPT)['input_ids'] == [1, *encode(tokenizer, PROMPT), 2]
  assert encode(closing, PROMPT) == [1, *encode(tokenizer, PROMPT)]


def test_samples_and_stop_strings_of_texts(loaded):
  one, three = smt_jax.generate(*loaded, [PROMPT, 'x'], n=3, temperature=1.0, max_new_tokens=12, seed=4)
  assert len(one) == len(three) == 3 and len(set(one)) == 3
  whole = smt_jax.generate(*loaded, [PROMPT], max_new_tokens=30)[0]
  stop = whole[4:6]
  assert smt_jax.generate(*loaded, [PROMPT], max_new_tokens=30, stop=stop) == [whole[:whole.index(stop)]]
