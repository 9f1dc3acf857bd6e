"""The tuning sweep with a reader who knows exactly what it is shown."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest
from known_readers import KnownReader

from data_gen.benchmarks import world
from data_gen.errors import UserError
from data_gen.prepare import prepare
from launch.evaluation import chunk_tokenizer
from smt_jax.eval.retrieval.rag import Rag, RagSettings
from smt_jax.eval.retrieval.sweep import grid, split_for_tuning
from smt_jax.eval.settings import Settings
from smt_jax.eval.tune import tune

ROOT = pathlib.Path(__file__).parent.parent


class ReadsContext(KnownReader):
  """Right where all the evidence stands in the prompt, wrong otherwise."""

  def _question(self, messages, key=None):
    self.content = ' '.join(messages[-1]['content'].split())
    return super()._question(messages, key)

  def choose(self, question, options):
    right = options.index(question.options[question.answer].strip())
    shown = all(' '.join(e.split()) in self.content for e in question.metadata['evidence'])
    return right if shown else (right + 1) % len(options)


@pytest.fixture(scope='module')
def prepared():
  return world.read('study:seed=7,documents=10', {})


def test_accuracy_of_each_setting_is_what_its_context_allows(prepared, tmp_path):
  settings = list(grid(RagSettings(), (256, 1024), (1, 4), ('best_last',)))
  base = Settings('world', 'tuning', 'rag', rag=RagSettings())
  reader = ReadsContext(prepared.questions)
  trials = tune(prepared.questions, prepared.documents, settings, tmp_path, reader=reader, settings=base)
  asked, rest = split_for_tuning(prepared.questions)
  for trial in trials:
    rag = Rag(prepared.documents, trial.settings)
    held = [all(any(e in ' '.join(c.text.split()) for c in chunks) for e in map(squeeze, q.metadata['evidence']))
            for q, chunks in zip(asked, rag.retrieve(asked), strict=True)]
    assert trial.score == pytest.approx(sum(held) / len(held))
  assert trials[0].score > trials[-1].score
  written = json.loads((tmp_path / 'tuning.json').read_text())
  assert written['n_questions'] == len(asked) and written['n_questions_kept_back'] == len(rest)
  assert [t['score'] for t in written['trials']] == [t.score for t in trials]
  assert not set(written['groups']) & {q.group for q in rest}


def squeeze(text):
  return ' '.join(text.split())


class Cold(KnownReader):
  """Right above a temperature of 0.2, wrong below."""

  def complete(self, prompts, keys, sampling, done):
    self.warm, self.samples = sampling.temperature > 0.2, sampling.samples
    super().complete(prompts, keys, sampling, done)

  def choose(self, question, options):
    right = options.index(question.options[question.answer].strip())
    return right if self.warm else (right + 1) % len(options)


def test_temperatures_are_tried_with_the_best_setting(prepared, tmp_path):
  base = Settings('world', 'tuning', 'rag', rag=RagSettings())
  reader = Cold(prepared.questions)
  settings = list(grid(RagSettings(), (512,), (1, 2), ('best_last',)))
  trials = tune(prepared.questions, prepared.documents, settings, tmp_path, settings=base, reader=reader,
                temperatures=(0.1, 0.3), samples=2)
  assert [(t.temperature, t.score) for t in trials[:1]] == [(0.3, 1.0)] and len(trials) == 4
  assert {t.score for t in trials[1:]} == {0.0} and trials[0].settings == trials[1].settings and reader.samples == 2
  assert json.loads((tmp_path / 'tuning.json').read_text())['trials'][0]['temperature'] == 0.3
  with pytest.raises(UserError, match='--temperatures=-1'):
    tune(prepared.questions, prepared.documents, settings, tmp_path, settings=base, reader=reader, temperatures=(-1,))


def test_the_fifth_is_that_of_all_documents_even_where_some_are_missing(prepared, tmp_path):
  groups = sorted(split_for_tuning(prepared.questions)[0], key=lambda q: q.group)
  first = groups[0].group
  gone = [dataclasses.replace(q, metadata=q.metadata | {'filing_missing': True}) if q.group != first else q
          for q in prepared.questions]
  tune(gone, prepared.documents, [RagSettings()], tmp_path, measure='recall')
  assert json.loads((tmp_path / 'tuning.json').read_text())['groups'] == [first]
  none = [dataclasses.replace(q, metadata={'filing_missing': True}) for q in prepared.questions]
  with pytest.raises(UserError, match='holds no document of the fifth'):
    tune(none, prepared.documents, [RagSettings()], tmp_path / 'none', measure='recall')


def test_an_interrupted_sweep_goes_on(prepared, tmp_path):
  settings = list(grid(RagSettings(), (512,), (1, 2), ('best_last',)))
  base = Settings('world', 'tuning', 'rag', rag=RagSettings())
  asked, _ = split_for_tuning(prepared.questions)
  with pytest.raises(ConnectionError):
    tune(prepared.questions, prepared.documents, settings, tmp_path, settings=base,
         reader=ReadsContext(prepared.questions, stop_after=len(asked) + 3))
  again = ReadsContext(prepared.questions)
  trials = tune(prepared.questions, prepared.documents, settings, tmp_path, reader=again, settings=base)
  assert len(again.prompts) == 2 * len(asked) - len(asked) - 3
  whole = tune(prepared.questions, prepared.documents, settings, tmp_path / 'fresh', settings=base,
               reader=ReadsContext(prepared.questions))
  assert trials == whole


def test_recall_needs_no_reader_and_accuracy_does(prepared, tmp_path):
  trials = tune(prepared.questions, prepared.documents, [RagSettings(top_k=1), RagSettings()], tmp_path,
                measure='recall')
  assert [t.settings.top_k for t in trials] == [8, 1] and trials[0].score > trials[1].score
  with pytest.raises(UserError, match='needs a reader'):
    tune(prepared.questions, prepared.documents, [RagSettings()], tmp_path)
  with pytest.raises(UserError, match='--measure=luck'):
    tune(prepared.questions, prepared.documents, [RagSettings()], tmp_path, measure='luck')


def test_an_index_is_shared_only_where_it_is_the_same(prepared):
  rag = Rag(prepared.documents, RagSettings())
  other = rag.showing(RagSettings(top_k=2, order='best_first'))
  assert other is not None and other.chunks is rag.chunks and rag.settings.top_k == 8
  fresh = Rag(prepared.documents, RagSettings(top_k=2, order='best_first'))
  assert other.retrieve(prepared.questions[:9]) == fresh.retrieve(prepared.questions[:9])
  assert rag.showing(RagSettings(chunk_size=512)) is None


def test_chunks_in_tokens_need_a_tokenizer(replay_tokenizer):
  assert chunk_tokenizer('characters', '', '') is None
  assert chunk_tokenizer('tokens', str(replay_tokenizer), '').is_fast
  with pytest.raises(UserError, match='--chunk_tokenizer: expected a folder'):
    chunk_tokenizer('tokens', '', '')


@pytest.mark.slow
def test_the_program(tmp_path):
  prepare('world', 'study:seed=7,documents=10', tmp_path / 'in')
  arguments = [sys.executable, '-m', 'launch.tune_rag', '--benchmark=world', f'--out={tmp_path}/out',
               f'--questions={tmp_path}/in/questions.jsonl', f'--documents={tmp_path}/in/documents.jsonl']
  done = subprocess.run([*arguments, '--measure=recall', '--chunk_sizes=256,512', '--top_ks=1,8'], cwd=ROOT, text=True,
                        capture_output=True)
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1].startswith('best: --chunk_size=') and '--top_k=8' in done.stdout.splitlines()[-1]
  for wrong, message in ((['--top_ks=0'], 'error: --top_ks=0: expected whole numbers'), ([], 'error: --checkpoint:'),
                         (['--endpoint=http://localhost:1', '--plain'], 'error: --plain: an endpoint'),
                         (['--temperatures=warm'], 'error: --temperatures=warm: expected numbers')):
    done = subprocess.run([*arguments, *wrong], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 1 and done.stderr.startswith(message) and len(done.stderr.splitlines()) == 1


def test_every_flag_of_the_reader_is_the_one_of_an_evaluation(tmp_path):
  code = ('import importlib, json, sys; from absl import flags; module = importlib.import_module(sys.argv[1]);'
          'print(json.dumps({f.name: f.default for f in flags.FLAGS.get_key_flags_for_module(module)}))')
  found = [json.loads(subprocess.run([sys.executable, '-c', code, f'launch.{name}'], cwd=ROOT, text=True, check=True,
                                     capture_output=True).stdout) for name in ('evaluate', 'tune_rag')]
  for name in ('tensor', 'max_batch', 'max_concurrency', 'api_key_env', 'max_cost_usd', 'candidates', 'chunk_overlap',
               'chunk_tokenizer', 'plain', 'dtype', 'endpoint', 'model', 'retriever', 'embedder', 'reranker'):
    assert found[0][name] == found[1][name]
