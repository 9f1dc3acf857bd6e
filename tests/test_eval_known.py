"""Known readers score what arithmetic says, on every benchmark, mode and scoring; resume; bad input."""

import collections
import dataclasses
import json

import numpy as np
import pytest
from known_readers import Constant, Perfect, Random, Silent

from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl
from data_gen.schema import Document, Question
from smt_jax.eval import prompts
from smt_jax.eval.reader import Reply
from smt_jax.eval.retrieval.rag import Rag, RagSettings
from smt_jax.eval.runner import evaluate
from smt_jax.eval.settings import Settings

TOPICS = ['harbour', 'orchard', 'foundry', 'library', 'viaduct', 'granary']


def documents():
  return [Document(f'd{i}', f'The {topic} of Velmar', f'Notes on the {topic}.\n\n'
                   + '\n\n'.join(f'Item {k}: the {topic} holds object {topic}{k}.' for k in range(12)),
                   'A. Writer', '1931') for i, topic in enumerate(TOPICS)]


def questions(options=4):
  rows = []

  def evidence(topic, k):
    return [f'Item {k}: the {topic} holds object {topic}{k}.']

  for i, topic in enumerate(TOPICS):
    for k in range(5):
      n = i * 5 + k
      rows.append(Question(f'q{n}', (f'd{i}',), f'd{i}', f'Which object number {k} does the {topic} hold?',
                           tuple(f'{topic}{(k + j) % 12} of kind {j}' for j in range(options)), (n * 7) % options,
                           hard=bool(n % 2), metadata={'evidence': evidence(topic, k)}))
  return rows


OPEN = [Question('n1', ('d0',), 'd0', 'What was the capex (in USD millions)?', None, '$1577.00'),
        Question('n2', ('d1',), 'd1', 'What was the margin in percent?', None, '65.4%'),
        Question('n3', ('d2',), 'd2', 'Did it grow?', None, 'Yes'),
        Question('n4', ('d3',), 'd3', 'Which segment?', None, 'The consumer segment shrunk by 0.9% organically.')]


def run(tmp_path, reader, qs, **kwargs):
  fields = {'benchmark': 'custom', 'arm': 'x'} | kwargs
  if fields.get('mode') == 'rag':
    fields.setdefault('rag', RagSettings(chunk_size=120))
    rag = Rag(documents(), fields['rag'])
    return evaluate(Settings(**fields), qs, documents(), reader, tmp_path, retrieve=rag.retrieve)
  return evaluate(Settings(**fields), qs, documents(), reader, tmp_path)


@pytest.mark.parametrize('mode', prompts.MODES)
@pytest.mark.parametrize('scoring', prompts.SCORINGS)
def test_perfect_and_silent_in_every_mode_and_scoring(tmp_path, mode, scoring):
  if mode == 'options_only' and scoring == 'logprob':
    pytest.skip('the reader finds its question by its text, which this mode hides')
  qs = questions()
  perfect = run(tmp_path / 'p', Perfect(qs), qs, mode=mode, scoring=scoring)
  assert perfect['accuracy']['strict'] == perfect['accuracy']['lenient'] == perfect['parse_rate'] == 1
  assert perfect['ci95'][1] == 1 and 0.4 < perfect['ci95'][0] < 1
  assert perfect['hard']['strict'] == 1 and perfect['recall_sd'] == 0
  silent = run(tmp_path / 's', Silent(qs), qs, mode=mode, scoring=scoring)
  assert silent['accuracy']['strict'] == silent['accuracy']['lenient'] == silent['parse_rate'] == 0
  assert sum(v['chosen'] for v in silent['by_letter'].values()) == 0


@pytest.mark.parametrize('options', [2, 4, 5])
@pytest.mark.parametrize('scoring', prompts.SCORINGS)
def test_constant_letter_scores_the_share_of_that_letter(tmp_path, options, scoring):
  qs = questions(options)
  share = collections.Counter(q.answer for q in qs)[1] / len(qs)
  result = run(tmp_path / 'once', Constant(qs), qs, scoring=scoring)
  assert result['accuracy']['strict'] == pytest.approx(share)
  assert result['by_letter']['B'] == {'gold': round(share * len(qs)), 'recall': 1.0, 'chosen': len(qs)}
  recalls = [1.0] + [0.0] * (options - 1)
  assert result['recall_sd'] == pytest.approx(np.std(recalls))
  cyclic = run(tmp_path / 'all', Constant(qs), qs, scoring=scoring, permutations=options)
  assert cyclic['accuracy']['strict'] == pytest.approx(1 / options)
  assert cyclic['permutations']['original'] == pytest.approx(share) and cyclic['permutations']['all_right'] == 0
  assert all(v['gold'] == len(qs) for v in cyclic['by_letter'].values())


