"""Eight CPU devices for every test, and where the real data lie."""

import os
import pathlib

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ['XLA_FLAGS'] = ' '.join([
    os.environ.get('XLA_FLAGS', ''), '--xla_force_host_platform_device_count=8',
    '--xla_backend_optimization_level=0'])  # the tests compile much and compute little

import pytest
from storage_servers import bucket, stores  # noqa: F401  fixtures


@pytest.fixture(scope='session')
def test_data() -> pathlib.Path:
  """The folder of real benchmark samples that SMT_TEST_DATA names; tests that need it skip without it."""
  folder = os.environ.get('SMT_TEST_DATA')
  if not folder or not pathlib.Path(folder).is_dir():
    pytest.skip('SMT_TEST_DATA names no folder of real data')
  return pathlib.Path(folder)


@pytest.fixture(scope='session')
def replay_tokenizer(tmp_path_factory) -> pathlib.Path:
  """A small byte-level tokenizer in a folder, for tests that only count."""
  from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
  from transformers import PreTrainedTokenizerFast
  tokenizer = Tokenizer(models.BPE())
  tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  tokenizer.decoder = decoders.ByteLevel()
  text = ['The river ran past the mill, and the miller counted sacks until evening. the cat sat on the mat']
  tokenizer.train_from_iterator(text, trainers.BpeTrainer(
    vocab_size=320, special_tokens=['<|end|>'], show_progress=False,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
  folder = tmp_path_factory.mktemp('tokenizer')
  PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token='<|end|>').save_pretrained(folder)
  return folder
