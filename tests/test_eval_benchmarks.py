"""Known readers on every benchmark as it is published, in every mode and scoring: exactly what arithmetic says."""

import collections
import dataclasses

import pytest
from known_readers import Constant, Perfect, Random, Silent

from data_gen import benchmarks
from data_gen.errors import UserError
from smt_jax.eval.prompts import MODES
from smt_jax.eval.retrieval.rag import Rag, RagSettings
from smt_jax.eval.runner import evaluate
from smt_jax.eval.settings import Settings

NAMES = ('world', 'quality', 'longhealth', 'financebench')


def source(name, test_data):
  if name == 'world':
    return 'study:seed=11,documents=4'
  if name == 'quality':
    return str(test_data / 'quality' / 'articles_45.v1.0.1-like.jsonl')
  return str(test_data / name)


@pytest.fixture(scope='module')
def prepared(test_data):
  held = {}
  for name in NAMES:
    module = benchmarks.load(name)
    options = benchmarks.base.resolve_options(name, getattr(module, 'OPTIONS', {}), {})
    held[name] = module.read(source(name, test_data), options)
  return held


def run(out, name, prepared, reader, mode='closed_book', scoring='cot'):
  data = prepared[name]
  rag = RagSettings(chunk_size=500, top_k=4) if mode == 'rag' else None
  retrieve = Rag(data.documents, rag).retrieve if rag else None
  return evaluate(Settings(name, 'x', mode, scoring, rag=rag), data.questions, data.documents, reader, out,
                  retrieve=retrieve)


@pytest.mark.parametrize('name', NAMES)
def test_known_readers(tmp_path, name, prepared):
  data = prepared[name]
  questions = data.questions
  choices = questions[0].options is not None
  scorings = ('cot', 'letter', 'logprob') if choices else ('cot', 'letter')
  for scoring in scorings:
    perfect = run(tmp_path / f'p{scoring}', name, prepared, Perfect(questions), scoring=scoring)
    assert perfect['accuracy']['strict'] == perfect['parse_rate'] == 1 and perfect['n_questions'] == len(questions)
    silent = run(tmp_path / f's{scoring}', name, prepared, Silent(questions), scoring=scoring)
    assert silent['accuracy'] == dict.fromkeys(silent['accuracy'], 0.0) and silent['parse_rate'] == 0
    if choices:
      constant = run(tmp_path / f'c{scoring}', name, prepared, Constant(questions), scoring=scoring)
      share = collections.Counter(q.answer for q in questions)[1] / len(questions)
      assert constant['accuracy']['strict'] == pytest.approx(share) and constant['by_letter']['B']['recall'] == 1
      reader = Random(questions)
      hits = sum(reader.choose(q, [o.strip() for o in q.options]) == q.answer for q in questions)
      random = run(tmp_path / f'r{scoring}', name, prepared, reader, scoring=scoring)
      assert random['accuracy']['strict'] == pytest.approx(hits / len(questions))


@pytest.mark.parametrize('name', NAMES)
def test_every_mode_shows_what_it_should(tmp_path, name, prepared):
  data = prepared[name]
  texts = {d.id: d.text.strip() for d in data.documents}
  for mode in MODES:
    reader = Perfect(data.questions)
    if mode == 'options_only' and data.questions[0].options is None:
      with pytest.raises(UserError, match='has no options to show'):
        run(tmp_path / mode, name, prepared, reader, mode)
      continue
    result = run(tmp_path / mode, name, prepared, reader, mode)
    assert result['accuracy']['strict'] == 1 and result['n_questions'] == len(reader.prompts)
    assert result['n_questions'] + len(result['excluded']) == len(data.questions)
    for key, messages in zip(reader.keys, reader.prompts):
      question = next(q for q in data.questions if q.id == key.split('#')[0])
      content = messages[-1]['content']
      assert (question.question.strip() in content) == (mode != 'options_only')
      assert content.startswith('Context:') == (mode in ('rag', 'oracle', 'full_document'))
      assert ('About ' in content.split(question.question.strip())[0]) == (mode not in ('no_context', 'options_only')) \
          or mode == 'options_only'
      if mode == 'full_document':
        assert all(texts[i] in content for i in question.document_ids)
      elif mode == 'closed_book':
        assert not any(texts[i][:200] in content for i in question.document_ids if i in texts)


def test_the_oracle_reads_the_marked_evidence_and_no_more(prepared):
  """LongHealth marks spans, FinanceBench quotes pages; QuALITY marks nothing, so its oracle reads the article."""
  from smt_jax.eval.prompts import oracle_context
  for name, data in prepared.items():
    texts = {d.id: d for d in data.documents}
    marked = 0
    for q in data.questions:
      own = [texts[i] for i in q.document_ids if i in texts]
      shown = '\n'.join(oracle_context(q, own))
      if q.metadata.get('evidence'):
        marked += 1
        assert shown and (not own or len(shown) < 0.8 * sum(len(d.text) for d in own) or name == 'financebench'), q.id
        spans = [e for e in q.metadata['evidence'] if isinstance(e, dict) and 'start' in e]
        assert all((e.get('text') or texts[e['document_id']].text[e['start']:e['end']]).strip() in shown for e in spans)
    span = {'document_id': data.documents[0].id, 'start': 3, 'end': 40}  # as a user's own questions may say it
    bare = dataclasses.replace(data.questions[0], metadata={'evidence': [span]})
    assert oracle_context(bare, data.documents[:1])[-1].endswith(data.documents[0].text[3:40].strip())
    assert marked >= (0 if name == 'quality' else 1), name


def test_the_correct_answer_leaks_nowhere_but_the_options(prepared):
  """A closed-book prompt is the same whatever the right answer is."""
  from smt_jax.eval.prompts import render
  for data in prepared.values():
    by_id = {d.id: d for d in data.documents}
    for q in data.questions[:20]:
      documents = [by_id[i] for i in q.document_ids if i in by_id]
      other = dataclasses.replace(q, answer='something else' if q.options is None else (q.answer + 1) % len(q.options))
      assert render(q, documents) == render(other, documents)