@pytest.mark.parametrize('scoring', prompts.SCORINGS)
def test_random_reader_scores_exactly_its_hits(tmp_path, scoring):
  qs = questions()
  reader = Random(qs)
  hits = sum(reader.choose(q, list(q.options)) == q.answer for q in qs)
  result = run(tmp_path, Random(qs), qs, scoring=scoring)
  assert result['accuracy']['strict'] == pytest.approx(hits / len(qs))
  items = [row for _, row in read_jsonl(tmp_path / 'items.jsonl')]
  assert sum(row['correct'] for row in items) == hits
  assert [row['id'] for row in items] == [q.id for q in qs]
  for row, q in zip(items, qs):
    assert row['correct'] == (row['choice'] == q.answer) and row['prompt'] and row['output'] and row['parsed']


def test_results_hold_what_the_contract_names(tmp_path):
  qs = questions()
  evaluate(Settings('quality', 'base', seed=5), qs, documents(), Random(qs), tmp_path,
           training={'step': 70, 'seed': 3, 'training_tokens': 1000})
  result = json.loads((tmp_path / 'results.json').read_text())
  for key in ('benchmark', 'arm', 'mode', 'scoring', 'checkpoint', 'step', 'seed', 'training_tokens', 'n_questions',
              'accuracy', 'ci95', 'parse_rate', 'by_letter', 'hard', 'seconds', 'config'):
    assert key in result, key
  assert (result['step'], result['seed'], result['training_tokens'], result['n_questions']) == (70, 3, 1000, 30)
  assert result['ci95'][0] < result['accuracy']['strict'] < result['ci95'][1]
  assert result['config']['seed'] == 5


def test_samples_count_as_shares_and_are_all_listed(tmp_path):
  qs = questions()

  class Half(Perfect):
    turn = 0

    def choose(self, question, options):
      self.turn += 1
      right = super().choose(question, options)
      return right if self.turn % 2 else (right + 1) % 4

  result = run(tmp_path, Half(qs), qs, samples=4)
  assert result['accuracy']['strict'] == 0.5 and result['config']['sampling']['temperature'] == 0.3
  assert all(len(row['trials']) == 4 and row['score'] == 0.5 for _, row in read_jsonl(tmp_path / 'items.jsonl'))


@pytest.mark.parametrize('reader,share', [(Perfect, 1.0), (Silent, 0.0), (Constant, 0.25), (Random, 0.0)])
def test_open_questions_without_a_judge(tmp_path, reader, share):
  result = run(tmp_path, reader(OPEN), OPEN)
  assert result['accuracy']['strict'] == share
  assert result['by_letter'] == {} and result['n_questions'] == 4


def test_kill_and_resume_ask_everything_exactly_once(tmp_path):
  qs = questions()
  first = Random(qs, stop_after=11)
  with pytest.raises(ConnectionError):
    run(tmp_path / 'cut', first, qs, permutations=2)
  assert not (tmp_path / 'cut' / 'results.json').exists() and not (tmp_path / 'cut' / 'items.jsonl').exists()
  with open(tmp_path / 'cut' / 'log.jsonl', 'ab') as log:
    log.write(b'{"key": "torn')
  second = Random(qs)
  resumed = run(tmp_path / 'cut', second, qs, permutations=2)
  assert resumed['resumed'] == 11
  assert sorted(first.keys + second.keys) == sorted(f'{q.id}#{p}' for q in qs for p in range(2))
  straight = run(tmp_path / 'straight', Random(qs), qs, permutations=2)
  assert (tmp_path / 'cut' / 'items.jsonl').read_bytes() == (tmp_path / 'straight' / 'items.jsonl').read_bytes()
  assert resumed['accuracy'] == straight['accuracy'] and resumed['ci95'] == straight['ci95']
  third = Random(qs)
  assert run(tmp_path / 'cut', third, qs, permutations=2) == resumed and not third.keys


