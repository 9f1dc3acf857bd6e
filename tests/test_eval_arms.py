"""Arms beside the plain ones: few-shot, RAG over synthetic records, a model over several devices, our own judge."""

import json

import pytest
from eval_checkpoint import make_checkpoint
from known_readers import Perfect

from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl, write_jsonl
from data_gen.schema import Document, Question, Record, to_row
from launch import evaluation
from launch.evaluate import config_values
from launch.readers import local_reader
from smt_jax.eval import prompts
from smt_jax.eval.retrieval.rag import Rag, RagSettings
from smt_jax.eval.runner import evaluate
from smt_jax.eval.settings import Settings

WORDS = ('mill', 'foundry', 'library', 'granary')
DOCUMENTS = [Document(f'd{i}', f'Title {i}', f'The {word} stood by the river for a hundred years. ' * 3, 'A. Writer')
             for i, word in enumerate(WORDS)]
QUESTIONS = [Question(f'q{i}', (f'd{i}',), f'd{i}', f'What was by the {word}?',
                      ('a red boat', 'the old mill', 'three dogs', 'a captain'), i % 4) for i, word in enumerate(WORDS)]


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
  return make_checkpoint(tmp_path_factory.mktemp('checkpoint'), seed=5)


def files(folder, questions=QUESTIONS):
  write_jsonl(folder / 'documents.jsonl', map(to_row, DOCUMENTS))
  write_jsonl(folder / 'questions.jsonl', map(to_row, questions))
  return {'questions': f'{folder}/questions.jsonl', 'documents': f'{folder}/documents.jsonl'}


@pytest.mark.parametrize('scoring', prompts.SCORINGS)
def test_few_shot_examples_stand_before_the_question_in_its_own_form(tmp_path, scoring):
  other = Document('x', 'Another', 'Text.')
  example = Question('e', ('x',), 'x', 'Who came?', ('Ann', 'Bob', 'Cid', 'Dan'), 2)
  shown = prompts.Example(example, (other,), prompts.reply(example, scoring, 'It says that Cid came.'))
  reader = Perfect(QUESTIONS)
  settings = Settings('custom', 'x', scoring=scoring, few_shot=1)
  assert evaluate(settings, QUESTIONS, DOCUMENTS, reader, tmp_path, few_shot=[shown])['accuracy']['strict'] == 1
  expected = {'cot': 'It says that Cid came.\nAnswer: C', 'letter': 'Answer: C', 'logprob': 'Answer: Cid'}[scoring]
  for messages in reader.prompts:
    assert [m['role'] for m in messages] == ['user', 'assistant', 'user'] and messages[1]['content'] == expected
    assert messages[0]['content'].startswith('About "Another":\nWho came?\nA. Ann')
    instructions = [m['content'].splitlines()[-1] for m in messages[::2]]
    assert instructions[0] == instructions[1] and 'What was by' not in messages[0]['content']


def test_the_corpus_searched_may_be_the_synthetic_records(tmp_path):
  records = [Record('r0', 'document', 'wrap', ('d0',), text='From "Title 0": a mill stood there, the mill of Velmar.'),
             Record('r1', 'qa', 'qa', ('d1',), messages=({'role': 'user', 'content': 'Which foundry?'},
                                                          {'role': 'assistant', 'content': 'The one in Title 1.'}))]
  write_jsonl(tmp_path / 'records.wrap.jsonl', [to_row(records[0])])
  write_jsonl(tmp_path / 'records.qa.jsonl', [to_row(records[1])])
  corpus = evaluation.read_corpus(f'{tmp_path}/records.*.jsonl')
  assert {d.text for d in corpus} == {records[0].text, 'Which foundry?\nThe one in Title 1.'}
  rag = RagSettings(top_k=1)
  result = evaluate(Settings('custom', 'x', 'rag', rag=rag), QUESTIONS[:2], DOCUMENTS, Perfect(QUESTIONS),
                    tmp_path / 'out', retrieve=Rag(corpus, rag).retrieve)
  items = [row for _, row in read_jsonl(tmp_path / 'out' / 'items.jsonl')]
  assert 'the mill of Velmar' in items[0]['prompt'] and 'hundred years' not in items[0]['prompt']
  assert result['retrieval']['document'] == 1  # a record counts for the document that it was written from
  with pytest.raises(UserError, match='matches no file'):
    evaluation.read_corpus(f'{tmp_path}/none*')


@pytest.mark.slow
def test_a_model_over_several_devices_answers_the_same(tmp_path, checkpoint):
  import jax
  assert jax.device_count() == 8
  found = []
  for tensor in (1, 2):
    evaluate(Settings('custom', 'x', max_new_tokens=12), QUESTIONS, DOCUMENTS,
             local_reader(str(checkpoint), tensor=tensor), tmp_path / f'cot{tensor}')
    evaluate(Settings('custom', 'x', scoring='logprob'), QUESTIONS, DOCUMENTS,
             local_reader(str(checkpoint), tensor=tensor), tmp_path / f'logprob{tensor}')
    outputs = [row['output'] for _, row in read_jsonl(tmp_path / f'cot{tensor}' / 'items.jsonl')]
    scores = [s for _, row in read_jsonl(tmp_path / f'logprob{tensor}' / 'log.jsonl') for s, _ in row['scores']]
    found.append((outputs, scores))
  assert found[0][0] == found[1][0] and found[0][1] == pytest.approx(found[1][1], abs=1e-4)


@pytest.mark.slow
def test_a_checkpoint_as_judge(tmp_path, checkpoint):
  """A random model judges at random: it fails the check on near misses, which is said, and decides nothing."""
  qs = [Question(f'o{i}', (f'd{i}',), f'd{i}', 'What stood by the river?', None, f'The {i}th mill of the town')
        for i in range(3)]
  values = config_values(**files(tmp_path, qs), benchmark='custom', arm='x', checkpoint=str(checkpoint),
                                    judge_checkpoint=str(checkpoint), max_new_tokens=16, out=str(tmp_path / 'out'))
  evaluation.run(values)
  result = json.loads((tmp_path / 'out' / 'results.json').read_text())
  assert result['judge']['judge'] == str(checkpoint) and result['judge']['valid'] is False
  assert result['accuracy']['strict'] == 0 and (tmp_path / 'out' / 'audit.csv').exists()