@pytest.mark.parametrize('change', [{'scoring': 'letter'}, {'mode': 'rag'}, {'arm': 'y'}, {'limit': 3}, {'seed': 9},
                                    {'permutations': 2}, {'samples': 2}, {'checkpoint': 'other'}])
def test_other_settings_on_the_same_folder_are_refused(tmp_path, change):
  qs = questions()
  with pytest.raises(ConnectionError):
    run(tmp_path, Random(qs, stop_after=5), qs)
  with pytest.raises(UserError, match=next(iter(change))):
    run(tmp_path, Random(qs), qs, **change)
  run(tmp_path, Random(qs), qs)


def test_other_prompts_under_equal_settings_are_refused(tmp_path):
  qs = questions()

  def rag(corpus, reader):
    settings = Settings('custom', 'x', mode='rag', rag=RagSettings(chunk_size=120))
    return evaluate(settings, qs, documents(), reader, tmp_path, retrieve=Rag(corpus, settings.rag).retrieve)

  with pytest.raises(ConnectionError):
    rag(documents(), Random(qs, stop_after=5))
  with pytest.raises(UserError, match=r'log\.jsonl: holds the reply to another prompt for "q0#0"'):
    rag([dataclasses.replace(d, text=d.text.replace('holds', 'has')) for d in documents()], Random(qs))
  assert rag(documents(), Random(qs))['resumed'] == 5


def test_other_questions_on_the_same_folder_are_refused(tmp_path):
  qs = questions()
  run(tmp_path, Random(qs), qs)
  changed = [dataclasses.replace(qs[0], answer=(qs[0].answer + 1) % 4), *qs[1:]]
  with pytest.raises(UserError, match='questions_sha256'):
    run(tmp_path, Random(changed), changed)


def test_prompt_longer_than_the_model_is_wrong_and_listed(tmp_path):
  qs = questions()
  reader = Perfect(qs)
  reader.max_positions = 150
  result = run(tmp_path, reader, qs, mode='full_document', max_new_tokens=50)
  assert result['accuracy']['strict'] == 0 and result['too_long'] == [q.id for q in qs]
  assert result['flags'] == {'too_long': 30} and result['n_questions'] == 30 and not reader.prompts
  assert run(tmp_path / '2', reader, qs, max_new_tokens=50)['accuracy']['strict'] == 1


def test_an_endpoint_that_refuses_a_prompt_as_too_long(tmp_path):
  qs = questions()

  class Short(Perfect):
    def complete(self, prompts, keys, sampling, done):
      for i, key in enumerate(keys):
        long = key == 'q3#0'
        done(i, [Reply('', 'refused: context_length_exceeded') if long else Reply('Answer: A', 'stop')])

  result = run(tmp_path, Short(qs), qs)
  assert result['too_long'] == ['q3'] and result['flags'] == {'too_long': 1} and result['n_questions'] == len(qs)


def test_missing_document_is_an_error_or_an_exclusion(tmp_path):
  lost = Question('lost', ('nowhere',), 'nowhere', 'What?', ('a1', 'b2'), 0)
  with pytest.raises(UserError, match='question "lost" names document "nowhere"'):
    run(tmp_path / 'a', Perfect([lost]), [lost])
  filing = dataclasses.replace(lost, metadata={'filing_missing': True, 'identity': 'ACME 2020 10-K',
                                               'evidence': [{'text': 'b2 was not it'}]})
  qs = [filing, *questions()]
  for mode in ('rag', 'full_document'):
    result = run(tmp_path / mode, Perfect(qs), qs, mode=mode)
    assert result['n_questions'] == 30 and [e['id'] for e in result['excluded']] == ['lost']
  for mode in ('closed_book', 'oracle'):
    reader = Perfect(qs)
    result = run(tmp_path / mode, reader, qs, mode=mode)
    assert result['n_questions'] == 31 and result['excluded'] == []
    assert 'ACME 2020 10-K' in reader.prompts[0][-1]['content']
    assert ('b2 was not it' in reader.prompts[0][-1]['content']) == (mode == 'oracle')


def test_distractors_stand_among_the_whole_documents(tmp_path):
  qs = questions()
  reader = Perfect(qs)
  result = run(tmp_path / 'a', reader, qs, mode='full_document', distractors=2)
  assert result['accuracy']['strict'] == 1 and result['config']['distractors'] == 2
  texts, places = {d.id: d.text for d in documents()}, set()
  for key, messages in zip(reader.keys, reader.prompts):
    own = next(q for q in qs if q.id == key.split('#')[0]).document_ids[0]
    at = sorted((messages[-1]['content'].index(t), i) for i, t in texts.items() if t in messages[-1]['content'])
    shown = [i for _, i in at]
    assert len(shown) == 3 and own in shown
    places.add(shown.index(own))
  assert places == {0, 1, 2}
  again = Perfect(qs)
  run(tmp_path / 'b', again, qs, mode='full_document', distractors=2, arm='y')
  assert again.prompts == reader.prompts
  with pytest.raises(UserError, match='--distractors=6: there are only 5 documents of other groups'):
    run(tmp_path / 'c', Perfect(qs), qs, mode='full_document', distractors=6)


@pytest.mark.parametrize('fields,message', [
    ({'mode': 'open'}, '--mode=open'), ({'scoring': 'x'}, '--scoring=x'), ({'samples': 0}, '--samples=0'),
    ({'samples': 2, 'temperature': 0.0}, '--temperature'), ({'temperature': -1.0}, '--temperature'),
    ({'mode': 'rag'}, '--mode=rag'), ({'arm': ''}, '--arm'), ({'scoring': 'logprob', 'samples': 2}, '--samples'),
    ({'top_p': 0.0}, '--top_p'), ({'permutations': 0}, '--permutations'),
    ({'rag': RagSettings()}, '--mode=closed_book'),
    ({'distractors': 1}, '--distractors=1: only with'), ({'distractors': -1}, '--distractors=-1')])
def test_bad_settings(fields, message):
  with pytest.raises(UserError, match=message):
    Settings(**({'benchmark': 'quality', 'arm': 'x'} | fields))


def test_logprob_without_options_and_few_shot_from_an_evaluated_document(tmp_path):
  with pytest.raises(UserError, match=r'--mode=options_only: question "n1" has no options'):
    run(tmp_path / 'o', Perfect(OPEN), OPEN, mode='options_only')
  with pytest.raises(UserError, match=r'n1.*no options'):
    run(tmp_path / 'a', Perfect(OPEN), OPEN, scoring='logprob')
  qs = questions()
  example = prompts.Example(qs[0], (), 'Answer: A')
  with pytest.raises(UserError, match='few_shot'):
    evaluate(Settings('custom', 'x', few_shot=1), qs, documents(), Perfect(qs), tmp_path / 'b', few_shot=[example])
  renamed = dataclasses.replace(documents()[0], id='other')
  other = dataclasses.replace(qs[0], id='e', document_ids=('other',), group='other')
  with pytest.raises(UserError, match='few_shot'):
    evaluate(Settings('custom', 'x', few_shot=1), qs, documents(), Perfect(qs), tmp_path / 'c',
             few_shot=[prompts.Example(other, (renamed,), 'Answer: A')])


def test_retrieved_chunks_are_the_same_for_every_arm_and_are_shown_best_last(tmp_path):
  qs = questions()
  one, two = Random(qs), Perfect(qs)
  result = run(tmp_path / 'rag', one, qs, mode='rag', arm='rag', rag=RagSettings(chunk_size=120, top_k=3))
  run(tmp_path / 'smt', two, qs, mode='rag', arm='smt+rag', rag=RagSettings(chunk_size=120, top_k=3))
  assert one.prompts == two.prompts
  items = [[row for _, row in read_jsonl(tmp_path / name / 'items.jsonl')] for name in ('rag', 'smt')]
  assert [r['retrieved'] for r in items[0]] == [r['retrieved'] for r in items[1]]
  first = items[0][0]
  positions = [first['prompt'].index(c['text']) for c in first['retrieved']]
  assert len(positions) == 3 and positions == sorted(positions)
  assert 'harbour0' in first['retrieved'][-1]['text']  # what q0 asks for
  assert result['retrieval']['document'] == 1 and result['retrieval']['n_with_evidence'] == 30


def test_a_question_without_a_document_is_searched_for_in_all_of_them(tmp_path):
  qs = [dataclasses.replace(q, document_ids=()) for q in questions()]
  reader = Perfect(qs)
  result = run(tmp_path / 'rag', reader, qs, mode='rag')
  assert result['n_questions'] == 30 and not result['excluded'] and result['accuracy']['strict'] == 1
  assert all(p[-1]['content'].startswith('Context:') for p in reader.prompts)
  assert result['retrieval']['document'] is None and result['retrieval']['n_questions'] == 0
  mixed = [*qs[:10], *questions()[10:]]
  whole = run(tmp_path / 'mixed', Perfect(mixed), mixed, mode='full_document')
  assert whole['n_questions'] == 20 and {e['reason'] for e in whole['excluded']} == {'it names no document'}
  found = run(tmp_path / 'mixed_rag', Perfect(mixed), mixed, mode='rag')
  assert found['n_questions'] == 30 and found['retrieval']['n_questions'] == 20


@pytest.mark.parametrize('mode', ['full_document', 'oracle'])
def test_an_evaluation_of_no_question_is_refused(tmp_path, mode):
  qs = [dataclasses.replace(q, document_ids=(), metadata={}) for q in questions()]
  with pytest.raises(UserError, match=rf'--mode={mode}: none of the 30 questions can be asked \("q0": '):
    run(tmp_path / mode, Perfect(qs), qs, mode=mode)
  assert not (tmp_path / mode).exists()
  with pytest.raises(UserError, match='none of the 0 questions'):
    run(tmp_path / mode, Perfect(qs), [])


def as_read(results):
  return json.loads(json.dumps(results))


def test_a_finished_evaluation_searches_for_nothing_again(tmp_path):
  qs = questions()
  settings = Settings('custom', 'x', mode='rag', rag=RagSettings(chunk_size=120))
  calls = []

  def retrieve(asked):
    calls.append(len(asked))
    return Rag(documents(), settings.rag).retrieve(asked)

  first = as_read(evaluate(settings, qs, documents(), Random(qs), tmp_path, retrieve=retrieve))
  assert evaluate(settings, qs, documents(), None, tmp_path, retrieve=retrieve) == first and calls == [30]
  with pytest.raises(UserError, match='seed=0, not 1'):
    evaluate(dataclasses.replace(settings, seed=1), qs, documents(), None, tmp_path, retrieve=retrieve)
  assert calls == [30]


def few(**changes):
  question = Question('e', (), 'elsewhere', 'Who kept the lamps?', ('Ada', 'Bo', 'Cy', 'Di'), 1)
  return prompts.Example(dataclasses.replace(question, **changes), (), 'Answer: B')


def test_a_finished_folder_whose_inputs_changed_is_refused(tmp_path):
  qs = questions()
  settings = Settings('custom', 'x', few_shot=1)

  def again(qs=qs, **changes):
    return evaluate(settings, qs, documents(), Perfect(qs), tmp_path, few_shot=[few(**changes)])

  first = as_read(again())
  assert again() == first
  with pytest.raises(UserError, match='few_shot_sha256'):
    again(question='Who lit the lamps?')
  with pytest.raises(UserError, match='questions_metadata_sha256'):
    again([dataclasses.replace(qs[0], metadata={'evidence': ['Another.']}), *qs[1:]])
  claimed = json.loads((tmp_path / 'settings.json').read_text())
  for key in ('few_shot_sha256', 'questions_metadata_sha256'):  # as an earlier version wrote it
    del claimed[key]
  (tmp_path / 'settings.json').write_text(json.dumps(claimed))
  assert again() == first


def test_an_example_that_asks_an_evaluated_question_is_refused(tmp_path):
  qs = questions()
  example = few(question=f'  {qs[4].question.upper()}\n')
  with pytest.raises(UserError, match='--few_shot: example "e" asks the same as question "q4"'):
    evaluate(Settings('custom', 'x', few_shot=1), qs, documents(), Perfect(qs), tmp_path, few_shot=[example])
